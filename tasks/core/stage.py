"""Stage: recipe → key → folder, written in a draft and renamed once."""

from __future__ import annotations

import abc
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import luigi

from pipeline import knobs
from tasks.core import cache, child, console, settings
from tasks.core.cache import Draft, Entry
from tasks.core.errors import SettingsError, StageError, nearest
from tasks.core.provenance import git_commit, manifests, package_versions, snake

SPLITS = ("train", "val", "test")
StageT = TypeVar("StageT", bound="Stage")


class KnobParameter(luigi.Parameter):
    """A knob on the command line, as text; '' means: as the settings files say."""

    def __init__(self, description: str) -> None:
        super().__init__(default="", positional=False, description=description)

    def normalize(self, x: Any) -> str:
        return x if isinstance(x, str) else cache.canonical(x)

    def _warn_on_wrong_param_type(self, param_name: str, param_value: Any) -> None:
        """Any type is welcome: `normalize` makes texts of them all."""


class Choice(luigi.Parameter):
    """An axis with a list of allowed names; '' is allowed where it is the default: none, or the usual one."""

    def __init__(self, allowed: Iterable[str], what: str, *, default: str | None = None) -> None:
        self.allowed, self.what, self.blank = tuple(allowed), what, default == ""
        options: dict[str, Any] = {} if default is None else {"default": default, "positional": False}
        super().__init__(description="|".join(self.allowed), **options)

    def normalize(self, x: Any) -> str:
        if not (x == "" and self.blank):
            one_of(x, self.allowed, self.what)
        return str(x)


def give_knobs(cls: Any, section: str) -> None:
    """One command-line option for each knob of a section."""
    for name, annotation in knobs.fields(knobs.SECTIONS[section]).items():
        if hasattr(cls, name):
            raise TypeError(f"{section} already has an attribute {name!r}; choose another name for the knob")
        parameter = KnobParameter(f"{annotation}".replace("typing.", ""))
        setattr(cls, name, parameter)
        parameter.__set_name__(cls, name)


class Execution(luigi.Config):
    """Device, threads and processes: what may not change results."""


give_knobs(Execution, "Execution")


def given(task: Any, section: str) -> dict[str, str]:
    """The knobs of a section that the command line sets, as texts."""
    return {name: getattr(task, name) for name in knobs.fields(knobs.SECTIONS[section]) if getattr(task, name)}


class Experiment(luigi.Task):
    """Whatever is asked about one data set: its name, the recipe ('' = the one it names) and a variant of it."""

    dataset = luigi.Parameter(description="a file configs/<dataset>.toml")
    recipe = luigi.Parameter(default="", positional=False, description="a file configs/recipes/<recipe>.toml")
    variant = luigi.Parameter(default="", positional=False, description="a [variants.<name>] of the settings")

    def sibling(self, cls: type[StageT], **axes: str) -> StageT:
        """Another stage of the same experiment."""
        common = {"dataset": self.dataset, "recipe": self.recipe, "variant": self.variant}
        return cls(**{**common, **axes})

    def first_classifier(self) -> str:
        """The classifier that is meant where none is named: the first of [Tables] classifiers, '' without any."""
        classifiers = settings.resolve("Tables", self.dataset, self.recipe, self.variant, {}).classifiers
        return str(classifiers[0]) if classifiers else ""

    def resolved(self, section: str, task: Any) -> Any:
        return settings.resolve(section, self.dataset, self.recipe, self.variant, given(task, section))

    @cached_property
    def execution(self) -> knobs.ExecutionKnobs:
        resolved: knobs.ExecutionKnobs = self.resolved("Execution", Execution())
        return resolved


class Stage(Experiment, abc.ABC):
    """One cached artefact. A subclass names its axes, its upstream stages, and how it is made."""

    version: ClassVar[int] = 1  # raised when results change their meaning
    axis_names: ClassVar[tuple[str, ...]] = ()
    resumable: ClassVar[bool] = False  # whether a draft left by a killed run is worth going on with
    unit: ClassVar[str] = "images"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__name__ in knobs.SECTIONS:
            give_knobs(cls, cls.__name__)

    @classmethod
    def stage(cls) -> str:
        return str(cls.__name__)

    @cached_property
    def knobs(self) -> Any:
        return self.resolved(self.stage(), self)

    def significant_knobs(self) -> dict[str, Any]:
        """The knobs that go into the key: all of them, unless a stage knows better."""
        return knobs.as_dict(self.knobs)

    def upstream(self) -> Mapping[str, Stage]:
        """The stages whose entries this one reads, by a name that says which role each plays."""
        return {}

    def requires(self) -> list[Stage]:
        return list(self.upstream().values())

    def fingerprint(self) -> str:
        """Identity of data from outside the cache; '' when there are none."""
        return ""

    @cached_property
    def axes(self) -> dict[str, str]:
        return {name: str(getattr(self, name)) for name in self.axis_names}

    @cached_property
    def identity(self) -> dict[str, Any]:
        return {
            "stage": self.stage(),
            "version": self.version,
            "axes": self.axes,
            "knobs": self.significant_knobs(),
            "upstream": {name: stage.key for name, stage in self.upstream().items()},
            "fingerprint": self.fingerprint(),
        }

    @cached_property
    def key(self) -> str:
        return cache.key_of(self.identity)

    @cached_property
    def entry(self) -> Entry:
        name = f"{self.dataset}-{self.key[: cache.KEY_CHARS]}"
        return Entry(settings.outputs_folder() / snake(self.stage()) / name, self.key)

    @property
    def short_key(self) -> str:
        return self.key[: cache.KEY_CHARS]

    def title(self) -> str:
        axes = " · ".join(value for value in self.axes.values() if value)
        return f"{self.entry.name}" + (f"  {axes}" if axes else "")

    def complete(self) -> bool:
        return self.entry.is_complete()

    def output(self) -> list[Any]:
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
        cache.check_writable(settings.outputs_folder())
        child.run_in_child(f"{self.stage()} {self.entry.name}", self._locked_make, self.execution.time_limit_s)

    def _locked_make(self) -> None:
        try:
            with cache.locked(self.entry, self.say):
                if not self.complete():
                    self._make_entry()
        except OSError as error:
            raise StageError(cache.say_os_error(error, self.entry.folder, self.size_hint())) from error

    def _make_entry(self) -> None:
        if self.entry.exists():
            why = self.entry.damage()
            self.say(
                f"{self.entry.name} is damaged ({why}); moved to {cache.set_aside(self.entry).name}, computed anew"
            )
        self._refuse_changed_data()
        draft = cache.open_draft(self.entry, self.stage(), resumable=self.resumable)
        started = time.monotonic()
        self.say(f"{self.title()}  …")
        cache.chaos(self.stage(), "start")
        try:
            result = self._made(draft)
            self._refuse_changed_data(draft)
            cache.chaos(self.stage(), "made")
            seconds = time.monotonic() - started
            draft.commit(self._manifest(seconds, result))
        except OSError:
            shutil.rmtree(draft.folder, ignore_errors=True)  # the disk needs the space
            raise
        self.say(f"{self.title()}  ✓ {result}  ({console.duration(seconds)})")

    def _refuse_changed_data(self, draft: Draft | None = None) -> None:
        """The key tells of the data as they were when the run was planned, hours ago perhaps."""
        if self.fingerprint() != self.identity["fingerprint"]:
            if draft:
                shutil.rmtree(draft.folder, ignore_errors=True)  # made of both
            raise StageError(f"{self.stage()}: the data changed while running; run the same command again")

    def _made(self, draft: Draft) -> str:
        """`make`, with the complaints of the mathematics turned into our own kind of error."""
        try:
            return self.make(draft)
        except StageError:
            if not self.resumable:
                shutil.rmtree(draft.folder, ignore_errors=True)
            raise
        except (ValueError, FloatingPointError) as error:
            shutil.rmtree(draft.folder, ignore_errors=True)
            raise StageError(str(error)) from error

    def _manifest(self, seconds: float, result: str) -> dict[str, Any]:
        return {
            **self.identity,
            "key": self.key,
            "dataset": self.dataset,
            "upstream_entries": {
                name: f"{snake(stage.stage())}/{stage.entry.name}" for name, stage in self.upstream().items()
            },
            "result": result,
            "seconds": round(seconds, 3),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "execution": knobs.as_dict(self.execution),
            "argv": sys.argv,
            "host": console.host(),
            "python": platform.python_version(),
            "packages": package_versions(),
            "git": git_commit(),
        }

    def size_hint(self) -> int:
        """About how many bytes an entry of this stage takes, for the sentence about a full disk."""
        folder = self.entry.folder.parent
        sizes = [sum(record["size"] for record in manifest["files"].values()) for manifest in manifests(folder)]
        return max(sizes, default=1_000_000)

    def for_each(
        self, names: list[str], output: Callable[[str], str], draft: Draft, work: Callable[[str], None]
    ) -> None:
        """`work(name)` for every name whose output is not in the draft yet, in several processes, with progress.

        Each call writes its own files whole, so a killed stage goes on with the images that are missing.
        """
        missing = [name for name in names if not (draft.folder / output(name)).exists()]
        done = len(names) - len(missing)
        half = len(missing) // 2
        with self.progress() as progress:
            progress.start_at(done)
            steps = child.in_processes(lambda index: work(missing[index]), len(missing), self.processes())
            for number, _ in enumerate(steps, start=1):
                if number == max(half, 1):
                    cache.chaos(self.stage(), "mid")
                progress(done + number, len(names))

    def processes(self) -> int:
        """Worker processes of a stage that works image by image."""
        return self.execution.processes


def one_of(value: str, allowed: Iterable[str], what: str) -> None:
    """A check of an axis: one sentence with the nearest allowed name."""
    if value not in allowed:
        raise SettingsError(f"there is no {what} {value!r}; {nearest(value, allowed)}")
