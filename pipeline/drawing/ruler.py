"""Cracks of known width and length, as a camera would see them: what measuring is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pipeline.ops.types import Grey, Mask

_FINE = 8  # samples of a pixel's side, so that edges are right to a sixteenth of a pixel
_DENSE_PX = 0.1  # between the points that stand for a curve
Points = npt.NDArray[np.float64]  # N×2: x, y


@dataclass(frozen=True)
class Drawn:
    """A photo of a crack, and the truth."""

    grey: Grey
    mask: Mask  # pixels of which half or more is crack
    width: float
    length: float


@dataclass(frozen=True)
class Light:
    """Grey values of ground and crack, the camera's blur and noise as standard deviations."""

    ground: float
    dark: float
    blur: float
    noise: float


def polyline(points: Points) -> Points:
    """As many points as are needed for no two to be further apart than a tenth of a pixel."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    way = np.concatenate([[0], np.cumsum(steps)])
    dense = np.linspace(0, way[-1], int(np.ceil(way[-1] / _DENSE_PX)) + 1)
    return np.stack([np.interp(dense, way, points[:, axis]) for axis in (0, 1)], axis=1)


def curve(centre: tuple[float, float], length: float, angle: float, bend: float, waves: float) -> Points:
    """A line of about that length through a point, at an angle to the right, that swings by `bend` pixels."""
    along = np.linspace(-0.5, 0.5, 400)
    across = bend * np.sin(2 * np.pi * waves * along)
    x, y = length * along, across
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1)
    return polyline(turned + np.array(centre))


def drawn(
    branches: Sequence[Points],
    width: float,
    size_hw: tuple[int, int],
    light: Light,
    rng: np.random.Generator,
) -> Drawn:
    """Strokes with blunt ends along all branches, a ground that slopes, a camera's blur and noise."""
    covered = _covered(branches, width, size_hw)
    height, wide = size_hw
    slope = rng.uniform(-0.04, 0.04, 2)
    rows, cols = np.mgrid[:height, :wide]
    bright = light.ground + slope[0] * (rows - height / 2) + slope[1] * (cols - wide / 2)
    scene = bright - (light.ground - light.dark) * covered
    seen = cv2.GaussianBlur(scene, (0, 0), light.blur) if light.blur else scene
    seen = seen + rng.normal(0, light.noise, size_hw)
    length = sum(float(np.hypot(*np.diff(points, axis=0).T).sum()) for points in branches)
    return Drawn(np.clip(np.rint(seen), 0, 255).astype(np.uint8), covered >= 0.5, width, length)


def _covered(branches: Sequence[Points], width: float, size_hw: tuple[int, int]) -> npt.NDArray[np.float64]:
    """The share of each pixel that is crack; only pixels near the border of the crack are looked at finely."""
    height, wide = size_hw
    points = np.concatenate(list(branches))
    normals_ends = [(line[0], line[0] - line[1], line[-1], line[-1] - line[-2]) for line in branches]
    tree = cKDTree(points)
    rows, cols = np.mgrid[:height, :wide]
    centres = np.stack([cols.ravel(), rows.ravel()], axis=1).astype(float)
    near = np.flatnonzero(tree.query(centres, distance_upper_bound=width / 2 + 1.5)[0] <= width / 2 + 1.5)
    inner = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    offsets = np.stack([part.ravel() for part in np.meshgrid(inner, inner)], axis=1)
    fine = (centres[near][:, np.newaxis] + offsets).reshape(-1, 2)
    inside = tree.query(fine, distance_upper_bound=width / 2 + 1e-9)[0] <= width / 2
    for first, out_first, last, out_last in normals_ends:  # blunt where nothing goes on
        for end, out in ((first, out_first), (last, out_last)):
            if len(tree.query_ball_point(end, _DENSE_PX * 1.5)) <= 3:
                beyond = (fine - end) @ (out / np.hypot(*out)) > 0
                inside &= ~(beyond & (np.hypot(*(fine - end).T) <= width / 2 + 1))
    covered = np.zeros(height * wide)
    covered[near] = inside.reshape(len(near), -1).mean(axis=1)
    return covered.reshape(size_hw)


def as_networks_draw(mask: Mask, widen_px: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The probabilities of a network that finds the crack, too wide by so many pixels on each side, with a ragged
    border and a little to one side."""
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ragged = cv2.GaussianBlur(rng.normal(0, 1, mask.shape), (0, 0), 3) * 6 * min(widen_px, 1.0) * 0.5
    signed = np.where(mask, 0.5 - inside, outside - 0.5) - widen_px + ragged
    shift = rng.uniform(-0.5, 0.5, 2) * min(widen_px, 2.0) * 0.5
    moved = cv2.warpAffine(
        signed.astype(np.float32), np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), mask.shape[::-1], borderValue=99.0
    )
    return np.asarray(1 / (1 + np.exp(np.minimum(2 * moved, 50))), np.float32)
