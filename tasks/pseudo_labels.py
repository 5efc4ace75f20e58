"""PseudoLabels: where the classifier sees a crack, times which pixels are dark, cleaned."""

from __future__ import annotations

from collections.abc import Mapping

import luigi
import numpy as np
from numpy.typing import NDArray

from tasks.core.stage import Stage
from tasks.dataset import Photo
from tasks.labels import LabelStage, localization_stages
from tasks.threshold_maps import ThresholdMaps


class PseudoLabels(LabelStage):
    images_of = luigi.Parameter(default="", positional=False, description="a data set; '' = the one trained on")

    def threshold_maps(self) -> ThresholdMaps:
        return self.sibling(ThresholdMaps, split=self.split, images_of=self.images_of)

    def upstream(self) -> Mapping[str, Stage]:
        return {**localization_stages(self), "threshold_maps": self.threshold_maps()}

    def label_of(self, photo: Photo) -> NDArray[np.uint8]:
        from pipeline.maps_to_pseudo_labels import pseudo_label

        return pseudo_label(*self.maps(photo.id), self.knobs)

    def maps(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """Patch map, CAM and threshold map of an image, all H×W."""
        dark = self.threshold_maps().map(name)
        shape_hw = (dark.shape[0], dark.shape[1])
        return self.patch_maps().map(name, shape_hw), self.cams().map(name, shape_hw), dark
