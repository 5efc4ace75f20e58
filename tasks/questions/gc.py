"""Gc: what can go from the outputs folder, who made it, and why nobody needs it."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import luigi
from luigi.task_register import Register

from pipeline.knobs import GcKnobs
from tasks.core import locks, pixel_store
from tasks.core.cache import Entry, Manifest
from tasks.core.errors import SettingsError, StageError
from tasks.core.parameters import KnobParameter, give_knobs, given
from tasks.core.settings import Experiment, known, outputs_folder
from tasks.core.stage import AnyStage
from tasks.core.walk import every_entry, rested_on
from tasks.questions.upkeep import TRASH, Upkeep

Entries = dict[str, tuple[Entry, Manifest]]


class Gc(Upkeep):
    """Lists old entries that no settings file names, drafts, damaged copies, trash; asks, and removes them.

    Where nobody can be asked it removes only with --apply.
    """

    apply = luigi.BoolParameter(default=False, positional=False, description="remove without asking")

    @cached_property
    def since(self) -> datetime:
        """What is younger is spared."""
        knobs = self.experiment.resolve(GcKnobs, given(self, GcKnobs))
        return datetime.now(UTC) - timedelta(days=knobs.keep_days)

    def answer(self) -> None:
        found = [(path, why) for path, why in self._candidates() if not locks.is_locked(_locked_by(path))]
        sizes = [sum(part.stat().st_size for part in (path, *path.rglob("*")) if part.is_file()) for path, _ in found]
        for (path, why), size in zip(found, sizes, strict=True):
            print(f"{size / 1e6:9.1f} MB  {path.relative_to(outputs_folder())}  {why}")
        total = f"{len(found)} of {self.dataset}, {sum(sizes) / 1e6:.1f} MB"
        if found and (self.apply or _yes(f"{total}: remove them? [y/N] ")):
            for path, _ in found:
                shutil.rmtree(path) if path.is_dir() else pixel_store.remove(path)
            print(f"removed {total}", flush=True)
        else:
            print(f"would go: {total}" + ("; add --apply to remove them" if found else ""), flush=True)

    def _candidates(self) -> Iterator[tuple[Path, str]]:
        outputs = outputs_folder()
        yield from self._entries()
        for kind, why in ((".draft-", "a run that was killed"), (".bad-", "was damaged")):
            for folder in sorted(outputs.glob(f"*/{kind}*")):
                if self.owns(folder.name.removeprefix(kind)):
                    yield folder, why
        for log in sorted((outputs / "logs").glob("*/*")):
            if self.owns(log.name) and not (outputs / log.parent.name / log.name).exists():
                yield log, "the log of an entry that is gone"
        for path in pixel_store.kept():
            if self.owns(path.name.partition("-")[2]) and path.stat().st_mtime < self.since.timestamp():
                yield path, "pixels that no training has read for long; they can be decoded again"
        for folder in sorted((outputs / TRASH).glob("*/*/*")):
            if self.owns(folder.name):
                yield folder, "in the trash"

    def _entries(self) -> Iterator[tuple[Path, str]]:
        """Entries that no settings file names, old enough, with nothing that is kept resting on them."""
        every = every_entry()
        strange = {key for key in every if not _is_named(key, every)}
        young = {key for key in strange if datetime.fromisoformat(every[key][1]["created"]) >= self.since}
        kept = rested_on((every.keys() - strange) | young, every)
        for key in sorted(strange - kept, key=lambda key: every[key][0].folder):
            entry, found = every[key]
            if found["dataset"] == self.dataset:
                made = f"made {found['created'][:10]} by: {_command(found)}"
                yield entry.folder, f"no settings file names it; {made}"
        if young:
            print(f"{len(young)} are spared, for they are younger than {self.since:%Y-%m-%d} ([Gc] keep_days)")


give_knobs(Gc, GcKnobs)


def _is_named(key: str, every: Entries) -> bool:
    """Whether some recipe or variant of the data set's settings files leads to this very entry."""
    found = every[key][1]
    for recipe in ("", *known("recipe")):
        with contextlib.suppress(SettingsError):  # a data set without a file, a network that is gone: it names nothing
            plain = Experiment(found["dataset"], recipe)
            variants = (Experiment(plain.dataset, recipe, variant) for variant in ("", *plain.variants()))
            try:
                if any(_as_made(experiment, key, every).key == key for experiment in variants):
                    return True
            except StageError:  # the data cannot be read right now: in doubt it stays
                return True
    return False


def _as_made(experiment: Experiment, key: str, every: Entries) -> AnyStage:
    """The stage of an entry under other settings: its axes are those of all that it rests on, its own first."""
    kind = Register.get_task_cls(every[key][1]["stage"])
    axes: dict[str, str] = {}
    for part in (key, *sorted(rested_on([key], every) - {key})):
        if part in every:
            axes = {**every[part][1]["axes"], **axes}
    images = {role: Path(name).name.rsplit("-", 1)[0] for role, name in every[key][1]["upstream_entries"].items()}
    axes |= {"images_of": images.get("dataset", ""), "target": images.get("target", "")}
    names = {name for name, parameter in kind.get_params() if not isinstance(parameter, KnobParameter)}
    stage: AnyStage = experiment.task(kind, **{name: value for name, value in axes.items() if name in names})
    return stage


def _command(found: Manifest) -> str:
    """The command line that an entry was made by, as a user would type it."""
    words = found["argv"][1:]
    return shlex.join(words[2:] if words[:2] == ["--module", "tasks"] else words)


def _yes(question: str) -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and input(question).strip().lower() in ("y", "yes")


def _locked_by(path: Path) -> Path:
    """The entry whose lock guards a folder: a draft is guarded by the lock of what it is to become."""
    return path.with_name(path.name.removeprefix(".draft-"))
