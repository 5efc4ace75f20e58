"""Square windows over an image: padding so that they fit, cutting them out, averaging where they overlap."""

import itertools
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.ops.types import Map

Scalar = TypeVar("Scalar", bound=np.generic)
Area: TypeAlias = tuple[slice, slice]


def pad_to_multiple(array: npt.NDArray[Scalar], multiple_px: int) -> npt.NDArray[Scalar]:
    """Mirror the bottom and right (border pixel not repeated) until both sides are multiples.

    A side of 1 px has nothing to mirror: its pixel is repeated.
    """
    _check_window(multiple_px, multiple_px)
    return _pad(array, *(-side % multiple_px for side in array.shape[:2]))


def pad_to_windows(array: npt.NDArray[Scalar], window_px: int, stride_px: int) -> npt.NDArray[Scalar]:
    """Mirror the bottom and right until a window ends exactly at the border; at least one window fits."""
    _check_window(window_px, stride_px)
    missing = (max(window_px - side, (window_px - side) % stride_px) for side in array.shape[:2])
    return _pad(array, *missing)


def _pad(array: npt.NDArray[Scalar], bottom: int, right: int) -> npt.NDArray[Scalar]:
    if 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape}; at least one pixel is needed")
    return np.pad(array, [(0, bottom), (0, right)] + [(0, 0)] * (array.ndim - 2), mode="reflect")


def window_starts(length_px: int, window_px: int, stride_px: int) -> list[int]:
    """First pixel of every window that lies within `length_px`, in order; empty when not even one does."""
    _check_window(window_px, stride_px)
    return list(range(0, length_px - window_px + 1, stride_px))


def mean_of_overlaps(values: npt.NDArray[np.floating], window_px: int, stride_px: int) -> Map:
    """Value per window (rows, cols) → per cell of stride×stride px: the mean of the windows that cover it.

    With n = window / stride, cell (r, c) is covered by windows r−n+1 … r, c−n+1 … c, fewer at the borders.
    """
    _check_window(window_px, stride_px)
    if window_px % stride_px:
        raise ValueError(f"windows of {window_px} px every {stride_px} px; the stride must divide the window")
    span = window_px // stride_px
    rows, cols = values.shape
    total = np.zeros((rows + span - 1, cols + span - 1))
    covering = np.zeros_like(total)
    for row, col in np.ndindex(span, span):
        total[row : row + rows, col : col + cols] += values
        covering[row : row + rows, col : col + cols] += 1
    return (total / covering).astype(np.float32)


def _check_window(window_px: int, stride_px: int) -> None:
    if not 1 <= stride_px <= window_px:
        raise ValueError(
            f"windows of {window_px} px every {stride_px} px; "
            "the stride must be at least 1 and at most the window, or pixels would belong to no window"
        )


def tiles(shape_hw: tuple[int, ...], tile_px: int, overlap_px: int, grid_px: int) -> Iterator[tuple[Area, Area, Area]]:
    """Tiles that cover an image and overlap: (place of the tile, part of it that counts, place of that part).

    Neighbours share at least overlap_px pixels, of which each keeps its own half, cut at a multiple of grid_px;
    the parts that count cover the image once. All starts are multiples of grid_px, and so must be all arguments.
    """
    sides = [side for side in (*shape_hw[:2], tile_px, overlap_px) if side % grid_px]
    if sides or not 0 <= overlap_px < tile_px:
        raise ValueError(
            f"an image of {tuple(shape_hw[:2])}, tiles of {tile_px} px, overlap {overlap_px} px; "
            f"multiples of {grid_px} px are needed, and an overlap smaller than the tile"
        )
    rows, cols = (list(_spans(side, tile_px, overlap_px, grid_px)) for side in shape_hw[:2])
    for (row, row_in, row_out), (col, col_in, col_out) in itertools.product(rows, cols):
        yield (row, col), (row_in, col_in), (row_out, col_out)


def _spans(length_px: int, tile_px: int, overlap_px: int, grid_px: int) -> Iterator[tuple[slice, slice, slice]]:
    """The tiles of one side; the last one ends with the image."""
    step, last = tile_px - overlap_px, max(length_px - tile_px, 0)
    starts = [*range(0, last, step), last]
    shared = [first + tile_px - second for first, second in itertools.pairwise(starts)]
    seams = [0, *(second + part // 2 // grid_px * grid_px for second, part in zip(starts[1:], shared, strict=True))]
    for start, low, high in zip(starts, seams, [*seams[1:], length_px], strict=True):
        yield slice(start, min(start + tile_px, length_px)), slice(low - start, high - start), slice(low, high)


def grid_of_tiles(shape_hw: tuple[int, int], tile_px: int) -> list[tuple[int, int, int, int]]:
    """left, top, right, bottom of the fewest equal tiles that cover an image, spread evenly, row by row; a side that is
    shorter than a tile is taken whole."""
    rows, cols = (_spread(side, min(tile_px, side)) for side in shape_hw)
    high, wide = (min(tile_px, side) for side in shape_hw)
    return [(col, row, col + wide, row + high) for row in rows for col in cols]


def _spread(side_px: int, tile_px: int) -> list[int]:
    last = -(-side_px // tile_px) - 1
    return [number * (side_px - tile_px) // last for number in range(last + 1)] if last else [0]
