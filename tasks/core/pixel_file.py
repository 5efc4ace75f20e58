"""Decoded images in one file, mapped into memory one at a time: any number of them in flat memory."""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from tasks.core import child

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Place:
    """Where an array lies in the file."""

    offset: int
    shape: tuple[int, ...]


class Pixels(Sequence[Image]):
    """Read-only views. A mapping lives as long as the view that was asked for, so that only images in use count as
    memory of the process; how much of the file stays in the machine's memory is up to the kernel."""

    def __init__(self, descriptor: int, places: list[Place]) -> None:
        self._descriptor = descriptor
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [self._view(place) for place in self._places[index]]
        return self._view(self._places[index])

    def _view(self, place: Place) -> Image:
        before = place.offset % mmap.ALLOCATIONGRANULARITY  # mappings begin at pages, images anywhere
        size = math.prod(place.shape)
        mapping = mmap.mmap(self._descriptor, before + size, access=mmap.ACCESS_READ, offset=place.offset - before)
        return np.frombuffer(mapping, np.uint8, size, before).reshape(place.shape)


@contextlib.contextmanager
def decoded(
    path: Path,
    load: Callable[[int], Image],
    count: int,
    processes: int,
    progress: Callable[[int, int], None],
) -> Iterator[Pixels]:
    """`load(0) … load(count − 1)`, each called once, by several processes; the file is gone afterwards."""

    def keep(index: int) -> Place:
        return _append(path, load(index))

    try:
        path.write_bytes(b"")
        places = []
        for place in child.in_processes(keep, count, processes):
            places.append(place)
            progress(len(places), count)
        with path.open("rb") as stream:
            yield Pixels(stream.fileno(), places)
    finally:
        path.unlink(missing_ok=True)


def _append(path: Path, array: Image) -> Place:
    """Writes the array behind what is there; the lock keeps other processes from writing into it."""
    if array.dtype != np.uint8:
        raise TypeError(f"an image of {array.dtype}; allowed: uint8")
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        offset = stream.seek(0, os.SEEK_END)
        stream.write(np.ascontiguousarray(array).data)
    return Place(offset, array.shape)
