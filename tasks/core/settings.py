"""configs/*.toml → the knobs of every stage; strict, and every complaint names file and line.

Order: a variant's own values > the command line > `configs/<dataset>.toml` > the recipe it names > the recipe which
that one names and changes.
"""

from __future__ import annotations

import functools
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pipeline import knobs
from tasks.core.errors import SettingsError, nearest

ROOT = Path(__file__).resolve().parent.parent.parent
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_TOP_KEYS = ("recipe", "variants")


@dataclass(frozen=True)
class Source:
    """One settings file: its place, its text for line numbers, its values."""

    path: Path
    text: str
    values: dict[str, Any]

    def line(self, section: str, key: str = "") -> int:
        """The line of a section's head, or of a key in it; the first line where it cannot be told."""
        head = re.compile(rf"^\s*\[+\s*{re.escape(section)}(\s*\]|\.)")
        here, found = section == "", 1
        for number, line in enumerate(self.text.splitlines(), start=1):
            if line.lstrip().startswith("["):
                here = bool(head.match(line))
                found = number if here else found
                if here and not key:
                    return number
            elif here and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*(=|\.)", line):
                return number
        return found

    def where(self, section: str, key: str = "") -> str:
        return f"{self.path}, line {self.line(section, key)}"


def config_folders() -> list[Path]:
    """Where settings files are looked for: HAIRLINE_CONFIGS first, then the project's own configs/."""
    extra = os.environ.get("HAIRLINE_CONFIGS")
    return [*([Path(extra)] if extra else []), ROOT / "configs"]


def outputs_folder() -> Path:
    """HAIRLINE_OUTPUTS, or outputs/ in the project."""
    return Path(os.environ.get("HAIRLINE_OUTPUTS") or ROOT / "outputs").absolute()


def data_folder() -> Path:
    """Where data sets lie: HAIRLINE_DATA, or data/ in the project."""
    return Path(os.environ.get("HAIRLINE_DATA") or ROOT / "data").expanduser().absolute()


def known(kind: Literal["dataset", "recipe"]) -> list[str]:
    """The names of all data sets or recipes that have a settings file."""
    pattern = "*.toml" if kind == "dataset" else "recipes/*.toml"
    return sorted({path.stem for folder in config_folders() for path in folder.glob(pattern)})


def _find(kind: Literal["dataset", "recipe"], name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{kind} {name!r}; allowed: lower-case letters, digits, - and _, such as {', '.join(known(kind))}"
        )
    for folder in config_folders():
        path = folder / (f"{name}.toml" if kind == "dataset" else f"recipes/{name}.toml")
        if path.is_file():
            return path
    raise SettingsError(
        f"there is no {kind} {name!r}; {nearest(name, known(kind))} "
        f"(a new {kind} is a file {path.name} in {path.parent})"
    )


def _read(path: Path) -> Source:
    try:
        text = path.read_text(encoding="utf-8-sig")
        return Source(path, text, tomllib.loads(text))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None


def _checked(source: Source, section: str, key: str, value: Any) -> Any:
    annotations = knobs.fields(knobs.SECTIONS[section])
    if key not in annotations:
        raise SettingsError(
            f"{source.where(section, key)}: [{section}] has no key {key!r}; {nearest(key, annotations)}"
        )
    try:
        return knobs.check(annotations[key], value)
    except ValueError as error:
        raise SettingsError(f"{source.where(section, key)}: [{section}] {key} = {error}") from None


def _sections(source: Source, tables: Mapping[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """The checked values of all sections of a file (or of one variant in it)."""
    for section, table in tables.items():
        if section not in knobs.SECTIONS or not isinstance(table, Mapping):
            raise SettingsError(
                f"{source.where(prefix + section) if isinstance(table, Mapping) else source.where('', section)}: "
                f"there is no section [{prefix}{section}]; {nearest(section, [*knobs.SECTIONS, *_TOP_KEYS])}"
            )
    return {
        section: {key: _checked(source, section, key, value) for key, value in table.items()}
        for section, table in tables.items()
    }


def _layers(dataset: str, recipe: str, variant: str) -> Iterator[tuple[Source, dict[str, dict[str, Any]]]]:
    """(file, its checked sections) from the weakest to the strongest."""
    own = _read(_find("dataset", dataset))
    mine = _sections(own, _plain(own))
    recipes = _recipes(own, recipe)
    for source in reversed(recipes):
        yield source, _sections(source, _plain(source))
    yield own, mine
    if "=" in variant:
        yield own, _inline(variant)
    elif variant:
        yield _variant(variant, [own, *recipes])


def _recipes(own: Source, recipe: str) -> list[Source]:
    """The recipe asked for, or else the data set's own, and those that each names and changes; strongest first."""
    found: list[Source] = []
    source, named = own, recipe or own.values.get("recipe", "")
    while True:
        if not isinstance(named, str) or not named:
            raise SettingsError(f"{source.path}: recipe = {named!r}; name one of: {', '.join(known('recipe'))}")
        source = _read(_find("recipe", named))
        if source.path in [other.path for other in found]:
            circle = " → ".join(other.path.stem for other in [*found, source])
            raise SettingsError(f"{found[-1].path}: recipes name each other in a circle: {circle}; one must name none")
        found.append(source)
        if "recipe" not in source.values:
            return found
        named = source.values["recipe"]


def _plain(source: Source) -> dict[str, Any]:
    return {name: table for name, table in source.values.items() if name not in _TOP_KEYS}


def _inline(variant: str) -> dict[str, dict[str, Any]]:
    """A variant spelt out: `Section.key=value;Section.key=value`."""
    sections: dict[str, dict[str, Any]] = {}
    for item in variant.split(";"):
        name, _, text = item.partition("=")
        section, _, key = name.strip().partition(".")
        if section not in knobs.SECTIONS:
            hint = nearest(section, knobs.SECTIONS)
            raise SettingsError(f"variant {item!r}: there is no section [{section}]; {hint}")
        if key not in knobs.fields(knobs.SECTIONS[section]):
            raise SettingsError(
                f"variant {item!r}: [{section}] has no key {key!r}; "
                f"{nearest(key, knobs.fields(knobs.SECTIONS[section]))}"
            )
        sections.setdefault(section, {})[key] = parse(section, key, text.strip())
    return sections


def _variant(variant: str, sources: list[Source]) -> tuple[Source, dict[str, dict[str, Any]]]:
    for source in sources:
        table = source.values.get("variants", {}).get(variant)
        if table is not None:
            return source, _sections(source, table, f"variants.{variant}.")
    names = [name for source in sources for name in source.values.get("variants", {})]
    files = " or ".join(str(source.path) for source in sources)
    raise SettingsError(f"there is no variant {variant!r} in {files}; {nearest(variant, names)}")


@functools.lru_cache(maxsize=256)
def _resolved(dataset: str, recipe: str, variant: str) -> tuple[dict[str, dict[str, Any]], frozenset[str]]:
    """(all values, the names `Section.key` that the variant fixes)."""
    values: dict[str, dict[str, Any]] = {section: {} for section in knobs.SECTIONS}
    fixed: set[str] = set()
    layers = list(_layers(dataset, recipe, variant))
    for number, (_, sections) in enumerate(layers):
        for section, table in sections.items():
            for key, value in table.items():
                values[section][key] = _laid_over(values[section].get(key), value)
                fixed |= {f"{section}.{key}"} if variant and number == len(layers) - 1 else set()
    for section, schema in knobs.SECTIONS.items():
        for key in knobs.fields(schema):
            if key not in values[section]:
                raise SettingsError(f"{layers[0][0].path}: [{section}] {key} is missing; every number is in a file")
    return values, frozenset(fixed)


def _laid_over(below: Any, above: Any) -> Any:
    """Options tables are merged name by name; every other value is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {name: {**below.get(name, {}), **above.get(name, {})} for name in {**below, **above}}
    return above


def forget() -> None:
    """Reads the settings files anew at the next question (for tests, which rewrite them)."""
    _resolved.cache_clear()


def parse(section: str, key: str, text: str) -> Any:
    """A value given on the command line, in its declared type."""
    annotation = knobs.fields(knobs.SECTIONS[section])[key]
    try:
        return knobs.check(annotation, _from_text(annotation, text))
    except ValueError as error:
        flag = f"--{section}-{key.replace('_', '-')}"
        raise SettingsError(f"{flag} {error}") from None


def _from_text(annotation: Any, text: str) -> Any:
    """Text → a TOML value; what TOML cannot read is a text, so that quotes need not be typed."""
    kind = get_args(annotation)[0] if get_origin(annotation) is not Literal and get_args(annotation) else annotation
    if get_origin(annotation) is dict:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'{text!r}; allowed: JSON such as {{"unet": {{"width": 16}}}} ({error})') from None
    if get_origin(annotation) is list and not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    one_text = get_origin(annotation) is not list and kind is str  # a list in brackets is TOML
    if one_text or (get_origin(annotation) is Literal and isinstance(get_args(annotation)[0], str)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def resolve(section: str, dataset: str, recipe: str, variant: str, given: Mapping[str, str]) -> Any:
    """The knobs of one section as its frozen dataclass; `given` holds texts from the command line."""
    values, fixed = _resolved(dataset, recipe, variant)
    mine = dict(values[section])
    for key, text in given.items():
        if text and f"{section}.{key}" not in fixed:
            mine[key] = _laid_over(mine[key], parse(section, key, text))
    try:
        return knobs.SECTIONS[section](**mine)
    except ValueError as error:
        raise SettingsError(f"[{section}] of {dataset}: {error}") from None


def recipe_name(dataset: str, recipe: str) -> str:
    """The recipe that is meant: the one asked for, or the one that the data set's file names."""
    return recipe or str(_read(_find("dataset", dataset)).values.get("recipe", ""))


def variants(dataset: str, recipe: str) -> list[str]:
    """The names of all variants that a data set's files define."""
    own = _read(_find("dataset", dataset))
    return sorted({name for source in (own, *_recipes(own, recipe)) for name in source.values.get("variants", {})})
