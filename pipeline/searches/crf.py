"""A search over the parameters of the dense CRF on a few images that have masks (method, section 6)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.knobs import CrfSearchKnobs
from pipeline.ops.crf import CrfParameters, labels_at_scale, packed_labels, plain_labels
from pipeline.ops.types import ImageRGB, Map, Mask

METHODS = {"plain": plain_labels, "packed": packed_labels}
Row = dict[str, Any]
Counts = NDArray[np.int64]  # for each parameter set: hits, predicted, crack, pixels


def default_of(knobs: CrfSearchKnobs) -> CrfParameters:
    """The library's documented parameters: always tried, and what is left where there are no masks."""
    return CrfParameters(*(getattr(knobs, name) for name in CrfParameters._fields))


def grid(knobs: CrfSearchKnobs) -> list[CrfParameters]:
    """Every combination in the order of the settings, then the default."""
    lists = (
        knobs.gaussian_sxys_px,
        knobs.gaussian_compats,
        knobs.bilateral_sxys_px,
        knobs.bilateral_srgbs,
        knobs.bilateral_compats,
        knobs.grid_iterations,
    )
    return _without_repeats([*itertools.starmap(CrfParameters, itertools.product(*lists)), default_of(knobs)])


def kept(coarse: Sequence[Row], knobs: CrfSearchKnobs) -> list[CrfParameters]:
    """What is looked at in full size after a coarse search: its best sets, and the default."""
    best = [parameters_of(row) for row in ranked(coarse)[: knobs.coarse_best]]
    return _without_repeats([*best, default_of(knobs)])


def refined(rows: Sequence[Row], knobs: CrfSearchKnobs) -> list[CrfParameters]:
    """The best sets with the other numbers of iterations, as far as they have no row yet."""
    known = [parameters_of(row) for row in rows]
    best = [parameters_of(row) for row in ranked(rows)[: knobs.refine_best]]
    tried = [
        parameters._replace(iterations=iterations) for parameters in best for iterations in knobs.refine_iterations
    ]
    return [parameters for parameters in _without_repeats(tried) if parameters not in known]


def _without_repeats(settings: list[CrfParameters]) -> list[CrfParameters]:
    return list(dict.fromkeys(settings))


def counts_of(
    image_rgb: ImageRGB,
    probability: Map,
    mask: Mask,
    settings: Sequence[CrfParameters],
    knobs: CrfSearchKnobs,
    scale: float,
) -> Counts:
    """Pixels of one image, one line for each parameter set; labels of another scale are stretched to the mask."""
    method = METHODS[knobs.method]
    labeller = functools.partial(method, unary_scale=knobs.unary_scale, unary_clip=knobs.unary_clip)
    labels = (
        labeller(image_rgb, probability, settings)
        if scale == 1
        else labels_at_scale(labeller, image_rgb, probability, settings, scale)
    )
    counts = np.empty((len(settings), 4), np.int64)
    crack = np.count_nonzero(mask)
    for place, label in labels:
        counts[place] = np.count_nonzero(label & mask), np.count_nonzero(label), crack, mask.size
    return counts


def rows_of(settings: Sequence[CrfParameters], counts: Counts, *, found_by: str, scale: float) -> list[Row]:
    """One row for each parameter set, of the counts summed over all images."""
    return [
        {"found_by": found_by, "scale": scale, **parameters._asdict(), **ious(*map(int, line))}
        for parameters, line in zip(settings, counts, strict=True)
    ]


def ious(hits: int, predicted: int, crack: int, pixels: int) -> dict[str, float]:
    """Intersection over union of both classes and their mean.

    A class of which there is no pixel, neither in the masks nor in the labels, is nan and left out of the mean.
    """
    crack_union, background_union = predicted + crack - hits, pixels - hits
    background_hits = pixels - crack_union
    crack_iou = hits / crack_union if crack_union else float("nan")
    background_iou = background_hits / background_union if background_union else float("nan")
    present = [iou for iou in (crack_iou, background_iou) if iou == iou]
    return {"mean_iou": sum(present) / len(present), "crack_iou": crack_iou, "background_iou": background_iou}


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Full size first, then the best mean IoU; ties go to the weaker and narrower kernels."""
    return sorted(rows, key=lambda row: (-row["scale"], -row["mean_iou"], *(row[name] for name in _TIES)))


_TIES = (
    "gaussian_compat",
    "bilateral_compat",
    "gaussian_sxy_px",
    "bilateral_sxy_px",
    "bilateral_srgb",
    "iterations",
)


def parameters_of(row: Row) -> CrfParameters:
    return CrfParameters(**{name: row[name] for name in CrfParameters._fields})


def as_table(rows: Sequence[Row], *, masks_used: int) -> pd.DataFrame:
    """All rows, the best first; each says how many masks decided."""
    facts = {"searched": masks_used > 0, "masks_used": masks_used}
    return pd.DataFrame([{"rank": rank, **facts, **row} for rank, row in enumerate(ranked(rows), start=1)])


def not_searched(knobs: CrfSearchKnobs) -> list[Row]:
    """The default as the only row, with nothing measured."""
    nothing = dict.fromkeys(("mean_iou", "crack_iou", "background_iou"), float("nan"))
    return [{"found_by": "default", "scale": 1.0, **default_of(knobs)._asdict(), **nothing}]
