"""Jobs of a SLURM cluster: an array of shards, each a plain command; what they tell lies in files that all see."""

from __future__ import annotations

import itertools
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import files
from tasks.core.engines import handed, queue, shard
from tasks.core.engines.script import Script, python
from tasks.core.workers import ItemT, Job, Place, ResultT

_MOST_SHARDS = 1000  # SLURM's own limit of an array, unless its administrator set another
_FEWEST_ITEMS = {True: 16, False: 64}  # of a shard, since each starts a Python; by whether their number is limited
_LOOK_EVERY_S = 0.5
_GRACE_S = 20.0  # for files of another machine to be seen


@dataclass(frozen=True)
class Slurm:
    place: Place
    count: int  # of jobs at a time; 0: as many as the cluster lets run
    options: Mapping[str, str | int | float]

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        if not items:
            return
        with handed.handed_over(job, self.place) as folder:
            queue.end_what_a_killed_run_left(folder)
            run, shards = folder / str(time.time_ns()), shards_of(len(items), self.count)
            run.mkdir()
            for number in range(shards):
                files.write_bytes(run / shard.ITEMS.format(number), pickle.dumps(list(items[number::shards])))
            command = python("tasks.core.engines.shard", str(run))
            script = Script(handed.name_of(job), run, command, self.options, shards, self.count)
            with queue.submitted(script) as running:
                yield from _in_order(run, running, shards, len(items))


def shards_of(items: int, count: int) -> int:
    """One for each job at a time; where their number is not limited, more and smaller ones."""
    return max(1, min(count or _MOST_SHARDS, _MOST_SHARDS, -(-items // _FEWEST_ITEMS[count > 0])))


def _in_order(folder: Path, running: queue.Running, shards: int, items: int) -> Iterator[ResultT]:
    """Item number n is in shard n modulo `shards`, so that all shards together move on from front to back."""
    told: list[Iterator[ResultT]] = [_of_shard(folder, running, number) for number in range(shards)]
    for number in range(items):
        yield next(told[number % shards])


def _of_shard(folder: Path, running: queue.Running, number: int) -> Iterator[ResultT]:
    for part in itertools.count():
        path = folder / shard.RESULTS.format(number, part)
        ended = 0.0
        while not path.exists():
            _refuse_failures(folder)
            how = running.ended()
            bad = {each: state for each, state in how.items() if state != "COMPLETED"}
            if number in how or bad:
                ended = ended or time.monotonic()
            if ended and time.monotonic() - ended > _GRACE_S:
                first = number if number in how else min(bad)
                raise running.failure(first, how[first])
            time.sleep(_LOOK_EVERY_S)
        yield from pickle.loads(path.read_bytes())


def _refuse_failures(folder: Path) -> None:
    """What went wrong in a shard goes wrong here."""
    for path in folder.glob(shard.FAILED.format("*")):
        raise pickle.loads(path.read_bytes())
