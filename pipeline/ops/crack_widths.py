"""Widths from grey profiles: the dark line that explains a profile best, and how well it is known.

A profile runs across the centreline. A crack of width w in a photo with a blur of standard deviation s looks like
[Φ((t + w/2)/s) − Φ((t − w/2)/s)] · depth on a background that may slope: its edges lie at half height where it is wider
than the blur, and where it is narrower the shape still tells. w is the width whose line, with the best depth and
background, leaves the smallest squares; how fast these grow beside it is how well w is known.
"""

from __future__ import annotations

import functools
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
        cv2.remap(
            part, x[start : start + rows], y[start : start + rows], cv2.INTER_LANCZOS4, None, cv2.BORDER_REPLICATE
        )
        for start in range(0, len(x), rows)
    ]
    return np.asarray(np.concatenate(pieces), np.float32)


def _averaged(found: Floats, points: int) -> Floats:
    """Means over neighbouring rows, of what is known of them; nan stays nan, and spoils no neighbour."""
    half = min(points // 2, len(found) - 1)
    if half < 1:
        return found
    known = np.isfinite(found)
    sums, counts = (_window_sums(values, half) for values in (np.where(known, found, 0.0), known.astype(np.float64)))
    mean: Floats = np.where(known, sums / np.maximum(counts, 1), np.nan)
    return mean


def _window_sums(values: Floats, half: int) -> Floats:
    padded = np.pad(values, ((half + 1, half), (0, 0)))
    sums = np.cumsum(padded, axis=0)
    found: Floats = sums[2 * half + 1 :] - sums[: -2 * half - 1]
    return found


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


@functools.lru_cache(maxsize=512)
def _tried(samples: int, blur: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Lines of all widths, a background that slopes, the lines without it, and their squares."""
    offsets: Floats = np.asarray((np.arange(samples) - (samples - 1) / 2) * STEP_PX, np.float64)
    shapes = np.stack([line_shape(offsets, width, blur) for width in tried_widths(offsets[-1])])
    basis = np.linalg.qr(np.stack([np.ones_like(offsets), offsets]).T)[0].T
    bumps = shapes - (shapes @ basis.T) @ basis
    return shapes, basis, bumps, np.maximum((bumps**2).sum(axis=1), 1e-12)


def fitted(found: Floats, blur: float) -> Fits:
    """Of profiles without nan."""
    shapes, basis, bumps, norms = _tried(found.shape[1], blur)
    level = found - (found @ basis.T) @ basis
    products = level @ bumps.T  # N×W
    total = np.maximum((level**2).sum(axis=1), 1e-12)
    gain = np.where(products < 0, products**2 / norms, 0.0)  # squares that a dark line of each width takes away
    gain = np.where(_darker_than_black(found, shapes, -products / norms), 0.0, gain)
    best = gain.argmax(axis=1)
    rows = np.arange(len(found))
    residual = np.maximum(total - gain[rows, best], 1e-12)
    log_width, curvature = _vertex(gain, best)
    freedom = max(found.shape[1] - 5, 1) * STEP_PX  # neighbouring samples are not independent
    error = np.sqrt(residual / freedom / np.maximum(curvature, 1e-12)) * np.exp(log_width)
    depth = -products[rows, best] / norms[best]
    return Fits(np.exp(log_width), error, depth, gain[rows, best] / total, residual)


def is_one_valley(found: Floats, fits: Fits, blur: float) -> npt.NDArray[np.bool_]:
    """Whether a profile is dark all over its middle and light on both sides, seen from half height: two cracks side by
    side are light between them, and a shadow's edge is light on one side only."""
    away = np.abs(_offsets(found)) - np.zeros((len(found), 1))
    wide = fits.widths[:, np.newaxis]
    left = np.arange(found.shape[1]) < found.shape[1] // 2
    beside = away > wide / 2 + blur
    parts = (beside & left, beside & ~left)
    sides = [np.where(part, found, 0).sum(axis=1) / np.maximum(part.sum(axis=1), 1) for part in parts]
    seen = fits.depths * erf(fits.widths / 2 / (np.sqrt(2.0) * blur))
    core = np.where(away <= wide / 4, found, -np.inf).max(axis=1)
    ground = np.mean(sides, axis=0)
    dark = ground - seen
    good: npt.NDArray[np.bool_] = (core < ground - seen / 2) & (np.min(sides, axis=0) > dark + seen / 2)
    return good


def _darker_than_black(found: Floats, shapes: Floats, depths: Floats) -> npt.NDArray[np.bool_]:
    """Which widths are too narrow to be true: N×W. A thin line takes as much light as a wide one only if it is deeper,
    and nothing is deeper than its ground is light."""
    covered = shapes.mean(axis=1)
    beyond: npt.NDArray[np.bool_] = depths * (1 - covered) > found.mean(axis=1, keepdims=True)
    return beyond


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
    samples = sum(group.size for group in means) * STEP_PX
    ratio = left / left.min()
    weight = np.exp(-samples / 2 * (ratio - 1))  # how likely each is, from the squares that it leaves
    best = int(np.argmin(np.abs(medians - (weight * medians).sum() / weight.sum())))
    as_good = ratio <= 1 + sure**2 / samples
    alike = np.abs(np.log(np.array(blurs) / blurs[best])) <= np.log1p(blur_error) + 1e-9
    near = medians[as_good | alike]
    return Blur(blurs[best], float(medians[best] - near.min()), float(near.max() - medians[best]))


def _means(found: Floats, together: int, most: int = 100) -> Floats:
    """Of neighbours; evenly chosen ones, if there are many."""
    parts = np.array_split(found, max(len(found) // together, 1))
    return np.stack([part.mean(axis=0) for part in parts[:: max(len(parts) // most, 1)]])
