"""The schema of the settings: every knob of every stage, its type and its allowed range.

No knob has a default: the numbers are in `configs/`. Imports nothing heavy, so that reading settings is instant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.knobs.labels import (
    CamsKnobs,
    CrfLabelsKnobs,
    CrfSearchKnobs,
    DiagnosisKnobs,
    EdgeMapsKnobs,
    PatchMapsKnobs,
    PseudoLabelsKnobs,
    ThresholdMapsKnobs,
    TuneLabelsKnobs,
)
from pipeline.knobs.ranges import Amount, Count, Pixels, Positive, Range, Seed, Share, as_dict, check, fields
from pipeline.knobs.training import (
    ClassifierKnobs,
    PhotometricKnobs,
    Precision,
    PredictionsKnobs,
    RefinementsKnobs,
    SegmenterKnobs,
    TrainingKnobs,
)

__all__ = [
    "CamsKnobs",
    "ClassifierKnobs",
    "CrfLabelsKnobs",
    "CrfSearchKnobs",
    "DiagnosisKnobs",
    "EdgeMapsKnobs",
    "PatchMapsKnobs",
    "PhotometricKnobs",
    "Precision",
    "PredictionsKnobs",
    "PseudoLabelsKnobs",
    "RefinementsKnobs",
    "SegmenterKnobs",
    "ThresholdMapsKnobs",
    "TrainingKnobs",
    "TuneLabelsKnobs",
    "as_dict",
    "check",
    "fields",
]


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
class ScoresKnobs:
    empty: Literal["zero", "one", "skip"]
    fixed_threshold: Share  # of IoU, Dice and accuracy: 0.00, 0.01 … 0.99
    region_px: Pixels
    region_crack_share: Share  # of its pixels, for a region to be cracked
    region_hit_share: Share  # of its crack pixels, for a cracked region to be found

    def __post_init__(self) -> None:
        if self.fixed_threshold not in [percent / 100 for percent in range(100)]:
            raise ValueError(f"fixed_threshold = {self.fixed_threshold:g}; allowed: 0.00, 0.01, … 0.99")
        if not (self.region_crack_share and self.region_hit_share):
            raise ValueError("region_crack_share and region_hit_share must be above 0, or every region is a hit")


@dataclass(frozen=True)
class LabelTablesKnobs:
    classifiers: list[str]
    variants: list[str]


@dataclass(frozen=True)
class CrossTableKnobs:
    datasets: list[str]  # each is trained on, and each is tested on; "self": the data set itself
    classifiers: list[str]  # behind crf and pseudo labels
    segmenters: list[str]
    labels: list[str]
    absent: Literal["name", "fail"]  # what to do about data sets that are not on this machine


@dataclass(frozen=True)
class EfficiencyKnobs:
    segmenters: list[str]
    width_px: Pixels  # of the one image
    height_px: Pixels
    rounds: Positive  # forward passes, whose median is the time
    warm_up: Count  # forward passes before them, after a first one in which the operations are counted
    precision: Precision


@dataclass(frozen=True)
class TablesKnobs:
    classifiers: list[str]
    segmenters: list[str]  # "all" alone: every network of models/, in this and in semi
    labels: list[str]
    test_sets: list[str]  # "self": the test images of the data set itself
    semi: list[str]  # those of the segmenters that are also trained with pseudo labels of the test images added
    also_train_on: list[str]  # data sets whose own tables are wanted in these as well
    absent: Literal["name", "fail"]  # what to do about data sets that are not on this machine
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
    "EdgeMaps": EdgeMapsKnobs,
    "PseudoLabels": PseudoLabelsKnobs,
    "CrfSearch": CrfSearchKnobs,
    "CrfLabels": CrfLabelsKnobs,
    "Segmenter": SegmenterKnobs,
    "Predictions": PredictionsKnobs,
    "Refinements": RefinementsKnobs,
    "Scores": ScoresKnobs,
    "Diagnosis": DiagnosisKnobs,
    "TuneLabels": TuneLabelsKnobs,
    "LabelTables": LabelTablesKnobs,
    "Efficiency": EfficiencyKnobs,
    "Tables": TablesKnobs,
    "CrossTable": CrossTableKnobs,
    "Fetch": FetchKnobs,
    "Execution": ExecutionKnobs,
}
