"""Decoded images in one file, mapped into memory one at a time: any number of them in flat memory."""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from tasks.core.errors import StageError
from tasks.core.workers import Place, Workers

Image = NDArray[np.uint8]
Shape = tuple[int, ...]
ItemT = TypeVar("ItemT")
ItemIn = TypeVar("ItemIn", contravariant=True)


class PixelJob(Protocol[ItemIn]):
    """What makes the image of an item, and tells its shape before."""

    def shape(self, item: ItemIn) -> Shape: ...

    def open(self, place: Place) -> Callable[[ItemIn], Image]: ...


def offsets(shapes: Sequence[Shape]) -> list[int]:
    """Where each image begins, and where the last one ends."""
    return list(itertools.accumulate(map(math.prod, shapes), initial=0))


class Pixels(Sequence[Image]):
    """Read-only views. A mapping lives as long as the view that was asked for, so that only images in use count as
    memory of the process; how much of the file stays in the machine's memory is up to the kernel."""

    def __init__(self, descriptor: int, shapes: Sequence[Shape]) -> None:
        self._descriptor = descriptor
        self._places = list(zip(offsets(shapes), shapes, strict=False))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [self._view(*place) for place in self._places[index]]
        return self._view(*self._places[index])

    def __reduce__(self) -> tuple[object, ...]:
        """For other processes, which open the file anew: here while this process lives, elsewhere by its name."""
        held = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")
        inode = os.fstat(self._descriptor).st_ino
        return _opened, ((held, held.readlink()), inode, [shape for _, shape in self._places])

    def _view(self, offset: int, shape: Shape) -> Image:
        before = offset % mmap.ALLOCATIONGRANULARITY  # mappings begin at pages, images anywhere
        size = math.prod(shape)
        mapping = mmap.mmap(self._descriptor, before + size, access=mmap.ACCESS_READ, offset=offset - before)
        return np.frombuffer(mapping, np.uint8, size, before).reshape(shape)


def _opened(paths: Sequence[Path], inode: int, shapes: Sequence[Shape]) -> Pixels:
    """The file that another process reads; it stays open as long as this process lives."""
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            if os.fstat(descriptor).st_ino == inode:
                return Pixels(descriptor, shapes)
            os.close(descriptor)
    raise StageError(
        f"the decoded images {paths[-1]} are gone; raise [Execution] decoded_mb, and run the same command again"
    )


class Chosen(Sequence[Image]):
    """Images of several sequences, in an order of their own."""

    def __init__(self, sources: Sequence[Sequence[Image]], places: Sequence[tuple[int, int]]) -> None:
        self._sources, self._places = sources, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        if isinstance(index, slice):
            return [self._sources[source][place] for source, place in self._places[index]]
        source, place = self._places[index]
        return self._sources[source][place]


def write(
    path: Path,
    job: PixelJob[ItemT],
    items: Sequence[ItemT],
    workers: Workers,
    progress: Callable[[int, int], None],
) -> None:
    """The image of every item, each made once, by several processes, behind each other in one file."""
    shapes = [job.shape(item) for item in items]
    *starts, size = offsets(shapes)
    with path.open("wb") as stream:
        stream.truncate(size)
    placed = list(zip(items, starts, strict=True))
    for done, _ in enumerate(workers.map(PlacedJob(job, path), placed), start=1):
        progress(done, len(items))


@dataclass(frozen=True)
class PlacedJob(Generic[ItemT]):
    """A job whose image is written at its place in a file."""

    job: PixelJob[ItemT]
    path: Path

    def open(self, place: Place) -> Callable[[tuple[ItemT, int]], None]:
        work = self.job.open(place)

        def write(placed: tuple[ItemT, int]) -> None:
            item, start = placed
            image, shape = np.ascontiguousarray(work(item)), self.job.shape(item)
            if image.dtype != np.uint8 or image.shape != shape:
                raise TypeError(f"an image of {image.dtype} {image.shape}; wanted: uint8 {shape}")
            with self.path.open("r+b") as stream:
                os.pwrite(stream.fileno(), image.data, start)

        return write
