"""A process for each GPU of this machine."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue

from tasks.core.child import die_with_parent
from tasks.core.workers import Here, ItemT, Job, Place, ResultT, Thing, Work, chunk_size, killed

_WORK: list[Work] = []  # of this process


@dataclass(frozen=True)
class Gpus:
    """One process for each place, started anew: a forked one could not use a GPU that its parent has touched."""

    places: tuple[Place, ...]

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        places = self.places[: len(items)]
        if len(places) <= 1:
            yield from Here(self.places[0]).map(job, items)
            return
        context = get_context("spawn")
        waiting: SimpleQueue[Place] = context.SimpleQueue()
        for place in places:
            waiting.put(place)
        try:
            with ProcessPoolExecutor(len(places), context, _begin, (waiting, pickle.dumps(job))) as pool:
                yield from pool.map(_work, items, chunksize=chunk_size(len(items), len(places)))
        except BrokenProcessPool:
            raise killed("count") from None


def _begin(waiting: SimpleQueue[Place], handed: bytes) -> None:
    """Takes a place that nobody has."""
    die_with_parent()
    place = waiting.get().enter()
    _WORK[:] = [pickle.loads(handed).open(place)]


def _work(item: Thing) -> Thing:
    return _WORK[0](item)
