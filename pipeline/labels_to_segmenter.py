"""Images with labels for each pixel, soft or hard → a trained segmenter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.augmentation import GEOMETRIES, cut_patch, turn
from pipeline.knobs import SegmenterKnobs
from pipeline.ops.types import Grey, ImageRGB
from pipeline.training import Arrays, Epoch, Progress, draw, fit


def train_segmenter(
    model: nn.Module,
    images: Sequence[ImageRGB],
    targets: Sequence[Grey],
    knobs: SegmenterKnobs,
    *,
    device: torch.device,
    resume: dict[str, Any] | None,
    progress: Progress | None = None,
) -> Iterator[Epoch]:
    """Binary cross-entropy on random crops; a target is uint8 H×W, 255 = surely crack. Logs loss."""
    if not images or len(images) != len(targets):
        raise ValueError(
            f"{len(images)} images and {len(targets)} labels; at least one image is needed, each with a label"
        )
    geometries = GEOMETRIES if knobs.geometry == "eightfold" else 1
    samples = knobs.samples_per_epoch or len(images) * geometries
    feed = CropFeed(images, targets, knobs.crop_px, geometries, samples)
    return fit(model, feed, binary_cross_entropy, knobs, device=device, resume=resume, progress=progress)


@dataclass(frozen=True)
class CropFeed:
    """Crops from images in all their geometries, mirrored where the image is smaller than the crop."""

    images: Sequence[ImageRGB]
    targets: Sequence[Grey]
    crop_px: int
    geometries: int
    samples: int

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[Arrays]:
        rows = draw(len(self.images) * self.geometries, self.samples, rng)
        for chosen in np.split(rows, np.cumsum(sizes)[:-1]):
            pixels = np.empty((len(chosen), self.crop_px, self.crop_px, 3), np.uint8)
            labels = np.empty((len(chosen), 1, self.crop_px, self.crop_px), np.uint8)
            for slot, row in enumerate(chosen):
                pixels[slot], labels[slot, 0] = self._crop(*divmod(int(row), self.geometries), rng)
            yield pixels, labels

    def _crop(self, image: int, geometry: int, rng: np.random.Generator) -> Arrays:
        pixels, label = self.images[image], self.targets[image]
        if pixels.shape[:2] != label.shape:
            raise ValueError(f"image {image} is {pixels.shape} and its label {label.shape}; sizes must agree")
        height, width = turn(label, geometry).shape
        row = int(rng.integers(max(height - self.crop_px, 0) + 1))
        col = int(rng.integers(max(width - self.crop_px, 0) + 1))
        return (
            cut_patch(pixels, geometry, row, col, self.crop_px),
            cut_patch(label, geometry, row, col, self.crop_px),
        )


def binary_cross_entropy(output: dict[str, Any], targets: Tensor) -> dict[str, Tensor]:
    """Mean over the main output and the auxiliary ones, all of the same weight; targets uint8 N×1×H×W."""
    soft = targets.float() / 255
    losses = [F.binary_cross_entropy_with_logits(logits, soft) for logits in (output["logits"], *output["aux"])]
    return {"loss": torch.stack(losses).mean()}
