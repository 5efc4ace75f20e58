"""The schema of the settings: every knob of every stage, its type and its allowed range.

No knob has a default: the numbers are in `configs/`. Imports nothing heavy, so that reading settings is instant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pipeline.ranges import Amount, Count, Pixels, Positive, Range, Seed, Share, as_dict, check, fields

__all__ = ["as_dict", "check", "fields"]

# the kinds of values of more than one knob
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
    layout: Literal["synthetic", "folders", "crack500", "cfd", "ael", "dcd", "classes", "csv", "combined"]
    root: str  # a folder or an archive, below HAIRLINE_DATA or data/; "": the data set's name
    parts: list[str]  # combined: the data sets it is made of
    exclude: list[str]  # names of images, as in the next two
    val_names: list[str]
    test_names: list[str]
    val_share: Share  # of the photos, where neither the layout nor a list gives that split
    test_share: Share
    purpose: Literal[
        "both", "training", "testing"
    ]  # testing: all images; training: those that no list names for a test
    max_images: Count  # for training, as whole photos; 0: all
    seed: Seed
    on_bad_image: Literal["fail", "skip"]
    on_duplicate: Literal["fail", "warn"]  # the same pixels in two splits
    on_shared_photo: Literal["fail", "warn"]  # crops of one photo in two splits
    on_contradiction: Literal["fail", "warn"]  # a label that the mask contradicts
    max_pixels: Positive
    min_side_px: Pixels
    transparent: Literal["fail", "white"]
    mask_threshold: Annotated[int, Range(1, 255)]
    mask_inverted: bool  # whether crack is black
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
    cycle_start: Share  # onecycle: first and last rate as shares of the peak
    cycle_end: Share
    cycle_rise: Share  # share of the steps that climb to the peak
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
    tile_px: Count  # 0: the whole image at once
    precision: Precision

    def __post_init__(self) -> None:
        if self.tile_px % 32:
            raise ValueError(f"tile_px = {self.tile_px}; allowed: 0, or a multiple of 32, the cell of the features")


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


@dataclass(frozen=True)
class LabelTablesKnobs:
    classifiers: list[str]
    variants: list[str]


@dataclass(frozen=True)
class TablesKnobs:
    classifiers: list[str]
    segmenters: list[str]
    labels: list[str]
    test_sets: list[str]
    scored: bool  # whether there are masks to score against; false: labels and predictions are made and listed


@dataclass(frozen=True)
class FetchKnobs:
    """Where data come from and how much of it is believed; never part of a key, since checksums of the data are."""

    url: str  # of a zip or tar archive; "": there is no such address, the instructions say what to do
    sha256: str  # of that archive; "": unknown
    folder: str  # the folder in the archive that becomes [Dataset] root; "": all of it
    instructions: str
    timeout_s: Annotated[float, Range(0.1, 1e5)]  # without a single byte
    retries: Count  # in a row that bring nothing new
    wait_s: Amount  # before the first retry; doubled for each further one
    max_download_mb: Positive
    max_unpacked_mb: Positive
    max_ratio: Annotated[float, Range(1.0, 1e6)]  # unpacked size over archive size
    max_files: Positive

    def __post_init__(self) -> None:
        if self.url and not re.match(r"https?://[^/\s]+/\S+$", self.url):
            raise ValueError(f'url = {self.url!r}; allowed: an address with http:// or https://, or ""')
        if self.sha256 and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f'sha256 = {self.sha256!r}; allowed: 64 of the characters 0-9 and a-f, or ""')
        if self.folder.startswith("/") or ".." in self.folder.split("/"):
            raise ValueError(f'folder = {self.folder!r}; allowed: a folder inside the archive, such as "data/set"')


@dataclass(frozen=True)
class ExecutionKnobs:
    """What may not change a result beyond round-off; never part of a key."""

    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Range(1, 256)]  # of one computing process
    processes: Annotated[int, Range(1, 256)]  # side by side, in stages that work image by image
    time_limit_s: Count  # of one stage; 0: none


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
    "Diagnosis": DiagnosisKnobs,
    "TuneLabels": TuneLabelsKnobs,
    "LabelTables": LabelTablesKnobs,
    "Tables": TablesKnobs,
    "Fetch": FetchKnobs,
    "Execution": ExecutionKnobs,
}
