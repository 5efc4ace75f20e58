"""The schema of what makes a mask cracks with lengths and widths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipeline.knobs.ranges import Amount, Count, Positive, Range, Share


@dataclass(frozen=True)
class MeasuringKnobs:
    threshold: Share  # of the probability: a pixel above or at it is crack
    min_pixels: Count  # smaller pieces of a mask are no cracks
    hole_px: Count  # holes in a mask of at most so many pixels are crack as well
    min_length_px: Amount  # nor are pieces that are shorter
    spur: Amount  # a side branch shorter than so many times the mask's width where it begins is none
    smooth_points: Positive  # of a centreline, averaged, so that steps of pixels do not count as length
    average_points: Positive  # neighbours whose grey profiles are averaged before a width is read
    reach: Amount  # a profile reaches so many times the mask's half width to either side,
    reach_px: Amount  # and so many pixels further, to see what lies around the crack
    widest_px: Annotated[float, Range(1.0, 10_000.0)]  # where a mask is wider, no profile is read
    least_contrast: Amount  # grey values between crack and surroundings, below which nothing is read
    least_fit: Share  # of a profile's variation, that a crack must explain for its width to be read
    blur_points: Positive  # neighbours whose profiles are averaged to find out how blurred the photo is
    blur_error: Share  # of the blur, for lenses do not blur quite as the mathematics has it
    blurs_px: list[Annotated[float, Range(0.05, 20.0)]]  # standard deviations of the photo's blur that are tried
    steady_points: Positive  # the widest place is the largest median of so many neighbours, so that noise is no place
    sure: Amount  # how many standard errors an interval reaches to either side
    unsure_px: Amount  # of every width, whatever the profiles say: edges of a crack are no mathematical lines

    def __post_init__(self) -> None:
        if not self.blurs_px:
            raise ValueError("blurs_px = []; allowed: a list of at least one number")
