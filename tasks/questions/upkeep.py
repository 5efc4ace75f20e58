"""Invalidate, Verify, Gc: what is to be computed anew, what is damaged, what can go."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

import luigi

from tasks.core import cache, settings
from tasks.core.cache import Entry
from tasks.core.errors import HairlineError, SettingsError, StageError, nearest
from tasks.core.stage import Stage
from tasks.questions.run_all import Question
from tasks.reports.rows import walk
from tasks.tables import Tables


class Upkeep(Question):
    """A question about the cached entries of one data set."""

    def stages(self) -> list[Stage]:
        """Every stage of the experiment, upstream first."""
        return walk(self.sibling(Tables))

    def entries(self) -> Iterable[Entry]:
        """All finished entries of the data set, whatever settings made them."""
        name = re.compile(rf"{re.escape(self.dataset)}-[0-9a-f]{{{cache.KEY_CHARS}}}")
        for folder in sorted(settings.outputs_folder().glob(f"[!.]*/{self.dataset}-*")):
            if folder.is_dir() and name.fullmatch(folder.name):
                yield Entry(folder, _key_in(folder))


def _key_in(folder: Path) -> str:
    """The key that an entry's manifest states, or what its name shows of it."""
    try:
        return str(json.loads((folder / cache.MANIFEST).read_bytes())["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name.rsplit("-", 1)[-1]


class Invalidate(Upkeep):
    """Moves a stage's entry, and what was computed from it, to a trash folder; `--undo` moves the last batch back."""

    stage = luigi.Parameter(default="", positional=False, description="the stage whose entry is to be computed anew")
    undo = luigi.BoolParameter(default=False, positional=False, description="move the last batch back")

    def answer(self) -> None:
        if self.undo:
            self._undo()
            return
        names = {part.stage() for part in self.stages()}
        if self.stage not in names:
            raise SettingsError(f"--stage {self.stage!r} is no stage; {nearest(self.stage, names)}")
        moved = [part for part in self.stages() if part.entry.exists() and self._rests_on_it(part)]
        batch = _new_batch(settings.outputs_folder() / ".trash")
        for part in moved:
            if cache.is_locked(part.entry.folder):
                raise StageError(f"{part.entry.name} is being computed; wait for that run, then invalidate")
            target = batch / part.entry.folder.parent.name
            target.mkdir(parents=True, exist_ok=True)
            part.entry.folder.rename(target / part.entry.name)
            print(f"moved  {part.stage():<14} {part.entry.name}")
        print(
            f"{len(moved)} entries are in {batch}; "
            f"undo: luigi --module tasks Invalidate --dataset {self.dataset} --undo"
        )

    def _rests_on_it(self, part: Stage) -> bool:
        return any(above.stage() == self.stage for above in walk(part))

    def _undo(self) -> None:
        batches = sorted((settings.outputs_folder() / ".trash").glob("*"), key=lambda path: int(path.name))
        if not batches:
            raise StageError("the trash is empty; there is nothing to move back")
        for entry in sorted(batches[-1].glob("*/*")):
            target = settings.outputs_folder() / entry.parent.name / entry.name
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
            why = entry.damage() or ", ".join(f"{name} has another checksum" for name in entry.wrong_checksums())
            if why:
                bad.append(f"{entry.folder.parent.name}/{entry.name}: {why}; moved to {cache.set_aside(entry).name}")
        print(f"{count} entries of {self.dataset} read in {time.monotonic() - started:.1f} s, {len(bad)} damaged")
        if bad:
            raise StageError(
                "\n  ".join([f"{len(bad)} damaged entries; RunAll computes anew what is needed of them:", *bad])
            )


class Gc(Upkeep):
    """Removes what no current settings name: old entries, drafts, damaged copies, trash. Lists only, unless --apply."""

    apply = luigi.BoolParameter(default=False, positional=False, description="really remove")

    def answer(self) -> None:
        needed = self._needed()
        found = [(folder, why) for folder, why in self._candidates(needed) if not cache.is_locked(_entry_of(folder))]
        size = 0
        for folder, why in found:
            used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            size += used
            print(
                f"{'removed' if self.apply else 'would go'}  {used / 1e6:9.1f} MB  "
                f"{folder.parent.name}/{folder.name}  {why}"
            )
            if self.apply:
                shutil.rmtree(folder)
        end = "" if self.apply or not found else "; add --apply to remove them"
        print(f"{len(found)} folders, {size / 1e6:.1f} MB{end}", flush=True)

    def _needed(self) -> set[Path]:
        """The entries that RunAll of any data set would use, in its recipe as it stands and in its variants."""
        needed = {stage.entry.folder for stage in self.stages()}
        for name in settings.known("dataset"):
            try:
                variants = ["", *settings.variants(name, "")]
                for variant in variants:
                    needed |= {stage.entry.folder for stage in walk(Tables(dataset=name, variant=variant))}
            except HairlineError as error:
                if name == self.dataset:
                    raise
                print(f"note: {name} cannot be planned ({error}); its entries are not touched")
        return needed

    def _candidates(self, needed: set[Path]) -> Iterable[tuple[Path, str]]:
        outputs = settings.outputs_folder()
        for entry in self.entries():
            if entry.folder not in needed:
                yield entry.folder, "no current settings name it"
        for kind, why in ((".draft", "a run that was killed"), (".bad", "was damaged")):
            for folder in sorted(outputs.glob(f"*/{kind}-{self.dataset}-*")):
                yield folder, why
        for log in sorted((outputs / "logs").glob(f"*/{self.dataset}-*")):
            if not (outputs / log.parent.name / log.name).exists():
                yield log, "the log of an entry that is gone"
        for batch in sorted((outputs / ".trash").glob("*/*")):
            for folder in sorted(batch.glob(f"{self.dataset}-*")):
                yield folder, "in the trash"


def _entry_of(folder: Path) -> Path:
    """The entry whose lock guards a folder: a draft is guarded by the lock of what it is to become."""
    return folder.with_name(folder.name.removeprefix(".draft-"))
