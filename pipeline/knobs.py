"""The schema of the settings: every knob of every stage, its type and its allowed range.

No knob has a default: the numbers are in `configs/`. Imports nothing heavy, so that reading settings is instant.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """Allowed numbers, both ends included."""

    low: float
    high: float
    odd: bool = False  # odd numbers only

    def __str__(self) -> str:
        return f"{'odd numbers from ' if self.odd else ''}{self.low:g} to {self.high:g}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and (not self.odd or value % 2 == 1)


Count = Annotated[int, Range(0, 10**9)]
Positive = Annotated[int, Range(1, 10**9)]
Pixels = Annotated[int, Range(1, 65_536)]
Share = Annotated[float, Range(0.0, 1.0)]
Amount = Annotated[float, Range(0.0, 1e6)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Precision = Literal["float32", "bfloat16"]
Pixel = Literal["unit", "imagenet"]  # x/255, or x/255 less ImageNet's mean over its standard deviation
Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["step", "onecycle", "constant"]
Options = dict[str, dict[str, Any]]


def no_gaps(window_px: int, stride_px: int) -> None:
    """Windows further apart than they are wide would leave pixels that nobody looks at."""
    if stride_px > window_px:
        raise ValueError(f"stride_px = {stride_px}; allowed: at most window_px = {window_px}")


@dataclass(frozen=True)
class DemoPhotosKnobs:
    seed: Seed
    train_images: Positive
    val_images: Count
    test_images: Positive
    uncracked_share: Share


@dataclass(frozen=True)
class DatasetKnobs:
    layout: Literal["synthetic", "folders"]
    root: str
    on_bad_image: Literal["fail", "skip"]
    max_pixels: Positive
    min_side_px: Pixels
    mask_threshold: Annotated[int, Range(1, 255)]
    max_grey_share: Share


@dataclass(frozen=True)
class PatchesKnobs:
    patch_px: Pixels
    stride_px: Pixels
    min_crack_pixels: Positive
    geometry: Literal["eightfold", "none"]


@dataclass(frozen=True)
class PhotometricKnobs:
    """Colour jitter, then either additive or multiplicative noise; each amount 0 switches its part off."""

    jitter_probability: Share
    brightness: Share
    contrast: Share
    saturation: Share
    hue: Annotated[float, Range(0.0, 0.5)]
    noise_probability: Annotated[float, Range(0.0, 0.5)]  # of each of the two kinds
    additive_sigma: Share
    multiplicative_low: Amount
    multiplicative_high: Amount

    def __post_init__(self) -> None:
        if self.multiplicative_low > self.multiplicative_high:
            raise ValueError(f"multiplicative_low = {self.multiplicative_low:g}; allowed: at most multiplicative_high")


@dataclass(frozen=True)
class TrainingKnobs(PhotometricKnobs):
    pixels: Pixel
    epochs: Positive
    batch_size: Positive
    samples_per_epoch: Count  # 0: all
    optimiser: Optimiser
    learning_rate: Amount
    momentum: Share
    weight_decay: Amount
    schedule: Schedule
    step_epochs: Positive
    step_factor: Share
    precision: Precision
    seed: Seed


@dataclass(frozen=True)
class ClassifierKnobs(TrainingKnobs):
    weights: str  # "none", "imagenet", or the path of a file
    head: Literal["linear", "dense1000"]


@dataclass(frozen=True)
class PatchMapsKnobs:
    window_px: Pixels
    stride_px: Pixels
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
    precision: Precision


@dataclass(frozen=True)
class ThresholdMapsKnobs:
    bilateral: bool
    bilateral_diameter_px: Pixels
    bilateral_sigma_colour: Amount
    bilateral_sigma_space: Amount
    window_px: Pixels
    stride_px: Pixels
    classes: Annotated[int, Range(2, 3)]

    def __post_init__(self) -> None:
        no_gaps(self.window_px, self.stride_px)


@dataclass(frozen=True)
class PseudoLabelsKnobs:
    cam_weight: Share
    localization_threshold: Share
    morphology: bool
    kernel_px: Annotated[int, Range(1, 65_535, odd=True)]
    erosion_iterations: Count
    closing_iterations: Count
    bilateral: bool
    bilateral_diameter_px: Pixels
    bilateral_sigma_colour: Amount
    bilateral_sigma_space: Amount
    min_crack_pixels: Count
    target: Literal["soft", "binary"]
    binary_threshold: Share


@dataclass(frozen=True)
class CrfLabelsKnobs:
    unary: Literal["cam", "merged"]
    cam_weight: Share
    unary_scale: Amount
    unary_clip: Annotated[float, Range(1e-6, 0.499)]
    gaussian_sxy_px: Annotated[float, Range(1e-3, 1e4)]
    gaussian_compat: Amount
    bilateral_sxy_px: Annotated[float, Range(1e-3, 1e4)]
    bilateral_srgb: Annotated[float, Range(1e-3, 1e4)]
    bilateral_compat: Amount
    iterations: Count
    min_crack_pixels: Count


@dataclass(frozen=True)
class SegmenterKnobs(TrainingKnobs):
    crop_px: Pixels
    geometry: Literal["eightfold", "none"]
    loss: Literal["bce"]
    options: Options  # one table for each segmenter's own options


@dataclass(frozen=True)
class PredictionsKnobs:
    precision: Precision
    bits: Literal[8, 16]


@dataclass(frozen=True)
class ScoresKnobs:
    empty: Literal["zero", "one", "skip"]


@dataclass(frozen=True)
class TablesKnobs:
    classifiers: list[str]
    segmenters: list[str]
    labels: list[str]
    test_sets: list[str]


@dataclass(frozen=True)
class ExecutionKnobs:
    """What may not change a result beyond round-off; never part of a key."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Range(1, 256)]  # of one computing process
    processes: Annotated[int, Range(1, 256)]  # side by side, in stages that work image by image
    time_limit_s: Count  # of one stage; 0: none


def fields(schema: type) -> dict[str, Any]:
    """Name → annotated type of every knob of a schema."""
    return get_type_hints(schema, include_extras=True)


def check(annotation: Any, value: Any) -> Any:
    """The value in its declared type, or a ValueError that says what was given and what is allowed.

    `True` is no number, `"4"` is no number, and `1` is accepted where a fraction is wanted (as 1.0).
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        base, bounds = get_args(annotation)
        return _within(check(base, value), bounds)
    if origin is Literal:
        allowed = get_args(annotation)
        if any(type(value) is type(option) and value == option for option in allowed):
            return value
        raise ValueError(f"{value!r}; allowed: {', '.join(map(repr, allowed))}")
    if origin in (list, dict):
        return _collection(annotation, value)
    return _plain(annotation, value)


def _within(value: Any, bounds: Range) -> Any:
    if value in bounds:
        return value
    raise ValueError(f"{value!r}; allowed: {bounds}")


def _collection(annotation: Any, value: Any) -> Any:
    if get_origin(annotation) is list:
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return list(value)
        raise ValueError(f"{value!r}; allowed: a list of texts")
    if isinstance(value, Mapping) and all(isinstance(item, Mapping) for item in value.values()):
        return {str(name): dict(item) for name, item in sorted(value.items())}
    raise ValueError(f"{value!r}; allowed: one table of options for each name")


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}


def _plain(kind: Any, value: Any) -> Any:
    if kind is Any:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if isinstance(kind, (type, types.GenericAlias)) and type(value) is kind and kind is not float:
        return value
    raise ValueError(f"{value!r}; allowed: {_WORDS.get(kind, kind)}")


def as_dict(knobs: Any) -> dict[str, Any]:
    """The knobs as plain values, for manifests and keys."""
    return dataclasses.asdict(knobs)


SECTIONS: dict[str, type] = {
    "DemoPhotos": DemoPhotosKnobs,
    "Dataset": DatasetKnobs,
    "Patches": PatchesKnobs,
    "Classifier": ClassifierKnobs,
    "PatchMaps": PatchMapsKnobs,
    "Cams": CamsKnobs,
    "ThresholdMaps": ThresholdMapsKnobs,
    "PseudoLabels": PseudoLabelsKnobs,
    "CrfLabels": CrfLabelsKnobs,
    "Segmenter": SegmenterKnobs,
    "Predictions": PredictionsKnobs,
    "Scores": ScoresKnobs,
    "Tables": TablesKnobs,
    "Execution": ExecutionKnobs,
}
