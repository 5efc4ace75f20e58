"""The schema of the maps, and of the labels that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.knobs.ranges import Amount, Count, Positive, Range, Seed, Share, Side
from pipeline.knobs.training import Precision


def no_gaps(window_px: int, stride_px: int) -> None:
    """Windows further apart than they are wide would leave pixels that nobody looks at."""
    if stride_px > window_px:
        raise ValueError(f"stride_px = {stride_px}; allowed: at most window_px = {window_px}")


@dataclass(frozen=True)
class PatchMapsKnobs:
    window_px: Side
    stride_px: Side
    overlap: Literal["mean", "stretch"]
    precision: Precision

    def __post_init__(self) -> None:
        no_gaps(self.window_px, self.stride_px)
        if self.overlap == "mean" and self.window_px % self.stride_px:
            raise ValueError(
                f'window_px = {self.window_px}, stride_px = {self.stride_px}; with overlap = "mean" '
                "the window must be a multiple of the stride"
            )


@dataclass(frozen=True)
class CamsKnobs:
    method: Literal["analytic", "package"]
    tile_px: Count  # 0: the whole image at once
    precision: Precision

    def __post_init__(self) -> None:
        if self.tile_px % 32:
            raise ValueError(f"tile_px = {self.tile_px}; allowed: 0, or a multiple of 32, the cell of the features")


@dataclass(frozen=True)
class ThresholdMapsKnobs:
    bilateral: bool
    bilateral_diameter_px: Side
    bilateral_sigma_colour: Amount
    bilateral_sigma_space: Amount
    window_px: Side
    stride_px: Side
    classes: Annotated[int, Range(2, 3)]

    def __post_init__(self) -> None:
        no_gaps(self.window_px, self.stride_px)


@dataclass(frozen=True)
class EdgeMapsKnobs:
    source: Literal["png", "canny", "hed"]
    folder: str  # png: with a grey <image id>.png for each image, below HAIRLINE_DATA or data/
    threshold: Annotated[int, Range(0, 255)]  # png, hed: brighter is an edge
    canny_low: Amount  # canny: of the gradient; a step of h grey values that is not blurred measures 4 h
    canny_high: Amount
    blur_px: Annotated[float, Range(0.0, 100.0)]  # canny: standard deviation of the Gaussian before it; 0: none

    def __post_init__(self) -> None:
        if self.canny_low > self.canny_high:
            raise ValueError(f"canny_low = {self.canny_low:g}; allowed: at most canny_high = {self.canny_high:g}")


@dataclass(frozen=True)
class PseudoLabelsKnobs:
    cam_weight: Share
    localization_threshold: Share
    morphology: bool
    kernel_px: Annotated[int, Range(1, 65_535, odd=True)]
    erosion_iterations: Count
    closing_iterations: Count
    bilateral: bool
    bilateral_diameter_px: Side
    bilateral_sigma_colour: Amount
    bilateral_sigma_space: Amount
    min_crack_pixels: Count
    target: Literal["soft", "binary"]
    binary_threshold: Share
    uncracked: Literal["paper", "empty"]  # empty: the answer "no" for a photo is its label


MergeRule = Literal["answers", "mean", "geometric", "product", "max"]


@dataclass(frozen=True)
class MergeWeightsKnobs:
    # whose maps: "answers lite_unet" is lite_unet trained on answers; "starter" the shipped network; "starter at 1 2.5"
    # the mean of what it says of the photo at these times its size
    sources: list[str]
    flips: bool  # whether the networks are also asked about the three mirror images of a photo
    pool_px: Positive  # a patch's score is the mean of so many of its highest logits

    def __post_init__(self) -> None:
        if not self.sources:
            raise ValueError('sources = []; allowed: at least one, such as ["generated lite_unet", "answers cgnet"]')


@dataclass(frozen=True)
class MergedLabelsKnobs:
    rule: MergeRule  # answers: each map by its weight in MergeWeights, which no mask decides
    threshold_weight: Share  # what a pixel loses that the threshold map does not call dark; 0: no threshold map is made
    gain: Amount
    cut: Share
    extent: Literal["thin", "wide"]  # how wide annotators draw: a convention that no answer tells
    widen_px: Count  # wide: so many pixels on each side
    answers: Literal["ignored", "kept"]  # kept: of training photos nothing where it is "no", and something where "yes"
    sure: Annotated[float, Range(0.01, 0.99)]  # kept: how sure a patch answered "yes" is at least
    pool_px: Positive  # kept: by the mean of so many of its highest logits
    uncracked: Literal["paper", "empty"]  # paper: as any other photo; empty: the answer "no" is its label
    min_crack_pixels: Count


@dataclass(frozen=True)
class RoundLabelsKnobs:
    teacher: str  # the network that was trained on the labels of the round before
    rule: Literal["answer", "mean", "geometric"]  # answer: alone; else merged with the label of the round before
    gain: Amount
    cut: Share
    answers: Literal["ignored", "kept"]  # kept: of training photos nothing where it is "no", and something where "yes"
    sure: Annotated[float, Range(0.01, 0.99)]  # kept: how sure a patch answered "yes" is at least
    pool_px: Positive  # kept: by the mean of so many of its highest logits
    flips: bool  # whether the networks are also asked about the three mirror images of a photo
    uncracked: Literal["paper", "empty"]
    min_crack_pixels: Count


# the kinds of values of the CRF's numbers and of the lists of them
Sigma = Annotated[float, Range(1e-3, 1e4)]
Iterations = Annotated[int, Range(0, 1000)]


@dataclass(frozen=True)
class CrfSearchKnobs:
    unary: Literal["cam", "merged", "evidence"]  # merged: with the patch map; evidence: merged labels, no classifier
    cam_weight: Share
    unary_scale: Amount
    unary_clip: Annotated[float, Range(1e-6, 0.499)]
    gaussian_sxy_px: Sigma  # this and the next five: always tried, and taken where nothing is searched
    gaussian_compat: Amount
    bilateral_sxy_px: Sigma
    bilateral_srgb: Sigma
    bilateral_compat: Amount
    iterations: Iterations
    search: bool
    images: Positive  # training images whose masks are used
    seed: Seed
    gaussian_sxys_px: list[Sigma]
    gaussian_compats: list[Amount]
    bilateral_sxys_px: list[Sigma]
    bilateral_srgbs: list[Sigma]
    bilateral_compats: list[Amount]
    grid_iterations: list[Iterations]
    refine_iterations: list[Iterations]  # of the best of the grid; []: the grid's alone
    refine_best: Positive
    method: Literal["plain", "packed"]  # the library for each set alone, or its filters for all sets at once
    coarse_scale: Annotated[float, Range(0.1, 1.0)]  # of the images in a first pass over the grid; 1: there is none
    coarse_best: Positive  # sets of the first pass that a second one tries in full size

    def __post_init__(self) -> None:
        lists = [name for name in vars(self) if name.endswith(("sxys_px", "srgbs", "compats", "grid_iterations"))]
        for name in lists:
            if not getattr(self, name):
                raise ValueError(f"{name} = []; allowed: a list of at least one number")


@dataclass(frozen=True)
class CrfLabelsKnobs:
    min_crack_pixels: Count


@dataclass(frozen=True)
class DiagnosisKnobs:
    oracle_dilation_px: Annotated[int, Range(0, 64)]


@dataclass(frozen=True)
class TuneLabelsKnobs:
    images: Positive  # training images whose masks are used
    seed: Seed
    windows_px: list[int]
    cam_weights: list[float]
    localization_thresholds: list[float]
    erosion_iterations: list[int]
