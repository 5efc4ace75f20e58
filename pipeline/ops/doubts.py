"""How sure a network is of a photo, from its probabilities alone, and what makes a measurement uncertain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.ops.cracks import Crack
from pipeline.ops.types import Map

DOUBTFUL = 0.5  # from here on it is said
_HALF = 0.5  # of a length


def answer_of(probability: Map, pool_px: int) -> float:
    """The probability that there is a crack: the mean of the `pool_px` highest ones."""
    flat = probability.ravel()
    count = min(pool_px, flat.size)
    return float(np.partition(flat, flat.size - count)[flat.size - count :].mean())


def doubt_of(answer: float) -> float:
    """Of a probability. 0: sure, of a crack or of none; 1: it might as well toss a coin."""
    return 1 - abs(2 * answer - 1)


def why_in_doubt(doubt: float, cracks: Sequence[Crack]) -> str:
    """In a sentence or two; "" where nothing is."""
    length = sum(crack.length for crack in cracks)
    unread = sum((1 - crack.measurable) * crack.length for crack in cracks)
    cut = sum(crack.at_border for crack in cracks)
    told = [
        "The network is not sure whether there is a crack at all." if doubt > DOUBTFUL else "",
        f"The width of {unread / length:.0%} of the length is not measurable."
        if length and unread > _HALF * length
        else "",
        f"{cut} of {len(cracks)} cracks run out of the photo, so that their length is only what is seen."
        if cut
        else "",
    ]
    return " ".join(filter(None, told))


def answers_of_tiles(
    probability: Map, shape_hw: tuple[int, int], tiles: Sequence[tuple[int, int, int, int] | None], pool_px: int
) -> list[float]:
    """`answer_of` each tile (None: of all) of a photo of shape_hw pixels, whose probabilities may be of a smaller one;
    so many fewer pixels count then."""
    down, right = (small / whole for small, whole in zip(probability.shape, shape_hw, strict=True))
    pool = max(round(pool_px * down * right), 1)
    return [answer_of(_part(probability, tile, down, right) if tile else probability, pool) for tile in tiles]


def _part(probability: Map, tile: tuple[int, int, int, int], down: float, right: float) -> Map:
    """At least one pixel of it."""
    left, top, end, bottom = tile
    first_row, first_col = int(top * down), int(left * right)
    last_row, last_col = max(int(bottom * down), first_row + 1), max(int(end * right), first_col + 1)
    return probability[first_row:last_row, first_col:last_col]
