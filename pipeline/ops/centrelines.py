"""A mask → the centrelines of its pieces: thinned, traced from node to node, without spurs, smooth.

Two pixels are neighbours when they share a side, or a corner and no third pixel joins them by sides: so a step of a
line is no junction. Junctions are pixels with three neighbours or more, ends have one.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.ops.cracks import Line

_SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))
_CORNERS = ((1, 1), (1, -1), (-1, -1), (-1, 1))
_MARCH_PX = 0.5  # a step towards the end of a mask
Pixel = tuple[int, int]  # row, col
HalfWidths = npt.NDArray[np.float32]  # H×W: from each pixel of a mask to the nearest outside it


@dataclass(frozen=True)
class Chain:
    """Pixels from one node to another, or round to the first."""

    pixels: tuple[Pixel, ...]
    ends: tuple[bool, bool]  # whether nothing goes on at its first and at its last pixel

    @property
    def is_loop(self) -> bool:
        return len(self.pixels) > 2 and self.pixels[0] == self.pixels[-1]


def traced(skeleton: Sequence[Pixel]) -> list[Chain]:
    """All chains of a thinned piece; together they pass every step between neighbours once."""
    neighbours = _neighbours(set(skeleton))
    nodes = [pixel for pixel, found in neighbours.items() if len(found) != 2]
    if len(neighbours) == 1:
        return [Chain((nodes[0],), (True, True))]
    walked: set[tuple[Pixel, Pixel]] = set()
    chains = [chain for node in nodes for step in neighbours[node] for chain in _walk(node, step, neighbours, walked)]
    for pixel, found in neighbours.items():  # closed lines without any node
        if len(found) == 2 and not any((pixel, step) in walked for step in found):
            chains += _walk(pixel, found[0], neighbours, walked)
    return chains


def _neighbours(pixels: set[Pixel]) -> dict[Pixel, list[Pixel]]:
    found = {}
    for row, col in sorted(pixels):
        near = [(row + down, col + right) for down, right in _SIDES if (row + down, col + right) in pixels]
        near += [
            (row + down, col + right)
            for down, right in _CORNERS
            if (row + down, col + right) in pixels
            and (row + down, col) not in pixels
            and (row, col + right) not in pixels
        ]
        found[row, col] = near
    return found


def _walk(
    first: Pixel, second: Pixel, neighbours: dict[Pixel, list[Pixel]], walked: set[tuple[Pixel, Pixel]]
) -> Iterator[Chain]:
    """Nothing, where somebody went there before."""
    if (first, second) in walked:
        return
    pixels = [first, second]
    while len(neighbours[pixels[-1]]) == 2 and pixels[-1] != first:
        one, other = neighbours[pixels[-1]]
        pixels.append(other if one == pixels[-2] else one)
    for before, after in itertools.pairwise(pixels):
        walked |= {(before, after), (after, before)}
    yield Chain(tuple(pixels), (len(neighbours[first]) == 1, len(neighbours[pixels[-1]]) == 1))


def without_spurs(skeleton: Sequence[Pixel], is_spur: Callable[[Chain], bool]) -> list[Chain]:
    """The chains when side branches that are none are gone: all those at a junction that has another branch, such as
    both that lead from a blunt end into its corners, else the shortest, since the others may then be one line."""
    pixels = list(skeleton)
    while True:
        chains = traced(pixels)
        spurs = [chain for chain in chains if chain.ends[0] != chain.ends[1] and is_spur(chain)]
        if len(chains) < 2 or not spurs:
            return chains
        at = collections.Counter(end for chain in chains for end in (chain.pixels[0], chain.pixels[-1]))
        by_junction: dict[Pixel, list[Chain]] = {}
        for chain in sorted(spurs, key=lambda chain: len(chain.pixels)):
            by_junction.setdefault(chain.pixels[0] if chain.ends[1] else chain.pixels[-1], []).append(chain)
        gone = {
            pixel
            for junction, mine in by_junction.items()
            for chain in (mine if len(mine) < at[junction] else mine[:1])
            for pixel in chain.pixels
            if pixel != junction
        }
        pixels = [pixel for pixel in pixels if pixel not in gone]


def smoothed(chain: Chain, points: int) -> Line:
    """The chain as x, y; each point is the mean of `points` neighbours, and the two ends stay where they are."""
    line = np.array([(col, row) for row, col in chain.pixels], np.float64)
    half = min(points // 2, len(line) - 1)
    if half < 1:
        return line.astype(np.float32)
    if chain.is_loop:
        core = line[:-1]
        padded = np.concatenate([core[-half:], core, core[: half + 1]]) if len(core) > half else line
        if len(core) <= half:
            return line.astype(np.float32)
    else:  # mirrored at its ends, point by point
        padded = np.concatenate([2 * line[0] - line[half:0:-1], line, 2 * line[-1] - line[-2 : -half - 2 : -1]])
    sums = np.cumsum(np.concatenate([np.zeros((1, 2)), padded]), axis=0)
    size = 2 * half + 1
    mean: Line = ((sums[size:] - sums[:-size]) / size).astype(np.float32)
    return mean


def length_of(line: npt.NDArray[np.floating]) -> float:
    return float(np.hypot(*np.diff(line.astype(np.float64), axis=0).T).sum())


def tangents(line: Line, points: int | npt.NDArray[np.intp]) -> Line:
    """The unit vector along the line at each point, from neighbours so many points before and after, maybe other
    numbers at other points."""
    last = len(line) - 1
    index = np.arange(len(line))
    steps = line[np.minimum(index + points, last)] - line[np.maximum(index - points, 0)]
    lengths = np.hypot(*steps.T)[:, np.newaxis]
    along = np.where(lengths > 0, steps / np.where(lengths > 0, lengths, 1), np.array([1.0, 0.0]))
    unit: Line = along.astype(np.float32)
    return unit


def way_to_the_end(line: Line, direction: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> tuple[float, bool]:
    """From the last point in a direction: how far the mask goes on, and whether the photo's border ends it."""
    height, width = mask.shape
    x, y = (float(value) for value in line[-1])
    way = 0.0
    while True:
        col, row = round(x + (way + _MARCH_PX) * direction[0]), round(y + (way + _MARCH_PX) * direction[1])
        if not (0 <= row < height and 0 <= col < width):
            return way, True
        if not mask[row, col]:
            return way, False
        way += _MARCH_PX
