"""Refinements: predictions sharpened by a dense CRF or a guided filter; not there when [Refinements] says "none"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.knobs import RefinementsKnobs
from pipeline.ops.types import Grey
from tasks.classifier import ARCH
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.image_stage import ImageStage
from tasks.intake.photo_index import Photo
from tasks.predictions import TARGET, TEST, Predictions, WholeNumberMaps
from tasks.segmenter import SEGMENTER
from tasks.supervision import LABELS


class Refinements(ImageStage[RefinementsKnobs]):
    """The axes are those of the predictions that are refined."""

    segmenter, labels, arch, target, split = SEGMENTER, LABELS, ARCH, TARGET, TEST
    images_axis = "target"

    def predictions(self) -> Predictions:
        axes = {name: str(getattr(self, name)) for name in ("segmenter", "labels", "arch", "target", "split")}
        return self.sibling(Predictions, **axes)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {"predictions": self.predictions(), "target": self.target_dataset()}

    def job(self) -> RefinementJob:
        return RefinementJob(self.predictions().maps(), self.knobs)

    def maps(self) -> WholeNumberMaps:
        return WholeNumberMaps(self.entry.folder)


@dataclass(frozen=True)
class RefinementJob:
    predictions: WholeNumberMaps
    knobs: RefinementsKnobs

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        from pipeline.predictions_to_refinements import refined

        return lambda photo: refined(photo.image(), self.predictions.probability(photo), self.knobs)


def final_maps(experiment: Experiment, **axes: str) -> Predictions | Refinements:
    """The predictions as they are scored: refined, if the settings say so."""
    refined = experiment.task(Refinements, **axes)
    return refined.predictions() if refined.knobs.method == "none" else refined
