"""Patches with labels → a trained classifier, and its answers on other patches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from models.networks.classifier import Classifier
from pipeline.knobs import ClassifierKnobs, Precision
from pipeline.learning.augmentation import PatchIndex
from pipeline.learning.cutting import Cutter, cutter
from pipeline.learning.ranks import ALONE, Ranks
from pipeline.learning.training import Batch, Bytes, Epoch, Progress, draw, evaluating, fit, laid_out, to_batch
from pipeline.ops.types import ImageRGB


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
    ranks: Ranks = ALONE,
) -> Iterator[Epoch]:
    """Cross-entropy of crack against no crack; logs loss and training_accuracy."""
    check_kinds(patches.label)
    feed = PatchFeed(cutter(images, device), patches, patch_px, knobs.samples_per_epoch or len(patches))
    return fit(
        model,
        feed,
        lambda _: cross_entropy,
        knobs,
        device=device,
        resume=resume,
        progress=progress,
        ranks=ranks,
    )


def check_kinds(labels: npt.NDArray[np.uint8], where: str = "the training set") -> None:
    """Nothing can be learned from one kind of patches."""
    cracks = int(labels.sum())
    if cracks in (0, len(labels)):
        raise ValueError(
            f"{where} has {cracks:,} crack patches and {len(labels) - cracks:,} without; both kinds are needed to "
            "learn from: add images of the other kind, or look at the masks"
        )


def check_weights(weights: Mapping[str, Any], where: str) -> None:
    """Tensors only, and every number in them finite."""
    strange = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    if strange:
        names = ", ".join(map(repr, strange[:3]))
        raise ValueError(f"{where} holds {names}, which is no tensor; wanted: a state dict with torchvision's names")
    broken = [name for name, value in weights.items() if not value.isfinite().all()]
    if broken:
        raise ValueError(
            f"{where} holds numbers that are not finite, in {len(broken)} tensors ({', '.join(broken[:3])}); "
            "give the weights of a training that did not diverge"
        )


@dataclass(frozen=True)
class PatchFeed:
    """Patches cut from their images when they are needed, never before."""

    images: Cutter
    patches: PatchIndex
    patch_px: int
    samples: int

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[Batch]:
        rows = draw(len(self.patches), self.samples, rng)
        for chosen in np.split(rows, np.cumsum(sizes)[:-1]):
            yield cut_rows(self.images, self.patches, chosen, self.patch_px), self.patches.label[chosen]


def cut_rows(images: Cutter, patches: PatchIndex, rows: npt.NDArray[np.intp], patch_px: int) -> Bytes:
    """The patches of some rows of the index, N×P×P×3."""
    columns = (patches.image, patches.geometry, patches.row, patches.col)
    return images.cut(np.stack([column[rows].astype(np.int64) for column in columns]), patch_px)


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
    source = cutter(images, device)
    with evaluating(model, device, precision):
        for start in range(0, len(patches), batch_size):
            rows = np.arange(start, min(start + batch_size, len(patches)))
            batch = to_batch(cut_rows(source, patches, rows, patch_px), device)
            logits = model(laid_out(batch, precision)).float()
            answers[rows] = logits.softmax(dim=1)[:, 1].cpu().numpy()
    return answers


def image_probabilities(patches: PatchIndex, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of each image the highest probability among its patches, 0 … images − 1; an image is as cracked as its worst."""
    highest = np.zeros(int(patches.image.max(initial=-1)) + 1, np.float32)
    np.maximum.at(highest, patches.image, probabilities)
    return highest
