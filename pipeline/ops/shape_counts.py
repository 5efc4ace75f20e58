"""What a yes/no prediction and a mask have in common as lines, edges and strips: whole numbers for each image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.ops.near import ACROSS, STRAIGHT, Codes, corners, edge, is_contour, near, strip
from pipeline.ops.thinning import centreline, skeleton
from pipeline.ops.types import Mask


@dataclass(frozen=True)
class Reach:
    """How far apart is still the same, in px."""

    cliou_px: int
    nsd_px: int
    edge_px: int
    buffer_px: int
    tolerances_px: Sequence[int]
    strip_share: float  # of the image's diagonal: how deep a boundary reaches


@dataclass(frozen=True)
class Shapes:
    """What is looked at of a mask, or of a prediction that was cut."""

    area: Mask
    line: Mask
    skeleton: Mask
    edge: Mask
    strip: Mask
    corners: Codes
    contour: Mask


def shapes_of(mask: Mask, reach: Reach) -> Shapes:
    depth = max(round(reach.strip_share * math.hypot(*mask.shape)), 1)
    codes = corners(mask)
    return Shapes(mask, centreline(mask), skeleton(mask), edge(mask), strip(mask, depth), codes, is_contour(codes))


def shape_counts(found: Mask, mask: Mask | Shapes, reach: Reach) -> dict[str, int]:
    """`found`: the prediction, cut. Names say what is counted; those of the mask come first."""
    one = mask if isinstance(mask, Shapes) else shapes_of(mask, reach)
    if found.shape != one.area.shape:
        raise ValueError(f"a prediction of shape {found.shape}, a mask of shape {one.area.shape}; they must be equal")
    other = shapes_of(found, reach)
    counts = {
        "hits": _count(one.area & other.area),
        "mask_skeleton_found": _count(one.skeleton & found),
        "found_skeleton_true": _count(other.skeleton & one.area),
        "skeleton_both": _count(one.skeleton & other.skeleton),
        "strip_both": _count(one.strip & other.strip),
        "strip_any": _count(one.strip | other.strip),
    }
    reaches = {"line": reach.cliou_px, "skeleton": reach.buffer_px, "edge": reach.edge_px}
    for name, reach_px in reaches.items():
        counts |= _sizes(name, getattr(one, name), getattr(other, name))
        counts |= _matched(name, getattr(one, name), getattr(other, name), reach_px)
    counts |= {**_sizes("area", one.area, found), "line_difference": abs(counts["mask_line"] - counts["found_line"])}
    for reach_px in reach.tolerances_px:
        counts |= _matched(f"within_{reach_px}", one.area, found, reach_px)
    return counts | _contours(one, other, reach.nsd_px)


def _count(pixels: Mask) -> int:
    return int(np.count_nonzero(pixels))


def _sizes(name: str, mask: Mask, found: Mask) -> dict[str, int]:
    return {f"mask_{name}": _count(mask), f"found_{name}": _count(found)}


def _matched(name: str, mask: Mask, found: Mask, reach_px: int) -> dict[str, int]:
    """How many pixels of each have one of the other within reach."""
    both = {"mask": near(mask, found, reach_px), "found": near(found, mask, reach_px)}
    return {f"{whose}_{name}_near": _count(pixels) for whose, pixels in both.items()}


def _contours(one: Shapes, other: Shapes, reach_px: int) -> dict[str, int]:
    """Pieces of both contours together, straight ones and those across a corner, and those within reach."""
    every = _by_code(one.corners[one.contour]) + _by_code(other.corners[other.contour])
    close = _by_code(one.corners[near(one.contour, other.contour, reach_px)])
    close += _by_code(other.corners[near(other.contour, one.contour, reach_px)])
    pieces = {"straight": STRAIGHT, "across": ACROSS}
    counts = {name: int(every @ of_code) for name, of_code in pieces.items()}
    return counts | {f"{name}_near": int(close @ of_code) for name, of_code in pieces.items()}


def _by_code(codes: Codes) -> npt.NDArray[np.int64]:
    return np.bincount(codes, minlength=16).astype(np.int64)
