"""Widths from grey profiles: the dark line that explains a profile best, and how well it is known.

A profile runs across the centreline. A crack of width w in a photo with a blur of standard deviation s looks like
[Φ((t + w/2)/s) − Φ((t − w/2)/s)] · depth on a background that may slope: its edges lie at half height where it is wider
than the blur, and where it is narrower the shape still tells. w is the width whose line, with the best depth and
background, leaves the smallest squares; how fast these grow beside it is how well w is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.special import erf

from pipeline.ops.cracks import Along, Line
from pipeline.ops.types import Grey

Floats = npt.NDArray[np.float64]
STEP_PX = 0.5  # between the samples of a profile
_NARROWEST_PX = 0.3
_FINER = 1.05  # from one width that is tried to the next


def profiles(grey: Grey, line: Line, normals: Line, reach_px: int, average_points: int) -> Floats:
    """N×M grey values across each point, from −reach to +reach along its normal, the mean of some neighbours; nan
    beyond the photo."""
    offsets = np.arange(-reach_px, reach_px + STEP_PX / 2, STEP_PX, dtype=np.float32)
    x = line[:, :1] + normals[:, :1] * offsets
    y = line[:, 1:] + normals[:, 1:] * offsets
    height, width = grey.shape
    left, top = max(int(x.min()) - 2, 0), max(int(y.min()) - 2, 0)
    part = grey[top : max(int(y.max()) + 3, top + 1), left : max(int(x.max()) + 3, left + 1)]
    outside = (x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)
    found = _remapped(part.astype(np.float32), x - left, y - top).astype(np.float64)
    found[outside] = np.nan
    return _averaged(found, average_points)


def _remapped(part: npt.NDArray[np.float32], x: Line, y: Line, rows: int = 8192) -> npt.NDArray[np.float32]:
    """In pieces: the library takes maps of at most 32,767 rows."""
    pieces = [
        cv2.remap(part, x[start : start + rows], y[start : start + rows], cv2.INTER_CUBIC, None, cv2.BORDER_REPLICATE)
        for start in range(0, len(x), rows)
    ]
    return np.asarray(np.concatenate(pieces), np.float32)


def _averaged(found: Floats, points: int) -> Floats:
    """Means over neighbouring rows, fewer at the ends."""
    half = min(points // 2, len(found) - 1)
    if half < 1:
        return found
    padded = np.pad(found, ((half, half), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate([np.zeros((1, found.shape[1])), padded]), axis=0)
    mean: Floats = (sums[2 * half + 1 :] - sums[: -2 * half - 1]) / (2 * half + 1)
    return mean


def centred(found: Floats, within_px: float) -> Floats:
    """How far each profile's dark line lies beside its middle, px: the middle of what is darker than half height."""
    offsets = _offsets(found)
    near = np.abs(offsets) <= within_px
    core = np.where(near, np.nan_to_num(found, nan=np.inf), np.inf)
    dark = core.min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        light = np.nanmedian(np.where(np.isfinite(found), found, np.nan), axis=1, keepdims=True)
    weight = np.where(near & np.isfinite(core), np.clip((light + dark) / 2 - core, 0, None), 0.0)
    total = weight.sum(axis=1)
    shift: Floats = np.where(total > 0, (weight * offsets).sum(axis=1) / np.where(total > 0, total, 1), 0.0)
    known: Floats = np.nan_to_num(shift)
    return known


def _offsets(found: Floats) -> Floats:
    half = (found.shape[1] - 1) / 2
    offsets: Floats = (np.arange(found.shape[1]) - half) * STEP_PX
    return offsets


@dataclass(frozen=True)
class Fits:
    """Of each profile: width, its error, the crack's depth in grey values, the share of the variation explained."""

    widths: Floats
    errors: Floats
    depths: Floats
    explained: Floats
    left: Floats  # squares that it does not explain


def tried_widths(reach_px: float) -> Floats:
    count = int(np.log(2 * reach_px * 0.8 / _NARROWEST_PX) / np.log(_FINER)) + 1
    widths: Floats = np.asarray(_NARROWEST_PX * _FINER ** np.arange(count), np.float64)
    return widths


def line_shape(offsets: Floats, width: float, blur: float) -> Floats:
    root = np.sqrt(2.0) * blur
    shape: Floats = (erf((offsets + width / 2) / root) - erf((offsets - width / 2) / root)) / 2
    return shape


def fitted(found: Floats, blur: float) -> Fits:
    """Of profiles without nan."""
    offsets = _offsets(found)
    widths = tried_widths(offsets[-1])
    shapes = np.stack([line_shape(offsets, width, blur) for width in widths])
    flat = np.stack([np.ones_like(offsets), offsets])
    basis = np.linalg.qr(flat.T)[0].T
    level = found - (found @ basis.T) @ basis
    bumps = shapes - (shapes @ basis.T) @ basis
    norms = np.maximum((bumps**2).sum(axis=1), 1e-12)
    products = level @ bumps.T  # N×W
    total = np.maximum((level**2).sum(axis=1), 1e-12)
    gain = np.where(products < 0, products**2 / norms, 0.0)  # squares that a dark line of each width takes away
    best = gain.argmax(axis=1)
    rows = np.arange(len(found))
    residual = np.maximum(total - gain[rows, best], 1e-12)
    log_width, curvature = _vertex(gain, best)
    freedom = max(found.shape[1] - 5, 1) * STEP_PX  # neighbouring samples are not independent
    error = np.sqrt(residual / freedom / np.maximum(curvature, 1e-12)) * np.exp(log_width)
    depth = -products[rows, best] / norms[best]
    return Fits(np.exp(log_width), error, depth, gain[rows, best] / total, residual)


def _vertex(gain: Floats, best: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Of the parabola through the best and its two neighbours: the logarithm of the width, and half its curvature."""
    step, last = np.log(_FINER), gain.shape[1] - 1
    rows, middle = np.arange(len(gain)), np.clip(best, 1, last - 1)
    below, here, above = gain[rows, middle - 1], gain[rows, middle], gain[rows, middle + 1]
    bend = below - 2 * here + above
    move = np.where(bend < 0, np.clip((below - above) / (2 * np.where(bend < 0, bend, -1)), -1, 1), 0.0)
    width: Floats = np.log(_NARROWEST_PX) + (middle + move) * step
    curvature: Floats = np.where(bend < 0, -bend / (2 * step**2), 0.0)
    return width, curvature


def running_median(values: Along, points: int) -> Along:
    """Of the numbers among each point's neighbours; nan where there is none."""
    half = points // 2
    padded = np.pad(values.astype(np.float64), half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    known = np.isfinite(windows).any(axis=1)
    found = np.full(len(values), np.nan)
    found[known] = np.nanmedian(windows[known], axis=1)
    return found.astype(np.float32)


@dataclass(frozen=True)
class Blur:
    """The one that explains the profiles best, and what others that explain them nearly as well would make of the
    median width: so many pixels less, so many more."""

    px: float
    less: float
    more: float


def best_blur(groups: Sequence[Floats], blurs: Sequence[float], together: int, sure: float, blur_error: float) -> Blur:
    """Judged by means of so many profiles together, in which little noise is left. A narrow crack in a sharp photo and
    a hair in a blurred one look the same, which no profile can tell apart: a lens blurs a little otherwise than the
    normal distribution, by the share `blur_error`."""
    means = [_means(group, together) for group in groups if len(group)]
    if not means:
        return Blur(blurs[len(blurs) // 2], 0.0, 0.0)
    fits = [[fitted(group, blur) for group in means] for blur in blurs]
    left = np.array([sum(float(fit.left.sum()) for fit in each) for each in fits])
    medians = np.array([float(np.median(np.concatenate([fit.widths for fit in each]))) for each in fits])
    best = int(np.argmin(left))
    samples = sum(group.size for group in means) * STEP_PX
    as_good = left <= left[best] * (1 + sure**2 / samples)
    alike = np.abs(np.log(np.array(blurs) / blurs[best])) <= np.log1p(blur_error) + 1e-9
    near = medians[as_good | alike]
    return Blur(blurs[best], float(medians[best] - near.min()), float(near.max() - medians[best]))


def _means(found: Floats, together: int, most: int = 100) -> Floats:
    """Of neighbours; evenly chosen ones, if there are many."""
    parts = np.array_split(found, max(len(found) // together, 1))
    return np.stack([part.mean(axis=0) for part in parts[:: max(len(parts) // most, 1)]])
