"""Work on many items: what is handed over, and those who do it here.

What is handed over is frozen, resolved and without Luigi, so that it can be sent to any machine; `engines` has those
who do it elsewhere.
"""

from __future__ import annotations

import dataclasses
import functools
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from pipeline.knobs import ExecutionKnobs
from tasks.core import devices
from tasks.core.child import die_with_parent
from tasks.core.errors import StageError

if TYPE_CHECKING:
    import torch

_LARGEST_CHUNK, _ROUNDS = 32, 16
Thing: TypeAlias = Any  # an item or a result, where nobody looks at it
Work = Callable[[Thing], Thing]
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ItemIn = TypeVar("ItemIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


@dataclass(frozen=True)
class Place:
    """Where something is computed; entered once, before anything is."""

    device: str = "cpu"  # or "cuda", "cuda:1", or "auto": whatever is there
    threads: int = 0  # of networks; 0: there are none here, and torch is not touched

    def enter(self) -> Place:
        """The place as it was found; "auto" and a GPU that is not there are judged by the machine that computes."""
        import cv2

        cv2.setNumThreads(1)
        if not self.threads:
            return self
        import torch

        torch.set_num_threads(self.threads)
        found = dataclasses.replace(self, device=devices.found(self.device))
        if ":" in found.device and found.device.startswith("cuda"):
            torch.cuda.set_device(found.device)
        return found

    def name(self) -> str:
        """What a manifest says of it."""
        return devices.model_of(self.device)

    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.device)


class Job(Protocol[ItemIn, ResultOut]):
    """A piece of work, opened once in each worker (a model is loaded, say) and then asked for every item."""

    def open(self, place: Place) -> Callable[[ItemIn], ResultOut]: ...


class Workers(Protocol):
    """Those who work. The work on an item must not rely on what came before it, so that anybody can do it, twice if
    need be."""

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        """The results in the order of the items."""


@dataclass(frozen=True)
class Here:
    """This process."""

    place: Place

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        if items:
            yield from map(job.open(self.place.enter()), items)


@dataclass(frozen=True)
class Processes:
    """Processes of this machine; one works without any."""

    place: Place
    count: int

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        if self.count == 1 or len(items) <= 1:
            yield from Here(self.place).map(job, items)
            return
        work: Callable[[ItemT], ResultT] = functools.partial(_work, pickle.dumps((self.place, job)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of the fork, beside idle threads of libraries
                count = min(self.count, len(items))
                with ProcessPoolExecutor(count, get_context("fork"), die_with_parent) as pool:
                    yield from pool.map(work, items, chunksize=chunk_size(len(items), count))
        except BrokenProcessPool:
            raise killed("processes") from None


def chunk_size(items: int, workers: int) -> int:
    """How many items are handed over at a time: many where there are many, so that handing over costs little; few
    enough that nobody waits long for the last."""
    return max(1, min(_LARGEST_CHUNK, items // (workers * _ROUNDS)))


def killed(knob: str) -> StageError:
    """What is said of a worker process that is gone."""
    return StageError(
        f"a worker process was killed (out of memory?); lower [Execution] {knob} and run the same command again"
    )


def _work(handed: bytes, item: Thing) -> Thing:
    return _opened(handed)(item)


@functools.lru_cache(maxsize=1)
def _opened(handed: bytes) -> Work:
    """The job as this worker opened it at its first item."""
    place, job = pickle.loads(handed)
    work: Work = job.open(place.enter())
    return work


def place_of(execution: ExecutionKnobs) -> Place:
    """The device of the settings, and on a CPU their threads; beside others on the same machine, a GPU of its own."""
    if execution.workers == "gpus" and execution.device != "cpu":
        return Place(devices.leased(execution.count), execution.threads)
    return Place(devices.found(execution.device), execution.threads)


def local_workers(execution: ExecutionKnobs, *, networks: bool) -> Here | Processes:
    """Those of this machine, of one thread each, whoever else there may be; networks have one process for a GPU."""
    place = Place(devices.found(execution.device), threads=1) if networks else Place()
    alone = execution.workers == "here" or place.device == "cuda"
    return Here(place) if alone else Processes(place, execution.processes)
