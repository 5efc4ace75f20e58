"""configs/*.toml → the knobs of every stage; strict, and every complaint names file and line.

Order: a variant's own values > the command line > `configs/<dataset>.toml` > the recipe it names > the recipe which
that one names and changes.
"""

from __future__ import annotations

import functools
import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar, get_args, get_origin

from pipeline import knobs
from pipeline.knobs.ranges import nearest
from tasks.core.errors import SettingsError
from tasks.core.settings_file import ROOT, Sections, SettingsFile, known

__all__ = ["ROOT", "Experiment", "answers_file", "data_folder", "forget", "known", "outputs_folder", "parse"]

SchemaT = TypeVar("SchemaT")
TaskT = TypeVar("TaskT")


def outputs_folder() -> Path:
    """HAIRLINE_OUTPUTS, or outputs/ in the project."""
    return Path(os.environ.get("HAIRLINE_OUTPUTS") or ROOT / "outputs").absolute()


def data_folder() -> Path:
    """Where data sets lie: HAIRLINE_DATA, or data/ in the project."""
    return Path(os.environ.get("HAIRLINE_DATA") or ROOT / "data").expanduser().absolute()


def answers_file(dataset: str) -> Path:
    """The yes/no answers for a data set's photos, beside its settings: what nobody wants to give twice."""
    return SettingsFile.of("dataset", dataset).path.with_suffix(".answers.csv")


@dataclass(frozen=True)
class Experiment:
    """What every number comes from: a data set's file, over the recipe it names or another, perhaps with a variant."""

    dataset: str  # '': none, and the recipe says everything
    recipe: str = ""  # '': the one that the data set's file names
    variant: str = ""

    def resolve(self, schema: type[SchemaT], given: Mapping[str, str] | None = None) -> SchemaT:
        """The knobs of one section; `given` holds texts from the command line."""
        section = knobs.section_of(schema)
        values, fixed = _resolved(self)
        mine = dict(values[section])
        for key, text in (given or {}).items():
            if f"{section}.{key}" not in fixed:
                mine[key] = _laid_over(mine[key], parse(section, key, text))
        try:
            return schema(**mine)
        except ValueError as error:
            raise SettingsError(f"[{section}] of {self.dataset}: {error}") from None

    def of(self, dataset: str) -> Experiment:
        """The same recipe on another data set, without the variant; '' and its own name are the experiment itself."""
        return self if dataset in ("", self.dataset) else Experiment(dataset, self.recipe)

    def varied(self, numbers: str) -> Experiment:
        """With numbers spelt out laid over the variant."""
        return Experiment(self.dataset, self.recipe, f"{self.variant};{numbers}" if self.variant else numbers)

    def task(self, kind: Callable[..., TaskT], **axes: str) -> TaskT:
        """A stage of this experiment."""
        return kind(**{"dataset": self.dataset, "recipe": self.recipe, "variant": self.variant, **axes})

    def recipe_name(self) -> str:
        """The recipe that is meant: the one asked for, or the one that the data set's file names."""
        return self.recipe or SettingsFile.of("dataset", self.dataset).recipe()

    def variants(self) -> list[str]:
        """The names of all variants that the files define."""
        return sorted({name for source in _files(self) for name in source.variants()})


def _files(experiment: Experiment) -> list[SettingsFile]:
    """The data set's file, the recipe, and those that each recipe names and changes; strongest first."""
    if not experiment.dataset and experiment.recipe:
        return _recipes([], experiment.recipe)
    found = [SettingsFile.of("dataset", experiment.dataset)]
    named = experiment.recipe or found[0].recipe()
    if not named:
        found[0].sections()  # a misspelt `recipe` is told as such
        raise SettingsError(f"{found[0].path}: recipe = ''; name one of: {', '.join(known('recipe'))}")
    return _recipes(found, named)


def _recipes(found: list[SettingsFile], named: str) -> list[SettingsFile]:
    """The files that were found, and those of a recipe and of what it changes."""
    while named:
        source = SettingsFile.of("recipe", named)
        if source.path in [other.path for other in found]:
            circle = " → ".join(other.path.stem for other in [*found[1:], source])
            raise SettingsError(f"{found[-1].path}: recipes name each other in a circle: {circle}; one must name none")
        found.append(source)
        named = source.recipe()
    return found


def _layers(experiment: Experiment) -> Iterator[Sections]:
    """The checked sections of all files from the weakest to the strongest, the variant's last."""
    files = _files(experiment)
    own = files[0].sections() if files else {}  # what the user wrote is complained of first
    yield from (source.sections() for source in reversed(files[1:]))
    yield own
    if experiment.variant:
        yield _variant(experiment.variant, files)


def _variant(variant: str, files: Sequence[SettingsFile]) -> Sections:
    """A variant's name, or its numbers spelt out, or the name first and numbers that are laid over it."""
    name, _, more = ("", "", variant) if "=" in variant.partition(";")[0] else variant.partition(";")
    sections: Sections = {}
    if name:
        source = next((source for source in files if name in source.variants()), None)
        if source is None:
            places = " or ".join(str(source.path) for source in files)
            names = [name for source in files for name in source.variants()]
            raise SettingsError(f"there is no variant {name!r} in {places}; {nearest(name, names)}")
        sections = {section: dict(table) for section, table in source.variant(name).items()}
    for section, table in _inline(more).items() if more else ():
        below = sections.setdefault(section, {})
        below |= {key: _laid_over(below.get(key), value) for key, value in table.items()}
    return sections


def _inline(variant: str) -> Sections:
    """A variant spelt out: `Section.key=value;Section.key=value`."""
    sections: Sections = {}
    for item in variant.split(";"):
        name, _, text = item.partition("=")
        section, _, key = name.strip().partition(".")
        if section not in knobs.SECTIONS:
            hint = nearest(section, knobs.SECTIONS)
            raise SettingsError(f"variant {item!r}: there is no section [{section}]; {hint}")
        keys = knobs.fields(knobs.SECTIONS[section])
        if key not in keys:
            raise SettingsError(f"variant {item!r}: [{section}] has no key {key!r}; {nearest(key, keys)}")
        table = sections.setdefault(section, {})
        table[key] = _laid_over(table.get(key), parse(section, key, text.strip()))
    return sections


@functools.lru_cache(maxsize=256)
def _resolved(experiment: Experiment) -> tuple[Sections, frozenset[str]]:
    """(all values, the names `Section.key` that the variant fixes)."""
    values: Sections = {section: {} for section in knobs.SECTIONS}
    layers = list(_layers(experiment))
    for sections in layers:
        for section, table in sections.items():
            for key, value in table.items():
                values[section][key] = _laid_over(values[section].get(key), value)
    for section, schema in knobs.SECTIONS.items():
        missing = [key for key in knobs.fields(schema) if key not in values[section]]
        if missing:
            weakest = _files(experiment)[-1].path
            raise SettingsError(f"{weakest}: [{section}] {missing[0]} is missing; every number is in a file")
    fixed = layers[-1] if experiment.variant else {}
    return values, frozenset(f"{section}.{key}" for section, table in fixed.items() for key in table)


def _laid_over(below: object, above: object) -> object:
    """Tables are merged name by name, but for an empty one, which clears; every other value is replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict) and above):
        return above
    if any(not isinstance(value, dict) for value in above.values()):
        return {**below, **above}
    return {name: {**below.get(name, {}), **above.get(name, {})} for name in {**below, **above}}


def forget() -> None:
    """Reads the settings files anew at the next question (for tests, which rewrite them)."""
    _resolved.cache_clear()


def parse(section: str, key: str, text: str) -> object:
    """A value given on the command line, in its declared type."""
    annotation = knobs.fields(knobs.SECTIONS[section])[key]
    try:
        return knobs.check(annotation, _from_text(annotation, text))
    except ValueError as error:
        flag = f"--{section}-{key.replace('_', '-')}"
        raise SettingsError(f"{flag} {error}") from None


def _from_text(annotation: object, text: str) -> object:
    """Text → a TOML value; what TOML cannot read is a text, so that quotes need not be typed."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{text!r}; allowed: {knobs.in_words(annotation)} ({error})") from None
    if origin is list and not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    if annotation is str or (origin is Literal and isinstance(arguments[0], str)):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
