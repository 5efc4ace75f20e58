"""Where the photos of a data set come from: read from a folder or an archive, drawn by a stage, or other data sets."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.knobs import DatasetKnobs, FetchKnobs, TreesKnobs
from pipeline.layouts import answered, csv_table, on_disk, splits, trees
from pipeline.layouts.on_disk import Found, Problem, Row
from tasks.core import cache
from tasks.core.console import Progress
from tasks.core.settings import outputs_folder
from tasks.core.workers import Workers
from tasks.intake import archive, photo_decoding
from tasks.intake.answers import AnswerStore
from tasks.intake.examination import ExamineJob, Verdict
from tasks.intake.fingerprint import Listing, listing, of_data
from tasks.intake.photo_index import Photo, photo_of

_CHUNK = 32  # images that a worker process checks at a time


class Source(Protocol):
    """What the stage Dataset has to know of its photos."""

    def fingerprint(self) -> str:
        """Identity of what lies outside the cache; '' when nothing does."""

    def missing(self) -> str:
        """A clause that says what is not on this machine, '' when all is."""

    def has_masks(self) -> bool:
        """Whether there are masks to score against, as far as the names of files tell."""

    def place(self) -> str:
        """Where a user would look for the photos."""

    def examined(self, workers: Workers, progress: Progress) -> Verdict:
        """Every photo and mask, looked at once."""

    def photos(self, rows: Sequence[Row]) -> Iterator[Photo]:
        """The photos of some rows of the index."""


@dataclass(frozen=True)
class Read:
    """Files of a folder, or of an archive of one, that lie as a layout says."""

    dataset: str
    path: Path
    rules: DatasetKnobs
    limits: FetchKnobs  # of an archive
    answers: Path | None = None  # the table of answers, where the layout has one outside the folder
    described: TreesKnobs | None = None  # where images and masks lie, where the layout has to be told

    def fingerprint(self) -> str:
        told = answered.labels_of(self._answers())
        of_photos = of_data(self.dataset, self.path, self.limits)
        answers = sorted([*what, label] for what, label in told.items())
        return hashlib.sha256(f"{of_photos}{cache.canonical(answers)}".encode()).hexdigest() if told else of_photos

    def missing(self) -> str:
        there = self.path.is_dir() or self.path.is_file()
        return "" if there else f"no data at {self.path} (luigi --module tasks Fetch --dataset {self.dataset})"

    def has_masks(self) -> bool:
        if self.rules.layout in ("classes", "answers"):
            return False
        if self.described:
            return bool(self.described.masks)
        if self.rules.layout != "csv" or not self.path.is_dir():
            return True
        return any(row.mask for row in self._found(sorted(self._listing().files)).rows)

    def place(self) -> str:
        return str(self.path)

    def root(self) -> Path:
        """The folder that paths in the index start from; an archive is unpacked at the first call."""
        if not self.path.is_file():
            return self.path
        return archive.unpacked(self.path, outputs_folder() / ".unpacked", self.limits)

    def examined(self, workers: Workers, progress: Progress) -> Verdict:
        there = self._listing()
        found = self._found(sorted(there.files))
        rows = splits.placed(found.rows, self.rules)
        verdict = Verdict(bad=[(problem.path, photo_decoding.shown(str(problem))) for problem in found.problems])
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        with progress:
            for number, part in enumerate(workers.map(ExamineJob(self.root(), self.rules), chunks), start=1):
                verdict.add(part)
                progress(min(number * _CHUNK, len(rows)), len(rows))
        verdict.unread = [path for path in found.unread(there.files) if path != csv_table.TABLE]
        left_out = len(found.rows) - len(rows)
        verdict.notes += [f"{left_out} left out by the settings"] if left_out else []
        verdict.notes += [f"{there.hidden} hidden files ignored"] if there.hidden else []
        return verdict

    def photos(self, rows: Sequence[Row]) -> Iterator[Photo]:
        root = self.root()
        return (photo_of(row, root, self.rules) for row in rows)

    def _listing(self) -> Listing:
        return listing(self.dataset, self.root())

    def _found(self, paths: list[str]) -> Found:
        odd = [path for path in paths if not _is_utf8(path)]
        good = [path for path in paths if path not in odd] if odd else paths
        found, layout = self._laid_out(good), self.rules.layout
        if not found.rows and not found.problems:
            some = ", ".join(photo_decoding.shown(path) for path in good[:3]) or "nothing"
            wanted = " or ".join(self.described.images) if self.described else on_disk.LOOKS_FOR[layout]
            raise ValueError(
                f"no images of the layout {layout!r} in {self.path}: it looks for {wanted}; "
                f"found: {some} (another layout is [Dataset] layout in configs/{self.dataset}.toml)"
            )
        found.problems += [Problem(path, "its name is not UTF-8; rename it") for path in odd]
        return found

    def _laid_out(self, paths: list[str]) -> Found:
        layout = self.rules.layout
        if layout == "csv":
            return csv_table.table(paths, self._table())
        if self.described:
            texts = {path: self._text(path) for path in trees.lists_of(paths, self.described)}
            return trees.trees(paths, self.described, texts)
        if layout == "answers":
            return answered.answered(paths, self._answers(), str(self.answers))
        return on_disk.LAYOUTS[layout](paths)

    def _answers(self) -> answered.Answers:
        """Nothing where nobody has answered yet."""
        return AnswerStore(self.answers).answers() if self.answers else {}

    def _table(self) -> str:
        try:
            return self._text(csv_table.TABLE, " as CSV")
        except FileNotFoundError:
            path, columns = self.root() / csv_table.TABLE, ",".join(csv_table.COLUMNS)
            raise ValueError(f"there is no {path}; write it, with the columns {columns}") from None

    def _text(self, name: str, kind: str = "") -> str:
        path = self.root() / name
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8; save it{kind} in UTF-8") from None


class Drawn(Read):
    """Photos that another stage of this project draws, laid out as a user's folder; their key tells all of them."""

    def fingerprint(self) -> str:
        return ""

    def missing(self) -> str:
        return ""


class Part(Protocol):
    """A data set that is part of another."""

    @property
    def rows(self) -> list[Row]: ...

    @property
    def source(self) -> Source: ...


@dataclass(frozen=True)
class Combined:
    """The union of other data sets, split by split, each under its own rules."""

    parts: Mapping[str, Part]
    rules: DatasetKnobs

    def fingerprint(self) -> str:
        return ""

    def missing(self) -> str:
        return ", ".join(reason for reason in (part.source.missing() for part in self.parts.values()) if reason)

    def has_masks(self) -> bool:
        return any(part.source.has_masks() for part in self.parts.values())

    def place(self) -> str:
        return f"its parts {', '.join(self.parts)}"

    def examined(self, workers: Workers, progress: Progress) -> Verdict:
        """Their own stages have looked at them."""
        rows = [
            dataclasses.replace(row, id=f"{name}-{row.id}", part=name, group=f"{name}/{row.group}")
            for name, part in self.parts.items()
            for row in part.rows
        ]
        kept = splits.at_most(rows, self.rules.max_images, self.rules.seed)
        left_out = len(rows) - len(kept)
        return Verdict(kept, notes=[f"{left_out} left out by the settings"] if left_out else [])

    def photos(self, rows: Sequence[Row]) -> Iterator[Photo]:
        theirs = {
            f"{name}-{photo.id}": photo for name, part in self.parts.items() for photo in part.source.photos(part.rows)
        }
        return (dataclasses.replace(theirs[row.id], id=row.id) for row in rows)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
