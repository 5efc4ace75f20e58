"""PseudoLabels: where the classifier sees a crack, times which pixels are dark, cleaned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.knobs import PseudoLabelsKnobs
from pipeline.ops.types import Grey, Map, Mask
from tasks.cams import CamMaps, Cams
from tasks.classifier import ARCH
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF, YesNoMaps
from tasks.intake.photo_index import Photo
from tasks.labels import LabelStage
from tasks.patch_maps import GridMaps, PatchMaps
from tasks.threshold_maps import ThresholdMaps

UNCRACKED = ("uncracked", "paper")


class PseudoLabels(LabelStage[PseudoLabelsKnobs]):
    """A confidence for each pixel."""

    arch, images_of = ARCH, IMAGES_OF

    def patch_maps(self) -> PatchMaps:
        return self.sibling(PatchMaps, arch=self.arch, split=self.split, images_of=self.images_of)

    def cams(self) -> Cams:
        return self.sibling(Cams, arch=self.arch, split=self.split, images_of=self.images_of)

    def threshold_maps(self) -> ThresholdMaps:
        return self.sibling(ThresholdMaps, split=self.split, images_of=self.images_of)

    def upstream(self) -> Mapping[str, AnyStage]:
        maps = {"patch_maps": self.patch_maps(), "cams": self.cams(), "threshold_maps": self.threshold_maps()}
        return {**super().upstream(), **maps}

    def job(self) -> PseudoLabelJob:
        return PseudoLabelJob(self.sources(), self.knobs)

    def significant_knobs(self) -> dict[str, object]:
        """Not that photos answered "no" are labelled as any other: what was made before that was a choice is valid."""
        return {name: value for name, value in super().significant_knobs().items() if (name, value) != UNCRACKED}

    def knows_empty(self) -> bool:
        return self.knobs.uncracked == "empty"

    def sources(self) -> Sources:
        return Sources(self.patch_maps().maps(), self.cams().maps(), self.threshold_maps().maps())


@dataclass(frozen=True)
class Sources:
    """The maps that a label is made of."""

    patch_maps: GridMaps
    cams: CamMaps
    dark: YesNoMaps

    def of(self, photo: Photo) -> tuple[Map, Map, Mask]:
        """Patch map, CAM and threshold map, all H×W."""
        return self.patch_maps.of(photo), self.cams.of(photo), self.dark.of(photo)


@dataclass(frozen=True)
class PseudoLabelJob:
    sources: Sources
    knobs: PseudoLabelsKnobs

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        from pipeline.maps_to_pseudo_labels import pseudo_label

        def label(photo: Photo) -> Grey:
            if self.knobs.uncracked == "empty" and photo.label == 0:
                return np.zeros(photo.shape_hw, np.uint8)
            return pseudo_label(*self.sources.of(photo), self.knobs)

        return label
