"""Maps of several networks and the yes/no answers of patches → how much each network's word counts.

A logistic regression over patches: answer ≈ σ(Σ wₖ·sₖ + b), where sₖ is the mean of the `pool_px` highest logits of
map k in the patch, and no weight is negative. A network that tells nothing of the answers is not heard; no mask is
looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from pipeline.learning.augmentation import PatchIndex
from pipeline.ops.types import Map
from pipeline.ops.weighing import logit

Numbers = npt.NDArray[np.float64]


def pooled_logits(
    maps: Sequence[Map], rows: npt.NDArray[np.intp], patches: PatchIndex, patch_px: int, pool_px: int
) -> Numbers:
    """Patches × maps, of one photo, whose patches are the given rows of the index (not turned)."""
    found = np.empty((len(rows), len(maps)))
    for column, each in enumerate(maps):
        logits = logit(each)
        for place, row in enumerate(rows):
            top, left = int(patches.row[row]), int(patches.col[row])
            inside = logits[top : top + patch_px, left : left + patch_px].ravel()
            highest = min(pool_px, inside.size)
            found[place, column] = np.partition(inside, inside.size - highest)[-highest:].mean()
    return found


def unturned(patches: PatchIndex, image: int) -> npt.NDArray[np.intp]:
    """The rows of the index that show a photo as it is."""
    return np.flatnonzero((patches.image == image) & (patches.geometry == 0))


def fitted(photos: Iterable[Numbers], answers: npt.NDArray[np.uint8]) -> tuple[Numbers, float]:
    """The weights, and the mean cross-entropy that they reach; both kinds of answers count alike."""
    scores, signs = np.concatenate(list(photos)), np.where(answers > 0, 1.0, -1.0)
    yes = max(int((signs > 0).sum()), 1)
    share = np.where(signs > 0, 0.5 / yes, 0.5 / max(len(signs) - yes, 1))

    def cost(parameters: Numbers) -> tuple[float, Numbers]:
        margins = signs * (scores @ parameters[:-1] + parameters[-1])
        slopes = -share * signs / (1 + np.exp(margins))
        return float(share @ np.logaddexp(0, -margins)), np.append(scores.T @ slopes, slopes.sum())

    count = scores.shape[1]
    start = np.append(np.full(count, 1 / count), 0.0)
    found = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * count + [(None, None)])
    return found.x[:-1], float(found.fun)
