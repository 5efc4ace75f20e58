"""ThresholdMaps: which pixels are dark in every window that sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tasks.dataset import Photo
from tasks.image_stage import ImageMaps


class ThresholdMaps(ImageMaps):
    """True for dark."""

    def map_of(self, photo: Photo) -> NDArray[np.bool_]:
        from pipeline.images_to_threshold_maps import threshold_map

        return threshold_map(photo.image(), self.knobs)
