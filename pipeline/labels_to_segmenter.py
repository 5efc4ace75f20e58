"""Images with labels for each pixel, soft or hard → a trained segmenter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.knobs import SegmenterKnobs
from pipeline.learning.augmentation import GEOMETRIES, QUARTER
from pipeline.learning.cutting import Cutter, cutter
from pipeline.learning.losses import segmenter_loss
from pipeline.learning.ranks import ALONE, Ranks
from pipeline.learning.training import Batch, Epoch, Progress, draw, fit
from pipeline.ops.types import Grey, ImageRGB


def train_segmenter(
    model: nn.Module,
    images: Sequence[ImageRGB],
    targets: Sequence[Grey],
    knobs: SegmenterKnobs,
    *,
    sides: Sequence[float],
    device: torch.device,
    resume: dict[str, Any] | None,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Epoch]:
    """Random crops; a target is uint8 H×W, 255 = surely crack. `sides` weigh the side outputs. Logs the loss.

    All images are uint8 H×W×3, or all H×W×4: then the last channel goes with them, untouched by colour and noise.
    """
    if not images or len(images) != len(targets):
        raise ValueError(
            f"{len(images)} images and {len(targets)} labels; at least one image is needed, each with a label"
        )
    shapes = common_shapes(images, targets)
    geometries = GEOMETRIES if knobs.geometry == "eightfold" else 1
    samples = knobs.samples_per_epoch or len(images) * geometries
    feed = CropFeed(cutter(images, device), cutter(targets, device), shapes, knobs.crop_px, geometries, samples)
    return fit(
        model,
        feed,
        segmenter_loss(knobs, sides),
        knobs,
        device=device,
        resume=resume,
        progress=progress,
        ranks=ranks,
    )


def common_shapes(images: Sequence[ImageRGB], targets: Sequence[Grey]) -> npt.NDArray[np.int64]:
    """Height and width of each image, which must be those of its label."""
    shapes = np.empty((len(images), 2), np.int64)
    for number, (image, label) in enumerate(zip(images, targets, strict=True)):
        if image.shape[:2] != label.shape:
            raise ValueError(f"image {number} is {image.shape} and its label {label.shape}; sizes must agree")
        shapes[number] = label.shape
    return shapes


@dataclass(frozen=True)
class CropFeed:
    """Crops from images in all their geometries, mirrored where the image is smaller than the crop."""

    images: Cutter
    targets: Cutter
    shapes_hw: npt.NDArray[np.int64]  # of each image
    crop_px: int
    geometries: int
    samples: int

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[Batch]:
        rows = draw(len(self.shapes_hw) * self.geometries, self.samples, rng)
        for chosen in np.split(rows, np.cumsum(sizes)[:-1]):
            image, geometry = np.divmod(chosen, self.geometries)
            squares = np.stack([image, geometry, *self._corners(image, geometry, rng)])
            labels = self.targets.cut(squares, self.crop_px)
            yield self.images.cut(squares, self.crop_px), labels[:, np.newaxis]

    def _corners(
        self, image: npt.NDArray[np.intp], geometry: npt.NDArray[np.intp], rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Rows and columns of the crops, anywhere in the turned images."""
        shapes, turned = self.shapes_hw[image], geometry & QUARTER > 0
        shapes[turned] = shapes[turned, ::-1]
        corners: npt.NDArray[np.int64] = rng.integers(np.maximum(shapes - self.crop_px, 0) + 1)
        return corners.T
