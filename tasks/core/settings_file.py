"""One settings file: where it lies, what it says, and the line to which a complaint belongs."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline import knobs
from pipeline.knobs.ranges import nearest
from tasks.core.errors import SettingsError

ROOT = Path(__file__).resolve().parent.parent.parent
TOP_KEYS = ("recipe", "variants")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

Kind = Literal["dataset", "recipe"]
Sections = dict[str, dict[str, object]]


def folders() -> list[Path]:
    """Where settings files are looked for: HAIRLINE_CONFIGS first, then the project's own configs/."""
    extra = os.environ.get("HAIRLINE_CONFIGS")
    return [*([Path(extra)] if extra else []), ROOT / "configs"]


def known(kind: Kind) -> list[str]:
    """The names of all data sets or recipes that have a settings file with an allowed name."""
    pattern = "*.toml" if kind == "dataset" else "recipes/*.toml"
    return sorted({path.stem for folder in folders() for path in folder.glob(pattern) if NAME.fullmatch(path.stem)})


@dataclass(frozen=True)
class SettingsFile:
    """Its place, its text for line numbers, its values."""

    path: Path
    text: str
    values: dict[str, object]

    @classmethod
    def of(cls, kind: Kind, name: str) -> SettingsFile:
        path = _find(kind, name)
        try:
            text = path.read_text(encoding="utf-8-sig")
            return cls(path, text, tomllib.loads(text))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path} is not valid TOML: {error}") from None

    def recipe(self) -> str:
        """The recipe that it names; '' for none."""
        named = self.values.get("recipe", "")
        if not isinstance(named, str) or ("recipe" in self.values and not named):
            raise SettingsError(f"{self.path}: recipe = {named!r}; name one of: {', '.join(known('recipe'))}")
        return named

    def sections(self) -> Sections:
        """The checked values of all sections, without those of variants."""
        return self._checked({name: table for name, table in self.values.items() if name not in TOP_KEYS})

    def variants(self) -> Mapping[str, Mapping[str, object]]:
        tables = self.values.get("variants", {})
        return tables if isinstance(tables, Mapping) else {}

    def variant(self, name: str) -> Sections:
        return self._checked(self.variants()[name], f"variants.{name}.")

    def _checked(self, tables: Mapping[str, object], prefix: str = "") -> Sections:
        found: Sections = {}
        for section, table in tables.items():
            if section not in knobs.SECTIONS or not isinstance(table, Mapping):
                place = self._where(prefix + section) if isinstance(table, Mapping) else self._where("", section)
                hint = nearest(section, [*knobs.SECTIONS, *TOP_KEYS])
                raise SettingsError(f"{place}: there is no section [{prefix}{section}]; {hint}")
            found[section] = {key: self._value(section, key, value) for key, value in table.items()}
        return found

    def _value(self, section: str, key: str, value: object) -> object:
        annotations = knobs.fields(knobs.SECTIONS[section])
        if key not in annotations:
            hint = nearest(key, annotations)
            raise SettingsError(f"{self._where(section, key)}: [{section}] has no key {key!r}; {hint}")
        try:
            return knobs.check(annotations[key], value)
        except ValueError as error:
            raise SettingsError(f"{self._where(section, key)}: [{section}] {key} = {error}") from None

    def _where(self, section: str, key: str = "") -> str:
        return f"{self.path}, line {self._line(section, key)}"

    def _line(self, section: str, key: str) -> int:
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


def _find(kind: Kind, name: str) -> Path:
    files = {folder: folder / (f"{name}.toml" if kind == "dataset" else f"recipes/{name}.toml") for folder in folders()}
    if not NAME.fullmatch(name):
        there = [path for path in files.values() if path.name != ".toml" and path.is_file() and path.stem == name]
        rename = f" (rename {there[0]} to {name.lower()}.toml)" if there else ""
        raise SettingsError(
            f"{kind} {name!r}; allowed: lower-case letters, digits, - and _, such as {', '.join(known(kind))}{rename}"
        )
    for path in files.values():
        if path.is_file():
            return path
    raise SettingsError(
        f"there is no {kind} {name!r}; {nearest(name, known(kind))} "
        f"(a new {kind} is a file {path.name} in {path.parent})"
    )
