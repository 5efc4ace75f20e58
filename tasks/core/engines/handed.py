"""A job in a folder that all workers see: written once, opened once by each of them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tasks.core import files
from tasks.core.engines.versions import me, refuse_others, versions
from tasks.core.errors import StageError
from tasks.core.records import flush_all
from tasks.core.settings import outputs_folder
from tasks.core.workers import Place, Thing, Work

JOB = "job.pickle"
_ONE_AT_A_TIME = threading.Lock()


def folder_of(handed: bytes, name: str) -> Path:
    """The same for the same job, so that what a killed run left there is found."""
    return outputs_folder() / ".jobs" / f"{name}-{hashlib.sha256(handed).hexdigest()[:12]}"


def name_of(job: object) -> str:
    """Of the work itself, where another job only writes down its results."""
    return type(getattr(job, "job", job)).__name__


@contextlib.contextmanager
def handed_over(job: object, place: Place) -> Iterator[Path]:
    """The folder of a job; it stays where something failed, since logs lie in it."""
    handed = pickle.dumps((place, job))
    folder = folder_of(handed, name_of(job))
    folder.mkdir(parents=True, exist_ok=True)
    files.write_bytes(folder / JOB, pickle.dumps((versions(), handed)))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@functools.lru_cache(maxsize=1)
def opened(folder: Path, stamp: int) -> Work:
    """The job as this worker opened it, if it has the versions of who wrote it; `stamp` tells one run from the next."""
    path = folder / JOB
    try:
        wanted, handed = pickle.loads(path.read_bytes())
    except FileNotFoundError:
        raise StageError(
            f"{me()} does not see {path}; HAIRLINE_OUTPUTS must be a folder that all machines share"
        ) from None
    refuse_others(wanted, versions(), me())
    place, job = pickle.loads(handed)
    work: Work = job.open(place.enter())
    return work


def worked(folder: Path, stamp: int, items: Sequence[Thing]) -> list[Thing]:
    """The results of some items of a job; a process works on one job at a time, however many threads it has."""
    with _ONE_AT_A_TIME:
        results = list(map(opened(folder, stamp), items))
        flush_all(folder)  # what was written is on the disk before anybody hears of it
        return results
