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

    def upstream(self) -> Mapping[str, AnyStage]:
        dark = self.threshold_maps()
        weights = {"weights": self.merge_weights()} if self.knobs.rule == "answers" else {}
        return {**super().upstream(), **self.predictions(), **weights, **({"threshold_maps": dark} if dark else {})}

    def job(self) -> MergedLabelJob:
        maps, dark = [stage.maps() for stage in self.predictions().values()], self.threshold_maps()
        weights = self.merge_weights().weights if self.knobs.rule == "answers" else []
        return MergedLabelJob(tuple(maps), dark.maps() if dark else None, self.knobs, tuple(weights))

    def knows_empty(self) -> bool:
        return self.knobs.uncracked == "empty"


@dataclass(frozen=True)
class MergedLabelJob:
    maps: tuple[WholeNumberMaps, ...]
    dark: YesNoMaps | None
    knobs: MergedLabelsKnobs
    weights: tuple[float, ...]

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        from pipeline.maps_to_merged_labels import merged_label, nothing

        def label(photo: Photo) -> Grey:
            if self.knobs.uncracked == "empty" and photo.label == 0:
                return nothing(photo.shape_hw)
            dark = self.dark.of(photo) if self.dark else None
            return merged_label([maps.probability(photo) for maps in self.maps], dark, self.knobs, self.weights)

        return label
