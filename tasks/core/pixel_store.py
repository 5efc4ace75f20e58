"""Pixels that are decoded once and read by every training: kept beside the cache, within a bound, in no key.

They are named by the entry whose content they show. Their checksum is compared each time, so that a damaged file is
only made anew.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.knobs import ExecutionKnobs
from tasks.core import files, locks, pixel_file
from tasks.core.cache import Entry
from tasks.core.pixel_file import ItemT, PixelJob, Pixels
from tasks.core.settings import outputs_folder
from tasks.core.workers import local_workers

SUFFIX = ".pixels"
_MB = 1_000_000


def folder() -> Path:
    return outputs_folder() / ".decoded"


@contextlib.contextmanager
def decoded(
    entry: Entry,
    name: str,
    job: PixelJob[ItemT],
    items: Sequence[ItemT],
    execution: ExecutionKnobs,
    progress: Callable[[int, int], None],
) -> Iterator[Pixels]:
    """The image of every item: from the file that an earlier training left, or made now and left for the next."""
    shapes = [job.shape(item) for item in items]
    size, room = pixel_file.offsets(shapes)[-1], execution.decoded_mb * _MB
    path = folder() / f"{entry.folder.parent.name}-{entry.name}-{name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with locks.locked(path, lambda _: None):
        if not _is_whole(path, size):
            if locks.work(path.parent):  # what is there is of a killed run, and not of one at work
                for leftover in path.parent.glob(f".{path.name[:80]}-*{files.PARTIAL}"):
                    leftover.unlink()
            if size <= room:
                _make_room(path, room - size)
            with files.whole(path) as partial:
                pixel_file.write(partial, job, items, local_workers(execution, networks=False), progress)
            files.write_text(_checksum_of(path), files.sha256(path))
        os.utime(path)
        stream = path.open("rb")
        if size > room:
            remove(path)
    with stream:
        yield Pixels(stream.fileno(), shapes)


def _checksum_of(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _is_whole(path: Path, size: int) -> bool:
    with contextlib.suppress(OSError):
        expected = _checksum_of(path).read_text(encoding="ascii")
        return path.stat().st_size == size and files.sha256(path) == expected
    return False


def kept() -> list[Path]:
    """What is kept, longest unused first."""
    return sorted(folder().glob(f"[!.]*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)


def remove(path: Path) -> None:
    """Whoever reads the file right now goes on reading it: an open file outlives its name."""
    path.unlink(missing_ok=True)
    _checksum_of(path).unlink(missing_ok=True)


def _make_room(new: Path, allowed: int) -> None:
    """Removes what was unused longest until the others have at most that many bytes."""
    sizes = {path: path.stat().st_size for path in kept() if path != new}
    for path in list(sizes):
        if sum(sizes.values()) > allowed:
            remove(path)
            del sizes[path]
