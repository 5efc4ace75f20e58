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

from pipeline.ops.types import Map
from pipeline.ops.weighing import Squares, logit, said

Numbers = npt.NDArray[np.float64]


def pooled_logits(maps: Sequence[Map], squares: Squares, pool_px: int) -> Numbers:
    """Squares × maps, of one photo: what each map says in each square."""
    logits = [logit(each) for each in maps]
    places = [np.s_[row : row + side, col : col + side] for row, col, side, _ in squares]
    return np.array([[said(each[place], pool_px) for each in logits] for place in places]).reshape(-1, len(maps))


def fitted(photos: Iterable[Numbers], answers: Sequence[bool]) -> tuple[Numbers, float]:
    """The weights, and the mean cross-entropy that they reach; both kinds of answers count alike."""
    scores, signs = np.concatenate(list(photos)), np.where(answers, 1.0, -1.0)
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
