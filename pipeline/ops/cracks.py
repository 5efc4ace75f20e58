"""What is known of a crack in a photo, in pixels; a pixel's centre lies at whole numbers, the first one's at 0, 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Line: TypeAlias = npt.NDArray[np.float32]  # N×2: x to the right, y down
Along: TypeAlias = npt.NDArray[np.float32]  # N: a number for each point of a line


@dataclass(frozen=True)
class Reading:
    """A number with the interval that it may lie in; nan where nothing could be read."""

    value: float
    low: float
    high: float

    def times(self, factor: float, relative_error: float = 0.0) -> Reading:
        """In another unit, whose own error widens the interval."""
        return Reading(
            self.value * factor, self.low * factor * (1 - relative_error), self.high * factor * (1 + relative_error)
        )


@dataclass(frozen=True)
class Branch:
    """A piece of centreline between two ends or junctions."""

    line: Line
    widths: Along  # across each point, from the grey profile; nan: not measurable
    mask_widths: Along  # across each point, from the mask


@dataclass(frozen=True)
class Crack:
    """A connected piece of a mask, and what was measured along its centreline."""

    branches: tuple[Branch, ...]
    length: float  # along all branches, junctions counted once, spurs left out
    width_median: Reading  # of the grey profiles
    width_p95: Reading
    width_max: Reading
    mask_width: float  # the median from the mask, which is often two to four times too wide
    measurable: float  # the share of the length whose grey profile could be read
    orientation_deg: float  # 0: to the right, 90: up; in [0, 180)
    box: tuple[int, int, int, int]  # left, top, right, bottom; the last two are exclusive
    pixels: int  # of the mask
    probability: float  # the network's mean over these pixels
    at_border: bool  # whether the photo's border cuts it
