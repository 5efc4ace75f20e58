"""Patches with labels → a trained classifier, and its answers on other patches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.resnet import Classifier
from pipeline.augmentation import PatchIndex, cut_patch
from pipeline.knobs import ClassifierKnobs, Precision
from pipeline.ops.types import ImageRGB
from pipeline.training import Arrays, Epoch, Progress, draw, evaluating, fit, laid_out, to_batch


def train_classifier(
    model: Classifier,
    images: Sequence[ImageRGB],
    patches: PatchIndex,
    knobs: ClassifierKnobs,
    *,
    patch_px: int,
    device: torch.device,
    resume: dict[str, Any] | None,
    progress: Progress | None = None,
) -> Iterator[Epoch]:
    """Cross-entropy of crack against no crack; logs loss and training_accuracy."""
    cracks = int(patches.label.sum())
    if cracks in (0, len(patches)):
        raise ValueError(
            f"{len(patches)} training patches, {cracks} of them crack; both kinds are needed to learn from"
        )
    feed = PatchFeed(images, patches, patch_px, knobs.samples_per_epoch or len(patches))
    return fit(model, feed, cross_entropy, knobs, device=device, resume=resume, progress=progress)


@dataclass(frozen=True)
class PatchFeed:
    """Patches cut from their images when they are needed, never before."""

    images: Sequence[ImageRGB]
    patches: PatchIndex
    patch_px: int
    samples: int

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[Arrays]:
        rows = draw(len(self.patches), self.samples, rng)
        for chosen in np.split(rows, np.cumsum(sizes)[:-1]):
            yield cut_batch(self.images, self.patches, chosen, self.patch_px), self.patches.label[chosen]


def cut_batch(
    images: Sequence[ImageRGB], patches: PatchIndex, rows: npt.NDArray[np.intp], patch_px: int
) -> npt.NDArray[np.uint8]:
    """The patches of some rows of the index, N×P×P×3."""
    batch = np.empty((len(rows), patch_px, patch_px, 3), np.uint8)
    for slot, row in zip(batch, rows, strict=True):
        image, geometry = images[patches.image[row]], int(patches.geometry[row])
        slot[:] = cut_patch(image, geometry, int(patches.row[row]), int(patches.col[row]), patch_px)
    return batch


def cross_entropy(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """In float32: logits N×2 and labels N."""
    logits, labels = logits.float(), labels.long()
    hits = (logits.argmax(dim=1) == labels).float()
    return {"loss": F.cross_entropy(logits, labels), "training_accuracy": hits.mean()}


def patch_probabilities(
    model: Classifier,
    images: Sequence[ImageRGB],
    patches: PatchIndex,
    *,
    patch_px: int,
    device: torch.device,
    batch_size: int,
    precision: Precision = "float32",
) -> npt.NDArray[np.float32]:
    """Probability of crack of each patch, in the order of the index."""
    answers = np.empty(len(patches), np.float32)
    with evaluating(model, device, precision):
        for start in range(0, len(patches), batch_size):
            rows = np.arange(start, min(start + batch_size, len(patches)))
            batch = to_batch(cut_batch(images, patches, rows, patch_px), device)
            logits = model(laid_out(batch, precision)).float()
            answers[rows] = logits.softmax(dim=1)[:, 1].cpu().numpy()
    return answers
