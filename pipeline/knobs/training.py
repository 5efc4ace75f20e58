"""The schema of what trains a network and what uses it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pipeline.knobs.loss_texts import parse_loss
from pipeline.knobs.ranges import Amount, Count, Positive, Range, Seed, Share, Side, check, fields

# the kinds of values of more than one knob
Precision = Literal["float32", "bfloat16"]
# x/255; less ImageNet's mean over its standard deviation; (x/255 − 0.5)/0.5; x/255 in the order blue, green, red; these
# from 0 to 255 less their means, as Caffe's networks want them
Pixel = Literal["unit", "imagenet", "half", "bgr", "caffe"]
Optimiser = Literal["sgd", "adam", "adamw"]
Schedule = Literal["step", "onecycle", "constant", "poly"]
Options = dict[str, dict[str, Any]]


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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schedule == "poly":
            raise ValueError("schedule = 'poly'; allowed for a classifier: 'step', 'onecycle', 'constant'")


@dataclass(frozen=True)
class SegmenterKnobs(TrainingKnobs):
    poly_power: Amount  # poly: (1 − share of the steps done)^power, down to cycle_end
    crop_px: Side
    geometry: Literal["eightfold", "none"]
    pool: Literal["top", "logmeanexp"]  # answers: how a patch's pixels become its answer
    pool_px: Positive  # answers, top: the mean of so many of the highest logits
    bag_weight: Amount  # answers: of the patches' own cross-entropy, beside that of the pixels that are known
    rehearsal: Share  # answers: the share of each batch that is generated photos with their masks
    # the first weights: generated: of the same network trained on Generated; starter: of the network that comes along
    start: Literal["none", "generated", "starter"]
    loss: str  # a sum such as "0.5*bce + 0.5*dice"
    side_loss: str  # of the side outputs; "": the same
    positive_weight: Amount  # of crack pixels, in the weighted losses
    focal_alpha: Amount
    focal_gamma: Amount
    dice_smooth: Amount
    iou_smooth: Amount
    boundary_fade: Share  # what the other terms lose each epoch, where there is a boundary term
    boundary_floor: Share
    training: Literal["common", "own"]  # own: the tables of `own` replace what this section says
    own: Options  # the training of single segmenters, knob by knob
    by_labels: (
        Options  # on one kind of labels ("generated"), or of one segmenter on it ("answers cgnet"), over the above
    )
    sides: Options  # weights of the side outputs of single segmenters, from fine to coarse
    options: Options  # one table for each segmenter's own options

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in filter(None, (self.loss, self.side_loss)):
            parse_loss(text)
        for kind, tables, also in (("own", self.own, ()), ("by_labels", self.by_labels, START)):
            for name, table in tables.items():
                try:
                    self._replaced(table, also)
                except ValueError as error:
                    raise ValueError(f"{kind}.{name}: {error}") from error
        for name, table in self.sides.items():
            if set(table) - {"weights"}:
                raise ValueError(f"sides.{name}: {', '.join(table)}; allowed: weights = [1.0, …]")
            check(list[float], table.get("weights", []))

    def of(self, segmenter: str, labels: str = "") -> SegmenterKnobs:
        """The knobs that decide the training of one segmenter on one kind of labels, without those of others."""
        if self.training == "own" and segmenter not in self.own:
            raise ValueError(
                f"training = 'own', but there is no table [Segmenter.own.{segmenter}]; write it (an empty one is the "
                "common training), or take training = 'common'"
            )
        mine = self._replaced(self.own[segmenter]) if self.training == "own" else self
        for name in (labels, f"{labels} {segmenter}"):
            mine = mine._replaced(self.by_labels.get(name, {}), START)
        options, sides = ({segmenter: table.get(segmenter, {})} for table in (self.options, self.sides))
        return dataclasses.replace(mine, training="common", own={}, options=options, sides=sides)

    def _replaced(self, table: Mapping[str, Any], also: Sequence[str] = ()) -> SegmenterKnobs:
        known = {name: kind for name, kind in fields(SegmenterKnobs).items() if name not in NOT_OWN or name in also}
        for name in table:
            if name not in known:
                raise ValueError(f"there is no training knob {name!r}; known: {', '.join(sorted(known))}")
        changed = {name: _checked(name, known[name], value) for name, value in table.items()}
        return dataclasses.replace(self, own={}, by_labels={}, **changed)


START = ("start",)  # what a kind of labels may have of its own beyond a segmenter; Tables compare only like with like
NOT_OWN = ("start", "training", "own", "by_labels", "sides", "options")


def _checked(name: str, kind: Any, value: Any) -> Any:
    try:
        return check(kind, value)
    except ValueError as error:
        raise ValueError(f"{name} = {error}") from error


Scale = Annotated[float, Range(0.01, 16.0)]


@dataclass(frozen=True)
class PredictionsKnobs:
    precision: Precision
    bits: Literal[8, 16]
    scale: Scale  # of the image that the network sees
    scales: list[Scale]  # in its place, the mean of what the network says at each
    max_pixels: Positive  # of an image that goes through the network whole; larger ones are tiled
    tile_px: Side
    overlap_px: Count

    def __post_init__(self) -> None:
        if self.tile_px % 32 or self.overlap_px % 32 or self.overlap_px >= self.tile_px:
            raise ValueError(
                f"tile_px = {self.tile_px}, overlap_px = {self.overlap_px}; "
                "allowed: multiples of 32, and an overlap smaller than the tile"
            )


@dataclass(frozen=True)
class RefinementsKnobs:
    method: Literal["none", "crf", "guided"]
    guide: Literal["image", "prediction"]  # guided: along the edges of what
    guided_threshold: Share
    guided_radius_px: Count
    guided_eps: Annotated[float, Range(1e-12, 1e3)]  # of grey values in [0, 1], squared
    unary_scale: Amount
    unary_clip: Annotated[float, Range(1e-6, 0.499)]
    gaussian_sxy_px: Annotated[float, Range(1e-3, 1e4)]
    gaussian_compat: Amount
    bilateral_sxy_px: Annotated[float, Range(1e-3, 1e4)]
    bilateral_srgb: Annotated[float, Range(1e-3, 1e4)]
    bilateral_compat: Amount
    iterations: Count
