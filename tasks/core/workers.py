"""Work on many items, here or in worker processes.

What is handed over is frozen, resolved and without Luigi, so that it could be sent to any machine.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pipeline.knobs import ExecutionKnobs
from tasks.core.child import die_with_parent
from tasks.core.errors import StageError

if TYPE_CHECKING:
    import torch

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ItemIn = TypeVar("ItemIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)


@dataclass(frozen=True)
class Place:
    """Where something is computed; entered once, before anything is."""

    device: str = "cpu"  # or "cuda"
    threads: int = 0  # of networks; 0: there are none here, and torch is not touched

    def enter(self) -> Place:
        import cv2

        cv2.setNumThreads(1)
        if self.threads:
            import torch

            torch.set_num_threads(self.threads)
        return self

    def torch_device(self) -> torch.device:
        import torch

        return torch.device(self.device)


class Job(Protocol[ItemIn, ResultOut]):
    """A piece of work, opened once in each worker (a model is loaded, say) and then asked for every item."""

    def open(self, place: Place) -> Callable[[ItemIn], ResultOut]: ...


@dataclass(frozen=True)
class Workers:
    """Processes of this machine; one works without any. The work on an item must not rely on what came before it."""

    place: Place
    processes: int

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        """The results in the order of the items."""
        if self.processes == 1 or len(items) <= 1:
            yield from map(job.open(self.place.enter()), items)
            return
        work: Callable[[ItemT], ResultT] = functools.partial(_work, pickle.dumps((self.place, job)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of the fork, beside idle threads of libraries
                count = min(self.processes, len(items))
                with ProcessPoolExecutor(count, get_context("fork"), die_with_parent) as pool:
                    yield from pool.map(work, items)
        except BrokenProcessPool:
            raise StageError(
                "a worker process was killed (out of memory?); lower [Execution] processes and run the same command "
                "again"
            ) from None


def _work(handed: bytes, item: Any) -> Any:
    return _opened(handed)(item)


@functools.lru_cache(maxsize=1)
def _opened(handed: bytes) -> Callable[[Any], Any]:
    """The job as this worker opened it at its first item."""
    place, job = pickle.loads(handed)
    work: Callable[[Any], Any] = job.open(place.enter())
    return work


def place_of(execution: ExecutionKnobs) -> Place:
    """The device of the settings, and on a CPU their threads."""
    import torch

    there = torch.cuda.is_available()
    if execution.device == "cuda" and not there:
        raise ValueError('device = "cuda", but there is no usable GPU; set [Execution] device = "cpu" or "auto"')
    return Place("cuda" if there and execution.device != "cpu" else "cpu", execution.threads)


def workers_of(execution: ExecutionKnobs, *, networks: bool) -> Workers:
    """As many as the settings say, of one thread each; networks have one process for a GPU."""
    if not networks:
        return Workers(Place(), execution.processes)
    device = place_of(execution).device
    return Workers(Place(device, threads=1), 1 if device == "cuda" else execution.processes)
