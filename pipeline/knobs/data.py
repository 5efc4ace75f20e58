"""The schema of what comes in: photos, their index, their patches, and where to fetch them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.knobs.ranges import Amount, Count, Positive, Range, Seed, Share, Side


@dataclass(frozen=True)
class DemoPhotosKnobs:
    seed: Seed
    train_images: Positive
    val_images: Count
    test_images: Positive
    uncracked_share: Share


@dataclass(frozen=True)
class DatasetKnobs:
    layout: Literal[
        "synthetic", "folders", "crack500", "cfd", "ael", "dcd", "classes", "csv", "answers", "trees", "combined"
    ]
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
    min_side_px: Side
    transparent: Literal["fail", "white"]
    mask_threshold: Annotated[int, Range(1, 255)]
    mask_inverted: bool  # whether crack is black
    max_grey_share: Share


@dataclass(frozen=True)
class GeneratedKnobs:
    seed: Seed
    made: Count  # photos with nothing real in them
    drawn: Count  # cracks drawn into real photos without any
    grounds: str  # whose: a data set's training photos that were answered "no", or a folder's; "": there are none
    uncracked_share: Share
    width_px: Side  # of a made photo
    height_px: Side
    smallest: Annotated[float, Range(0.1, 16.0)]  # cracks, as multiples of the demo's
    largest: Annotated[float, Range(0.1, 16.0)]

    def __post_init__(self) -> None:
        if self.made + self.drawn == 0:
            raise ValueError("made = 0 and drawn = 0; allowed: at least one photo")
        if self.drawn and not self.grounds:
            raise ValueError(f'drawn = {self.drawn}, but grounds = ""; name a data set or a folder, or set drawn = 0')
        if self.smallest > self.largest:
            raise ValueError(f"smallest = {self.smallest:g}; allowed: at most largest = {self.largest:g}")


@dataclass(frozen=True)
class PatchesKnobs:
    bag: Literal["patch", "photo"]  # what an answer is for; photo: whole photos, mirrored until they are square
    patch_px: Side
    stride_px: Side
    min_crack_pixels: Positive
    geometry: Literal["eightfold", "none"]
    max_answers: Count  # for training, drawn from all patches of the training images; 0: every patch has one
    answers_seed: Seed


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
