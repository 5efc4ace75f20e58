"""Images with yes/no answers for their patches, and photos with exact masks to rehearse → a trained segmenter.

A patch answered "no" is a mask: nothing in it is crack. Of one answered "yes" only this is known: its most suspicious
pixels are. A network that has seen cracks elsewhere learns from both how they look here, and the photos with masks,
rehearsed in every batch, keep it from forgetting where a crack begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.knobs import SegmenterKnobs
from pipeline.learning.augmentation import GEOMETRIES, QUARTER, PatchIndex
from pipeline.learning.cutting import Cutter, cutter
from pipeline.learning.ranks import ALONE, Ranks
from pipeline.learning.training import Batch, Bytes, Epoch, Loss, Progress, draw, fit
from pipeline.ops.types import Grey, ImageRGB

SOMEWHERE = 1  # a target of this value: a crack is in this patch, and nobody said where; masks are 0 and 255
Exact = tuple[Sequence[ImageRGB], Sequence[Grey]]  # images and their masks, 0 and 255


def train_on_answers(
    model: nn.Module,
    images: Sequence[ImageRGB],
    patches: PatchIndex,
    exact: Exact,
    knobs: SegmenterKnobs,
    *,
    patch_px: int,
    device: torch.device,
    resume: dict[str, Any] | None,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
) -> Iterator[Epoch]:
    """Batches of half "yes" and half "no" patches, a share of `rehearsal` of photos with masks; logs loss, dense, bag
    and how many answers the pooled logits give right."""
    yes = int(patches.label.sum())
    if yes in (0, len(patches)):
        raise ValueError(
            f"the training patches were answered {yes:,} times yes and {len(patches) - yes:,} times no; both answers "
            "are needed to learn from: add photos of the other kind"
        )
    drawn = (cutter(exact[0], device), cutter(exact[1], device)) if exact[0] else None
    shapes = np.array([mask.shape for mask in exact[1]], np.int64).reshape(-1, 2)
    samples = knobs.samples_per_epoch or len(patches)
    feed = AnswerFeed(cutter(images, device), patches, drawn, shapes, patch_px, knobs.rehearsal, samples)
    return fit(
        model,
        feed,
        lambda _: answers_loss(knobs),
        knobs,
        device=device,
        resume=resume,
        progress=progress,
        ranks=ranks,
    )


@dataclass(frozen=True)
class AnswerFeed:
    """Patches cut when they are needed; the target of a sample is a plane as large as it."""

    images: Cutter
    patches: PatchIndex
    exact: tuple[Cutter, Cutter] | None
    shapes_hw: npt.NDArray[np.int64]  # of the photos with masks
    patch_px: int
    rehearsal: float
    samples: int

    def __len__(self) -> int:
        return self.samples

    def batches(self, sizes: Sequence[int], rng: np.random.Generator) -> Iterator[Batch]:
        rehearsed = [round(self.rehearsal * size) if self.exact else 0 for size in sizes]
        answered = sum(sizes) - sum(rehearsed)
        rows = self._alternating(answered, rng)
        photos = draw(len(self.shapes_hw) * GEOMETRIES, sum(rehearsed), rng) if sum(rehearsed) else np.empty(0, np.intp)
        for size, exact in zip(sizes, rehearsed, strict=True):
            mine, rows = np.split(rows, [size - exact])
            shown, photos = np.split(photos, [exact])
            images, targets = self._answered(mine)
            if exact:
                more = self._exact(shown, rng)
                images, targets = _joined(images, more[0]), _joined(targets, more[1])
            yield images, targets[:, np.newaxis]

    def _alternating(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
        """Rows of the index: yes, no, yes, no, …, each kind in an order of its own."""
        kinds = [np.flatnonzero(self.patches.label == kind) for kind in (1, 0)]
        rows = np.empty(count, np.intp)
        for first, kind in enumerate(kinds):
            wanted = len(rows[first::2])
            rows[first::2] = kind[draw(len(kind), wanted, rng)] if wanted else 0
        return rows

    def _answered(self, rows: npt.NDArray[np.intp]) -> tuple[Bytes, Bytes]:
        columns = (self.patches.image, self.patches.geometry, self.patches.row, self.patches.col)
        images = self.images.cut(np.stack([column[rows].astype(np.int64) for column in columns]), self.patch_px)
        plane = np.full((1, self.patch_px, self.patch_px), SOMEWHERE, np.uint8)
        targets = self.patches.label[rows].astype(np.uint8)[:, np.newaxis, np.newaxis] * plane
        return images, targets if isinstance(images, np.ndarray) else torch.from_numpy(targets).to(images.device)

    def _exact(self, chosen: npt.NDArray[np.intp], rng: np.random.Generator) -> tuple[Bytes, Bytes]:
        assert self.exact is not None
        photo, geometry = np.divmod(chosen, GEOMETRIES)
        room = np.maximum(self.shapes_hw[photo] - self.patch_px, 0)
        turned = geometry & QUARTER > 0
        room[turned] = room[turned, ::-1]
        squares = np.stack([photo, geometry, *rng.integers(room + 1).T]).astype(np.int64)
        return self.exact[0].cut(squares, self.patch_px), self.exact[1].cut(squares, self.patch_px)


def _joined(first: Bytes, second: Bytes) -> Bytes:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.cat([first, second])
    return np.concatenate([np.asarray(first), np.asarray(second)])


def answers_loss(knobs: SegmenterKnobs) -> Loss:
    """BCE of all pixels of which something is known + bag_weight · BCE of the pooled logit of every sample."""

    def loss(output: dict[str, Tensor], planes: Tensor) -> dict[str, Tensor]:
        logits = output["logits"].float()
        known = (planes != SOMEWHERE).to(logits.dtype)
        crack = (planes == 255).to(logits.dtype)
        cost = F.binary_cross_entropy_with_logits(logits, crack, reduction="none") * known
        dense = cost.sum() / known.sum().clamp_min(1)
        answer, pooled = (planes > 0).flatten(1).any(dim=1).to(logits.dtype), pool(logits, knobs)
        bag = F.binary_cross_entropy_with_logits(pooled, answer)
        hits = ((pooled > 0) == (answer > 0)).float().mean()
        return {"loss": dense + knobs.bag_weight * bag, "dense": dense, "bag": bag, "training_accuracy": hits}

    return loss


def pool(logits: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """N×1×H×W → N, one answer for each sample: the mean of its `pool_px` highest logits, or log of the mean of e^x."""
    flat = logits.flatten(1)
    if knobs.pool == "top":
        return flat.topk(min(knobs.pool_px, flat.shape[1]), dim=1).values.mean(dim=1)
    return flat.logsumexp(dim=1) - float(np.log(flat.shape[1]))
