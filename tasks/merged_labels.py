"""MergedLabels: what several networks say of a photo together, as one soft label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.knobs import MergedLabelsKnobs
from pipeline.ops.types import Grey
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF, YesNoMaps
from tasks.intake.photo_index import Photo
from tasks.labels import LabelStage
from tasks.merge_weights import MergeWeights
from tasks.patches import AnswersByPhoto, Patches, answered
from tasks.predictions import Predictions, WholeNumberMaps
from tasks.threshold_maps import ThresholdMaps


class MergedLabels(LabelStage[MergedLabelsKnobs]):
    images_of = IMAGES_OF

    def merge_weights(self) -> MergeWeights:
        """Names the sources; made only where the answers decide how much each counts."""
        return self.sibling(MergeWeights)

    def predictions(self) -> dict[str, Predictions]:
        return self.merge_weights().predictions(split=self.split, target=self.images_of)

    def threshold_maps(self) -> ThresholdMaps | None:
        if not self.knobs.threshold_weight:
            return None
        return self.sibling(ThresholdMaps, split=self.split, images_of=self.images_of)

    def answered(self) -> Patches | None:
        """Whose answers the labels are true to; only training photos were answered for."""
        return answered(self, kept=self.knobs.answers == "kept")

    def upstream(self) -> Mapping[str, AnyStage]:
        dark = self.threshold_maps()
        more: dict[str, AnyStage | None] = {"threshold_maps": dark, "patches": self.answered()}
        if self.knobs.rule == "answers":
            more["weights"] = self.merge_weights()
        return {**super().upstream(), **self.predictions(), **{role: stage for role, stage in more.items() if stage}}

    def job(self) -> MergedLabelJob:
        maps, dark = [stage.maps() for stage in self.predictions().values()], self.threshold_maps()
        weights, answered = self.merge_weights().weights if self.knobs.rule == "answers" else [], self.answered()
        answers = answered.answers() if answered else {}
        return MergedLabelJob(tuple(maps), dark.maps() if dark else None, answers, self.knobs, tuple(weights))

    def knows_empty(self) -> bool:
        return self.knobs.uncracked == "empty"


@dataclass(frozen=True)
class MergedLabelJob:
    maps: tuple[WholeNumberMaps, ...]
    dark: YesNoMaps | None
    answers: AnswersByPhoto
    knobs: MergedLabelsKnobs
    weights: tuple[float, ...]

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        from pipeline.maps_to_merged_labels import merged_label, nothing

        def label(photo: Photo) -> Grey:
            if self.knobs.uncracked == "empty" and photo.label == 0:
                return nothing(photo.shape_hw)
            dark = self.dark.of(photo) if self.dark else None
            said, squares = [maps.probability(photo) for maps in self.maps], self.answers.get(photo.id, [])
            return merged_label(said, dark, squares, self.knobs, self.weights)

        return label
