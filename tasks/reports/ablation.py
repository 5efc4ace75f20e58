"""An ablation, as a file in configs/ablations/ describes it: one training several times, each with a part changed."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.core.cache import canonical
from tasks.core.errors import SettingsError, one_of
from tasks.core.settings_file import NAME, folders
from tasks.reports import published

FOLDER = "ablations"
COMPLETE = "complete"  # what the row without a name is called
_TOP = ("dataset", "segmenter", "labels", "metric", "rows")
_AXES = ("segmenter", "labels", "arch")  # what a row may have of its own beside settings


@dataclass(frozen=True)
class Line:
    """A row: what is scored, and the settings that it changes, spelt out as a variant."""

    segmenter: str
    labels: str
    arch: str
    settings: str


@dataclass(frozen=True)
class Ablation:
    """`rows` by name, as in configs/published.csv: '' is the network as it is."""

    name: str
    dataset: str  # of the published numbers, and the usual one
    metric: str  # which of the published numbers; "": the first
    rows: dict[str, Line]

    def changed(self) -> list[tuple[str, str]]:
        """Section and key of every knob that a row sets itself."""
        items = [item for line in self.rows.values() for item in filter(None, line.settings.split(";"))]
        names = dict.fromkeys(item.partition("=")[0] for item in items)
        return [(section, key) for section, _, key in (name.partition(".") for name in names)]


def known() -> list[str]:
    found = {path.stem for folder in folders() for path in (folder / FOLDER).glob("*.toml")}
    return sorted(name for name in found if NAME.fullmatch(name))


def ablation(name: str) -> Ablation:
    one_of(name, known(), "ablation")
    path = next(path for folder in folders() if (path := folder / FOLDER / f"{name}.toml").exists())
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    for key in values:
        one_of(key, _TOP, f"key in {path}")
    texts = [values.get(key) for key in _TOP[:3]]
    rows = values.get("rows")
    if not all(isinstance(text, str) and text for text in texts) or not isinstance(rows, list) or not rows:
        raise SettingsError(f"{path}: wanted are dataset, segmenter and labels, each a name, and at least one [[rows]]")
    dataset, segmenter, labels = map(str, texts)
    named = dict(_row(path, row, Line(segmenter, labels, "", "")) for row in rows)
    if len(named) < len(rows) or {"", COMPLETE} <= set(named):
        raise SettingsError(f"{path}: two rows have one name; give each its own")
    metric = values.get("metric", "")
    one_of(metric, ("", *published.metrics()), f"metric in {path}")
    return Ablation(name, dataset, metric, named)


def _row(path: Path, row: object, usual: Line) -> tuple[str, Line]:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise SettingsError(f'{path}: a row without a name; each of [[rows]] begins with name = "…"')
    axes = {name: str(row[name]) for name in _AXES if name in row}
    sections = {section: table for section, table in row.items() if section not in ("name", *axes)}
    for section, table in sections.items():
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {section} in a row; allowed: name, {', '.join(_AXES)}, or [rows.<Section>]")
    return row["name"], replace(usual, **axes, settings=spelt_out(sections))


def spelt_out(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Sections of settings as the text of a variant: `Section.key=value;…`."""
    items = [(f"{section}.{key}", value) for section, table in sections.items() for key, value in table.items()]
    return ";".join(f"{name}={_spelt(name, value)}" for name, value in items)


def _spelt(name: str, value: object) -> str:
    try:
        return value if isinstance(value, str) else canonical(value)
    except (TypeError, ValueError):  # nan and inf, dates and times
        raise SettingsError(f"{name} = {value} in a row; allowed: texts, finite numbers, true and false") from None
