"""ThresholdMaps: which pixels are dark in every window that sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.knobs import ThresholdMapsKnobs
from pipeline.ops.types import Mask
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF, ImageStage, YesNoMaps
from tasks.intake.photo_index import Photo


class ThresholdMaps(ImageStage[ThresholdMapsKnobs]):
    """A black and white PNG for each image, white for dark."""

    images_of = IMAGES_OF

    def job(self) -> ThresholdJob:
        return ThresholdJob(self.knobs)

    def maps(self) -> YesNoMaps:
        return YesNoMaps(self.entry.folder)


@dataclass(frozen=True)
class ThresholdJob:
    knobs: ThresholdMapsKnobs

    def open(self, place: Place) -> Callable[[Photo], Mask]:
        from pipeline.images_to_threshold_maps import threshold_map

        return lambda photo: threshold_map(photo.image(), self.knobs)
