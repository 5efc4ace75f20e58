"""Stage: one cached artefact, named by a key that is made of its settings and of the keys above it."""

from __future__ import annotations

import abc
import platform
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, get_args

import luigi

from pipeline.knobs import ExecutionKnobs, as_dict
from tasks.core import cache, child, console, locks, parameters, provenance
from tasks.core.cache import Draft, Entry, Identity, Manifest
from tasks.core.engines.stage_job import made_by_slurm
from tasks.core.errors import StageError
from tasks.core.files import snake
from tasks.core.settings import Experiment, outputs_folder

KnobsT = TypeVar("KnobsT", covariant=True)
StageT = TypeVar("StageT", bound="AnyStage")


class Execution(luigi.Config):
    """Device, threads and processes: what may not change results."""


parameters.give_knobs(Execution, ExecutionKnobs)


def execution_of(experiment: Experiment) -> ExecutionKnobs:
    return experiment.resolve(ExecutionKnobs, parameters.given(Execution(), ExecutionKnobs))


class Stage(luigi.Task, Generic[KnobsT], abc.ABC):
    """A subclass names the schema of its knobs, its axes, its upstream stages, and how it is made."""

    dataset, recipe, variant = parameters.DATASET, parameters.RECIPE, parameters.VARIANT
    schema: ClassVar[type]
    version: ClassVar[int] = 1  # raised when results change their meaning
    axis_names: ClassVar[tuple[str, ...]] = ()
    resumable: ClassVar[bool] = False  # whether a draft left by a killed run is worth going on with
    own_job: ClassVar[bool] = False  # whether it is a job of its own where SLURM works, as a training is
    unit: ClassVar[str] = "images"

    def __init_subclass__(cls) -> None:
        """The schema is the type argument: `class Cams(ImageStage[CamsKnobs])`."""
        super().__init_subclass__()
        arguments = [argument for base in getattr(cls, "__orig_bases__", ()) for argument in get_args(base)]
        if arguments and isinstance(arguments[0], type):
            cls.schema = arguments[0]
            parameters.give_knobs(cls, cls.schema)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settle()

    def settle(self) -> None:
        """Checks what was asked for, and fills in what was left out."""

    @classmethod
    def stage(cls) -> str:
        return cls.__name__

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment(self.dataset, self.recipe, self.variant)

    def sibling(self, cls: type[StageT], **axes: str) -> StageT:
        """Another stage of the same experiment."""
        return self.experiment.task(cls, **axes)

    @cached_property
    def knobs(self) -> KnobsT:
        resolved: KnobsT = self.experiment.resolve(self.schema, parameters.given(self, self.schema))
        return resolved

    @cached_property
    def execution(self) -> ExecutionKnobs:
        return execution_of(self.experiment)

    def meaning(self) -> int:
        """The version of what the bytes mean: `version`, unless some settings alone have changed theirs."""
        return self.version

    def significant_knobs(self) -> dict[str, object]:
        """The knobs that go into the key: all of them, unless a stage knows better."""
        return as_dict(self.knobs)

    def upstream(self) -> Mapping[str, AnyStage]:
        """The stages whose entries this one reads, by a name that says which role each plays."""
        return {}

    @cached_property
    def above(self) -> dict[str, AnyStage]:
        return dict(self.upstream())

    def requires(self) -> list[AnyStage]:
        return list(self.above.values())

    def fingerprint(self) -> str:
        """Identity of data from outside the cache; '' when there are none."""
        return ""

    @cached_property
    def axes(self) -> dict[str, str]:
        return {name: str(getattr(self, name)) for name in self.axis_names}

    @cached_property
    def identity(self) -> Identity:
        return {
            "stage": self.stage(),
            "version": self.meaning(),
            "axes": self.axes,
            "knobs": self.significant_knobs(),
            "upstream": {role: stage.key for role, stage in self.above.items()},
            "fingerprint": self.fingerprint(),
        }

    @cached_property
    def key(self) -> str:
        return cache.key_of(self.identity)

    @cached_property
    def entry(self) -> Entry:
        return Entry(outputs_folder() / snake(self.stage()) / f"{self.owner()}-{self.short_key}", self.key)

    def owner(self) -> str:
        return self.dataset  # what its entry is named after, but for what all data sets share

    @property
    def short_key(self) -> str:
        return self.key[: cache.KEY_CHARS]

    def complete(self) -> bool:
        return self.entry.is_complete()

    def output(self) -> list[luigi.Target]:
        """Nothing for Luigi to look at: `complete` is the judge."""
        return []

    def say(self, text: str) -> None:
        console.say(self.stage(), text)

    def progress(self, unit: str = "", label: str = "") -> console.Progress:
        return console.Progress(self.stage(), unit or self.unit, label)

    @abc.abstractmethod
    def make(self, draft: Draft) -> str:
        """Fills the draft from the upstream entries; returns the result in a few words."""

    def run(self) -> None:
        cache.check_writable(outputs_folder())
        child.run_in_child(f"{self.stage()} {self.entry.name}", lambda: compute(self), self.execution.time_limit_s)


AnyStage: TypeAlias = Stage[object]


def compute(stage: AnyStage) -> None:
    """Here, or as a job of its own."""
    if stage.own_job and stage.execution.workers == "slurm":
        told = stage.stage(), stage.entry.name, stage.param_kwargs, stage.key
        made_by_slurm(*told, stage.execution, stage.complete)
    else:
        make_under_lock(stage)


def make_under_lock(stage: AnyStage) -> None:
    try:
        with locks.locked(stage.entry.folder, stage.say):
            if not stage.complete():
                _make(stage)
    except OSError as error:
        raise StageError(cache.say_os_error(error, stage.entry.folder, _size_hint(stage))) from error


def _make(stage: AnyStage) -> None:
    entry = stage.entry
    if entry.exists():
        why = entry.damage()
        stage.say(f"{entry.name} is damaged ({why}); moved to {cache.set_aside(entry).name}, computed anew")
    _refuse_changed_data(stage)
    draft = cache.open_draft(entry, stage.stage(), resumable=stage.resumable)
    started = time.monotonic()
    stage.say(f"{title(stage)}  …")
    cache.chaos(stage.stage(), "start")
    try:
        result = _made(stage, draft)
        _refuse_changed_data(stage, draft)
        cache.chaos(stage.stage(), "made")
        seconds = time.monotonic() - started
        draft.commit(_manifest(stage, seconds, result))
    except OSError:
        shutil.rmtree(draft.folder, ignore_errors=True)  # the disk needs the space
        raise
    stage.say(f"{title(stage)}  ✓ {result}  ({console.duration(seconds)})")


def title(stage: AnyStage) -> str:
    axes = " · ".join(value for value in stage.axes.values() if value)
    return f"{stage.entry.name}" + (f"  {axes}" if axes else "")


def _refuse_changed_data(stage: AnyStage, draft: Draft | None = None) -> None:
    """The key tells of the data as they were when the run was planned, hours ago perhaps."""
    if stage.fingerprint() != stage.identity["fingerprint"]:
        if draft:
            shutil.rmtree(draft.folder, ignore_errors=True)  # made of both
        raise StageError(f"{stage.stage()}: the data changed while running; run the same command again")


def _made(stage: AnyStage, draft: Draft) -> str:
    """`make`, with the complaints of the mathematics turned into our own kind of error."""
    try:
        return stage.make(draft)
    except StageError:
        if not stage.resumable:
            shutil.rmtree(draft.folder, ignore_errors=True)
        raise
    except (ValueError, FloatingPointError) as error:
        shutil.rmtree(draft.folder, ignore_errors=True)
        raise StageError(str(error)) from error


def _manifest(stage: AnyStage, seconds: float, result: str) -> Manifest:
    return {
        **stage.identity,
        "key": stage.key,
        "dataset": stage.dataset,
        "upstream_entries": {role: f"{snake(part.stage())}/{part.entry.name}" for role, part in stage.above.items()},
        "result": result,
        "seconds": round(seconds, 3),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "execution": as_dict(stage.execution),
        "devices": [],
        "argv": sys.argv,
        "host": console.host(),
        "python": platform.python_version(),
        "packages": provenance.package_versions(),
        "git": provenance.git_commit(),
        "files": {},
    }


def _size_hint(stage: AnyStage) -> int:
    """About how many bytes an entry of this stage takes, as far as one is there to tell."""
    entries = cache.entries(stage.entry.folder.parent)
    return max((sum(record["size"] for record in found.records().values()) for found, _ in entries), default=0)
