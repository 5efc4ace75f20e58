"""The folder of results that a person finds again: outputs/answers/<data set>/<name>/, one for each set of settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.cache import canonical
from tasks.core.settings import outputs_folder

RUN, REVIEW = "run.json", "review.json"
MASKS, OVERLAYS, PARTS = "masks", "overlays", ".parts"


@dataclass(frozen=True)
class ResultsFolder:
    """Where everything of one run lies; the same settings find it again, others get a folder of their own."""

    path: Path
    identity: dict[str, object]

    def mask(self, stem: str) -> Path:
        return self.path / MASKS / f"{stem}.png"

    def overlay(self, stem: str) -> Path:
        return self.path / OVERLAYS / f"{stem}.jpg"

    def part(self, stem: str) -> Path:
        """What was measured in a photo, from which the report is made."""
        return self.path / PARTS / f"{stem}.json"

    def reviews(self) -> dict[str, str]:
        """What somebody marked in the report of the run before and saved here."""
        try:
            marks = json.loads((self.path / REVIEW).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        marks = marks.get("marks", marks) if isinstance(marks, dict) else {}
        return {str(name): mark for name, mark in marks.items() if isinstance(mark, str)}


def results_folder(owner: str, name: str, identity: dict[str, object]) -> ResultsFolder:
    """`name`, or `name-2` and so on where results of other settings lie there already."""
    base, number = outputs_folder() / "answers" / owner, 1
    while True:
        folder = base / (name if number == 1 else f"{name}-{number}")
        known = _identity(folder)
        if known is None or canonical(known) == canonical(identity):
            break
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    return ResultsFolder(folder, identity)


def _identity(folder: Path) -> object:
    """None where nothing lies; something that equals nothing where it cannot be told what does."""
    if not folder.exists():
        return None
    try:
        return files.read_json(folder / RUN)["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return None if not any(folder.iterdir()) else "unknown"
