"""What the referee does with each image, on any worker: look, count, compare shapes, draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.knobs import DatasetKnobs, JudgeKnobs, ScoresKnobs
from pipeline.ops.types import Mask
from tasks.core.workers import Place
from tasks.intake import judged_files
from tasks.intake.judged_files import Look, Reading, Values
from tasks.intake.photo_index import Photo

if TYPE_CHECKING:
    from pipeline.ops.other_papers_scores import ImageCounts


@dataclass(frozen=True)
class Pair:
    """A mask and what a system predicts for it."""

    name: str
    group: str
    prediction: Path
    mask: Path | Photo


@dataclass(frozen=True)
class LookJob:
    rules: DatasetKnobs
    what: str

    def open(self, place: Place) -> Callable[[Path], Look]:
        return lambda path: judged_files.look(path, self.rules, self.what)


@dataclass(frozen=True)
class Loading:
    """How the files of a system and of the masks are read."""

    rules: DatasetKnobs
    knobs: JudgeKnobs
    predictions: Reading
    masks: Reading

    def of(self, pair: Pair) -> tuple[Values, Mask]:
        prediction = judged_files.prediction(pair.prediction, self.rules, self.predictions)
        if isinstance(pair.mask, Photo):
            mask = pair.mask.checked_mask()
        else:
            mask = judged_files.mask(pair.mask, self.rules, self.masks, self.knobs.mask_threshold)
        return judged_files.fitted(prediction, mask, pair.name, self.knobs.crop_px)


@dataclass(frozen=True)
class CountJob:
    loading: Loading
    scores: ScoresKnobs

    def open(self, place: Place) -> Callable[[Pair], ImageCounts]:
        from pipeline.predictions_to_judgement import count

        return lambda pair: count(*self.loading.of(pair), self.scores)


@dataclass(frozen=True)
class ShapeJob:
    """Whole numbers by what they count, at each place where a prediction is cut."""

    loading: Loading
    places: Mapping[str, int]

    def open(self, place: Place) -> Callable[[Pair], dict[str, dict[str, int]]]:
        from pipeline.predictions_to_judgement import compare_shapes

        return lambda pair: compare_shapes(*self.loading.of(pair), self.loading.knobs, self.places)


@dataclass(frozen=True)
class PictureJob:
    """A small PNG of what was found, missed and invented."""

    loading: Loading
    threshold: int

    def open(self, place: Place) -> Callable[[Pair], bytes]:
        from pipeline.predictions_to_judgement import cut
        from pipeline.reports.judge_page import picture

        def drawn(pair: Pair) -> bytes:
            prediction, mask = self.loading.of(pair)
            return picture(cut(prediction, self.threshold), mask, self.loading.knobs.shown_px)

        return drawn
