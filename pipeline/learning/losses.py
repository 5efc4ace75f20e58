"""The losses by name, and the sums of them that segmenters are trained with.

x is a logit, p = σ(x), y its target in [0, 1], and BCE = −y·log p − (1−y)·log(1−p) of one pixel, computed from x.
Unless a loss says otherwise it takes soft targets as they are. Everything is in float32 (float64 stays float64),
whatever autocast says; values and gradients are finite for logits of ±10⁴.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.knobs import SegmenterKnobs
from pipeline.knobs.loss_texts import parse_loss
from pipeline.learning.training import Loss
from pipeline.ops.morphology import signed_distance

Term = Callable[[Tensor, Tensor, SegmenterKnobs], Tensor]  # logits N×1×H×W, targets alike in [0, 1] → a scalar


def bce(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """Mean BCE. Least where p = y, soft or not."""
    return F.binary_cross_entropy_with_logits(logits, targets)


def weighted_bce(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """mean(−c·y·log p − (1−y)·log(1−p)), c = positive_weight. Soft y: least at p = c·y / (c·y + 1 − y)."""
    return _weighted(logits, targets, knobs).mean()


def balanced_bce(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """weighted_bce / (c + 1), as CSSR has it: the weights' size does not matter, their ratio does. Soft y: as there."""
    return _weighted(logits, targets, knobs).mean() / (knobs.positive_weight + 1)


def weighted_mean_bce(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """Σ(−c·y·log p − (1−y)·log(1−p)) / Σ(c·y + 1−y), as mmsegmentation weighs classes. Soft y: as there."""
    weights = knobs.positive_weight * targets + (1 - targets)
    return _weighted(logits, targets, knobs).sum() / weights.sum()


def _weighted(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    crack, other = F.logsigmoid(logits), F.logsigmoid(-logits)
    return -knobs.positive_weight * targets * crack - (1 - targets) * other


def focal(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """mean(α·(1 − e^−BCE)^γ·BCE); e^−BCE is the probability of a hard target's class.

    Soft y: the BCE is at least y's entropy, so that grey targets keep a weight however well they are met.
    """
    cost = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    missed = (-torch.expm1(-cost)).clamp_min(torch.finfo(cost.dtype).tiny)  # 0 has no finite slope where γ < 1
    return knobs.focal_alpha * (missed**knobs.focal_gamma * cost).mean()


def dice(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """1 − (2·Σpy + s) / (Σp + Σy + s) over all pixels of the batch, s = dice_smooth.

    Soft y: monotone in each p, so it pulls p to 0 or 1 and not to y. 0/0 counts as 1.
    """
    p = logits.sigmoid()
    return 1 - _ratio(2 * (p * targets).sum() + knobs.dice_smooth, (p + targets).sum() + knobs.dice_smooth)


def dice_per_image(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """1 − (2·Σpy + s) / (Σp² + Σy² + s) of each image, then the mean, s = dice_smooth.

    0 where p = y, soft or not. 0/0 counts as 1.
    """
    p, y = logits.sigmoid().flatten(1), targets.flatten(1)
    overlap, whole = 2 * (p * y).sum(1), (p.square() + y.square()).sum(1)
    return 1 - _ratio(overlap + knobs.dice_smooth, whole + knobs.dice_smooth).mean()


def soft_iou(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """1 − (Σpy + s) / (Σ(p + y − py) + s) of each image, then the mean, s = iou_smooth.

    Soft y: pulls p to 0 or 1, as `dice` does; not 0 where p = y. 0/0 counts as 1.
    """
    p, y = logits.sigmoid().flatten(1), targets.flatten(1)
    overlap, union = (p * y).sum(1), (p + y - p * y).sum(1)
    return 1 - _ratio(overlap + knobs.iou_smooth, union + knobs.iou_smooth).mean()


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 1 with no gradient where whole is 0: nothing was there and nothing was found."""
    something = whole > 0
    return torch.where(something, part / torch.where(something, whole, 1), 1)


def lovasz(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """Lovász extension of the Jaccard loss on probabilities, of each image, then the mean. Soft y: crack is y ≥ 0.5.

    With the errors m = |y − p| from the greatest to the least and G crack pixels: Σ_k m_k·(J_k − J_{k−1}),
    J_k = 1 − (G − c_k) / (G + k − c_k), where c_k of the first k pixels are crack, and J_0 = 0. For p of only
    0 and 1 this is 1 − IoU; of an image without crack it is the greatest p.
    """
    crack = targets.flatten(1) >= 0.5
    errors = (logits.sigmoid().flatten(1) - crack.to(logits.dtype)).abs()
    errors, order = errors.sort(dim=1, descending=True, stable=True)  # ties in the order of pixels, on every device
    found = crack.gather(1, order).cumsum(1)
    missed, places = found[:, -1:] - found, torch.arange(1, found.shape[1] + 1, device=found.device)
    jaccard = 1 - missed.double() / (missed + places)  # differences of neighbours would vanish in float32
    steps = jaccard.diff(dim=1, prepend=torch.zeros_like(jaccard[:, :1]))
    return (errors * steps.to(errors.dtype)).sum(1).mean()


def boundary(logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> Tensor:
    """mean(p·d), d the signed distance to the crack's edge: see `signed_distance`. Soft y: crack is y ≥ 0.5.

    Negative where p lies inside. d is a constant, made on the host from the targets: the gradient comes through p.
    """
    masks = (targets >= 0.5).flatten(0, 1).cpu().numpy()
    distances = np.stack([signed_distance(mask) for mask in masks])
    return (logits.sigmoid() * torch.from_numpy(distances).view_as(targets).to(logits)).mean()


_TERMS = (bce, weighted_bce, balanced_bce, weighted_mean_bce, focal, dice, dice_per_image, soft_iou, lovasz, boundary)
LOSSES: dict[str, Term] = {term.__name__: term for term in _TERMS}


def segmenter_loss(knobs: SegmenterKnobs, side_weights: Sequence[float]) -> Callable[[int], Loss]:
    """Epoch, from 1 → the loss of {"logits": N×1×H×W, "aux": [alike, …]} against targets uint8 N×1×H×W, 255 = crack.

    It is loss(logits) + Σ_k side_weights[k]·side_loss(aux[k]); an empty `side_loss` is the same as `loss`. Beside
    "loss" it gives every term of the main output by its name, without weights, to compare over the epochs.
    """
    main = parse_loss(knobs.loss)
    side = parse_loss(knobs.side_loss) if knobs.side_loss else main

    def of_epoch(epoch: int) -> Loss:
        return partial(_measure, weights_at(main, epoch, knobs), weights_at(side, epoch, knobs), side_weights, knobs)

    return of_epoch


def weights_at(terms: Mapping[str, float], epoch: int, knobs: SegmenterKnobs) -> dict[str, float]:
    """The terms' weights in an epoch, counted from 1.

    Beside a boundary term the others fade: α = max(1 − boundary_fade·(epoch − 1), boundary_floor) times their
    weights, and 1 − α times that of the boundary. Without one, or with nothing else, the weights stay.
    """
    if "boundary" not in terms or len(terms) == 1:
        return dict(terms)
    alpha = max(1 - knobs.boundary_fade * (epoch - 1), knobs.boundary_floor)
    return {name: weight * (1 - alpha if name == "boundary" else alpha) for name, weight in terms.items()}


def _measure(
    main: Mapping[str, float],
    side: Mapping[str, float],
    side_weights: Sequence[float],
    knobs: SegmenterKnobs,
    output: dict[str, Any],
    targets: Tensor,
) -> dict[str, Tensor]:
    """What the table of losses says of the outputs, weighted."""
    if len(side_weights) != len(output["aux"]):
        raise ValueError(
            f"{len(side_weights)} side weights for {len(output['aux'])} side outputs; one for each is needed, "
            f"as [Segmenter.sides.<segmenter>] weights = {[1.0 for _ in output['aux']]}"
        )
    with torch.autocast(targets.device.type, enabled=False):
        terms = _terms(main, output["logits"], targets, knobs)
        total = _sum(main, terms)
        for weight, logits in zip(side_weights, output["aux"], strict=True):
            total = total + weight * _sum(side, _terms(side, logits, targets, knobs))
    return {"loss": total, **terms}


def _terms(names: Mapping[str, float], logits: Tensor, targets: Tensor, knobs: SegmenterKnobs) -> dict[str, Tensor]:
    if logits.shape != targets.shape:
        raise ValueError(f"logits of {tuple(logits.shape)}, targets of {tuple(targets.shape)}; shapes must agree")
    exact = logits if logits.dtype == torch.float64 else logits.float()
    soft = targets.to(exact.dtype) / 255
    return {name: LOSSES[name](exact, soft, knobs) for name in names}


def _sum(weights: Mapping[str, float], terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
