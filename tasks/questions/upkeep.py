"""Invalidate and Verify: what is to be computed anew, and what is damaged."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import luigi

from pipeline.knobs.ranges import nearest
from tasks.core import cache, locks
from tasks.core.cache import Entry
from tasks.core.errors import SettingsError, StageError
from tasks.core.parameters import name_of
from tasks.core.question import Question
from tasks.core.settings import outputs_folder
from tasks.core.stage import AnyStage
from tasks.core.walk import every_entry, resting_on, walk
from tasks.tables import Tables

TRASH = ".trash"


class Upkeep(Question):
    """A question about the cached entries of one data set."""

    def stages(self) -> list[AnyStage]:
        """Every stage of the experiment, upstream first."""
        return walk(self.sibling(Tables))

    def entries(self) -> Iterator[Entry]:
        """All finished entries of the data set, whatever settings made them."""
        for folder in sorted(outputs_folder().glob(f"[!.]*/{self.dataset}-*")):
            if folder.is_dir() and self.owns(folder.name):
                yield Entry(folder, _key_in(folder))

    def owns(self, name: str) -> bool:
        """Whether an entry's name, or one that begins with it, is of this data set and of no `<dataset>-two`."""
        return bool(re.match(rf"{re.escape(self.dataset)}-[0-9a-f]{{{cache.KEY_CHARS}}}(?![0-9a-z_])", name))


def _key_in(folder: Path) -> str:
    """The key that an entry's manifest states, or what its name shows of it."""
    try:
        return str(json.loads((folder / cache.MANIFEST).read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name.rsplit("-", 1)[-1]


class Invalidate(Upkeep):
    """Moves a stage's entry, and all that was made from it, to a trash folder; `--undo` moves the last batch back."""

    stage = name_of("the stage whose entry is to be computed anew")
    undo = luigi.BoolParameter(default=False, positional=False, description="move the last batch back")

    def planned(self) -> list[AnyStage]:
        return [self.sibling(Tables)]

    def answer(self) -> None:
        if self.undo:
            self._undo()
            return
        stages = self.stages()
        names = {part.stage() for part in stages}
        if self.stage not in names:
            raise SettingsError(f"--stage {self.stage!r} is no stage; {nearest(self.stage, names)}")
        entries = every_entry()
        keys = resting_on((part.key for part in stages if part.stage() == self.stage), entries)
        moved = [(entry, found) for key, (entry, found) in entries.items() if key in keys]
        for entry, _ in moved:
            if locks.is_locked(entry.folder):
                raise StageError(f"{entry.name} is being computed; wait for that run, then invalidate")
        batch = _new_batch(outputs_folder() / TRASH)
        for entry, found in moved:
            target = batch / entry.folder.parent.name
            target.mkdir(parents=True, exist_ok=True)
            entry.folder.rename(target / entry.name)
            print(f"moved  {found['stage']:<14} {entry.name}")
        print(
            f"{len(moved)} entries are in {batch}; "
            f"undo: luigi --module tasks Invalidate --dataset {self.dataset} --undo"
        )

    def _undo(self) -> None:
        batches = sorted((outputs_folder() / TRASH).glob("*"), key=lambda path: int(path.name))
        if not batches:
            raise StageError("the trash is empty; there is nothing to move back")
        for entry in sorted(batches[-1].glob("*/*")):
            target = outputs_folder() / entry.parent.name / entry.name
            if target.exists():
                print(f"kept   {target} (computed anew meanwhile; the old one stays in {entry})")
                continue
            entry.rename(target)
            print(f"back   {target}")
        _remove_empty(batches[-1])


def _new_batch(trash: Path) -> Path:
    """Batches are counted, not dated: a wrong clock does no harm."""
    numbers = [int(path.name) for path in trash.glob("*") if path.name.isdigit()]
    batch = trash / f"{max(numbers, default=0) + 1:06d}"
    batch.mkdir(parents=True)
    return batch


def _remove_empty(folder: Path) -> None:
    for part in [*folder.glob("*"), folder]:
        if part.is_dir() and not any(part.iterdir()):
            part.rmdir()


class Verify(Upkeep):
    """Compares every cached file with its checksum; a damaged entry is moved aside, to be computed anew."""

    def answer(self) -> None:
        started, count, bad = time.monotonic(), 0, []
        for entry in self.entries():
            count += 1
            why = entry.damage(thoroughly=True)
            why = why or ", ".join(f"{name} has another checksum" for name in entry.wrong_checksums())
            if why:
                bad.append(f"{entry.folder.parent.name}/{entry.name}: {why}; moved to {cache.set_aside(entry).name}")
        print(f"{count} entries of {self.dataset} read in {time.monotonic() - started:.1f} s, {len(bad)} damaged")
        if bad:
            raise StageError(
                "\n  ".join([f"{len(bad)} damaged entries; RunAll computes anew what is needed of them:", *bad])
            )
