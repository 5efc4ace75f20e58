"""A folder of photos with yes/no answers in a table of its own, for whole photos or for tiles of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.layouts.on_disk import IMAGE_SUFFIXES, UNLABELLED, Found, Problem, Row, row_id, row_of

ANSWERS = {"crack": 1, "no_crack": 0}
Tile = tuple[int, int, int, int]  # left, top, right, bottom; the last two are exclusive
Answers = Mapping[tuple[str, str], str]  # (image, tile) → the last answer that was given for it


def labels_of(answers: Answers) -> dict[tuple[str, str], int]:
    """(image, tile) → 1 or 0; what was skipped or undone is not there."""
    return {what: ANSWERS[answer] for what, answer in answers.items() if answer in ANSWERS}


def answered(paths: Iterable[str], answers: Answers, table: str) -> Found:
    """Every answered photo or tile of one is a photo by itself; the photos that nobody answered for are unlabelled."""
    pictures = sorted(path for path in paths if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES)
    there, seen, found = set(pictures), set[str](), Found()
    for (image, tile), label in sorted(labels_of(answers).items()):
        if image in there:
            seen.add(image)
            found.rows.append(_row(image, tile, label))
        else:
            gone = f"answered in {table}, but there is no such photo; put it back, or take its lines out of the table"
            found.problems.append(Problem(image, gone))
    found.problems = list(dict.fromkeys(found.problems))
    found.rows += [row_of(path, split=UNLABELLED, group=path) for path in pictures if path not in seen]
    return found


def _row(image: str, tile: str, label: int) -> Row:
    """All tiles of a photo stay on one side of a split."""
    row = row_of(image, group=image, label=label)
    return replace(row, id=row_id(f"{image}#{tile}"), tile=tile) if tile else row


def tile_of(text: str) -> Tile | None:
    """ "0 0 256 256" → left, top, right, bottom."""
    if not text:
        return None
    left, top, right, bottom = map(int, text.split())
    return left, top, right, bottom
