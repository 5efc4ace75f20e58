"""The demo data set: photos of cracked asphalt and concrete with exact masks, from a seed.

Photo `index` of a split depends on (seed, split, index) and on the share of uncracked photos alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo import surfaces
from pipeline.demo.surfaces import Field, Rng, Scene, blurred, cover, darken, shifted, smooth_noise
from pipeline.knobs import DemoPhotosKnobs

SIZES_PX = ((320, 240), (360, 270), (288, 384))  # width × height; only the last is a multiple of 32
SPLITS = ("train", "val", "test")
STEP_PX = 1.5  # between two points of a crack
FINE = 4  # a pixel of the coverage is FINE × FINE samples
INK = 240  # value of a sample in a crack: a multiple of FINE², so that their mean is a whole number
WIDEST_PX = 11.0
SURFACES = {"asphalt": surfaces.asphalt, "concrete": surfaces.concrete}
ON_THE_GROUND = {  # distractors, and how often each is seen
    surfaces.paint: {"asphalt": 0.12, "concrete": 0.04},
    surfaces.tyre_mark: {"asphalt": 0.2, "concrete": 0.12},
    surfaces.joint: {"asphalt": 0.1, "concrete": 0.35},
    surfaces.stain: {"asphalt": 0.5, "concrete": 0.5},
    surfaces.pebbles: {"asphalt": 0.25, "concrete": 0.2},
}


@dataclass(frozen=True)
class DemoPhoto:
    """`mask`: the pixels that a crack covers by half or more; no pixel in an uncracked photo."""

    name: str  # "train/asphalt_007"
    split: str
    image_rgb: NDArray[np.uint8]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Crack:
    """A path of (x, y) in pixels and the width of the crack at each of its points."""

    points_xy: NDArray[np.float64]
    widths_px: NDArray[np.float64]


def demo_photos(knobs: DemoPhotosKnobs) -> Iterator[DemoPhoto]:
    """All photos, split by split; exactly round(uncracked_share · n) of the n of a split have no crack."""
    counts = (knobs.train_images, knobs.val_images, knobs.test_images)
    for split, count in zip(SPLITS, counts, strict=True):
        for index in range(count):
            yield demo_photo(knobs.seed, split, index, not is_uncracked(index, knobs.uncracked_share))


def is_uncracked(index: int, share: float) -> bool:
    """True where round(share · n) grows: evenly spread, and exact for every number n of photos."""
    return round(share * (index + 1)) > round(share * index)


def demo_photo(seed: int, split: str, index: int, cracked: bool) -> DemoPhoto:
    """Whatever lies on the ground is laid before the crack opens, light and shadow come after it."""
    rng = np.random.Generator(np.random.PCG64([seed, SPLITS.index(split), index]))
    surface = ("asphalt", "concrete")[rng.integers(2)]
    width, height = SIZES_PX[rng.integers(len(SIZES_PX))]
    scene = SURFACES[surface](rng, (height, width))
    for distractor, chances in ON_THE_GROUND.items():
        if rng.random() < chances[surface]:
            distractor(rng, scene)
    coverage = np.zeros((height, width), np.float32)
    if cracked:
        coverage = crack_coverage(rng, plan_cracks(rng, (height, width)), (height, width))
        open_crack(rng, scene, coverage)
    if rng.random() < 0.4:
        surfaces.shadow(rng, scene)
    image_rgb = photograph(rng, scene)
    return DemoPhoto(f"{split}/{surface}_{index:03d}", split, image_rgb, coverage >= 0.5)


# --- where cracks run


def plan_cracks(rng: Rng, shape: tuple[int, int]) -> list[Crack]:
    """Cracks and branches until they cover a drawn share of the photo; a path ends where it meets another."""
    width_px = surfaces.log_uniform(rng, 1.7, 8.0)
    wanted_px = rng.uniform(0.013, 0.03) * shape[0] * shape[1]
    taken = np.zeros(shape, np.uint8)
    cracks: list[Crack] = []
    for _ in range(60):  # of which many are too short to count
        branch = bool(cracks) and rng.random() < 0.7
        crack = branch_of(rng, cracks, shape) if branch else long_crack(rng, shape, width_px)
        crack = until_blocked(crack, taken)
        if len(crack.points_xy) < 14:
            continue
        cracks.append(crack)
        cv2.polylines(taken, [np.round(crack.points_xy).astype(np.int32)], False, 255, 3)
        if sum(float(crack.widths_px.sum() * STEP_PX) for crack in cracks) > wanted_px:
            break
    return cracks


def long_crack(rng: Rng, shape: tuple[int, int], width_px: float) -> Crack:
    """From an edge of the photo towards a place near its middle, and mostly out again."""
    size_xy = np.array([shape[1], shape[0]], np.float64)
    start = rng.uniform(0, 1, 2) * size_xy
    side = rng.integers(4)
    start[side % 2] = (1.0, size_xy[side % 2] - 2)[side // 2]
    aim = rng.uniform(0.3, 0.7, 2) * size_xy - start
    length_px = rng.uniform(0.7, 1.6) * max(shape)
    return wander(rng, start, math.atan2(aim[1], aim[0]), length_px, width_px)


def branch_of(rng: Rng, cracks: list[Crack], shape: tuple[int, int]) -> Crack:
    """A thinner crack that leaves another one sideways."""
    parent = cracks[rng.integers(len(cracks))]
    at = int(rng.integers(len(parent.points_xy) - 6))
    along = parent.points_xy[at + 6] - parent.points_xy[at]
    turn = rng.choice([-1, 1]) * rng.uniform(0.6, 1.5)
    angle = math.atan2(along[1], along[0]) + float(turn)
    width_px = max(1.3, rng.uniform(0.4, 0.85) * float(parent.widths_px[at]))
    return wander(rng, parent.points_xy[at], angle, rng.uniform(0.15, 0.8) * max(shape), width_px)


def wander(rng: Rng, start: NDArray[np.float64], angle: float, length_px: float, width_px: float) -> Crack:
    """Straight bits with kinks, on a slow bend; the width varies and runs out at the far end."""
    count = max(int(length_px / STEP_PX), 20)
    place = np.arange(count, dtype=np.float64)
    bend = np.interp(place, np.arange(0, count + 40, 40), rng.normal(0, 0.3, len(range(0, count + 40, 40))))
    ends = np.cumsum(rng.integers(2, 11, count))
    kinks = rng.normal(0, rng.uniform(0.3, 0.6), count)[np.searchsorted(ends, place)]
    heading = angle + bend + kinks
    steps = STEP_PX * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    swell = np.interp(place, np.arange(0, count + 12, 12), rng.normal(0, 0.38, len(range(0, count + 12, 12))))
    rough = rng.normal(0, 0.14, count)
    taper = np.minimum(1, (count - place) / (0.35 * count)) ** 0.7
    widths = np.clip(width_px * np.exp(swell + rough), 1.1, WIDEST_PX) * taper
    return Crack(start + np.cumsum(steps, axis=0), np.maximum(widths, 0.5))


def until_blocked(crack: Crack, taken: NDArray[np.uint8]) -> Crack:
    """The crack up to where it leaves the photo or meets another one (its first points lie on its parent)."""
    height, width = taken.shape
    x, y = np.floor(crack.points_xy).astype(np.intp).T
    outside = (x < 0) | (y < 0) | (x >= width) | (y >= height)
    met = taken[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] > 0
    met[:5] = False
    blocked = np.flatnonzero(outside | met)
    end = int(blocked[0]) + 1 if len(blocked) else len(x)
    return Crack(crack.points_xy[:end], crack.widths_px[:end])


# --- how cracks look


def crack_coverage(rng: Rng, cracks: list[Crack], shape: tuple[int, int]) -> Field:
    """Share of every pixel that lies in a crack, 0 to 1, from FINE × FINE samples."""
    canvas = np.zeros((shape[0] * FINE, shape[1] * FINE), np.uint8)
    for crack in cracks:
        points = np.round(crack.points_xy * FINE).astype(np.int32)
        widths = np.maximum(np.round(crack.widths_px * FINE), 1).astype(np.intp).tolist()
        for begin, end, width in zip(points[:-1].tolist(), points[1:].tolist(), widths[1:], strict=True):
            cv2.line(canvas, begin, end, INK, width)
        for at in rng.integers(len(points), size=len(points) // 25):
            chip(rng, canvas, points[at], 0.5 * widths[at])
    coverage = cv2.resize(canvas, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return coverage.astype(np.float32) / INK


def chip(rng: Rng, canvas: NDArray[np.uint8], centre: NDArray[np.int32], radius: float) -> None:
    """A bit broken off the edge: a triangle that sticks out of the crack by a fifth of its width."""
    angles = rng.uniform(0, 2 * np.pi) + np.array([0.0, 1.4, 3.0])
    corners = centre + radius * 1.4 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    cv2.fillConvexPoly(canvas, np.round(corners).astype(np.int32), INK)


def open_crack(rng: Rng, scene: Scene, coverage: Field) -> None:
    """Dirt around the crack, in some photos a spalled rim, then the crack itself, filled here and there."""
    shape = coverage.shape
    wide = blurred(coverage, 3.0)
    darken(scene, np.minimum(wide * rng.uniform(0.2, 0.9), 1), (0.8, 0.79, 0.77))
    if rng.random() < 0.45:
        lit = shifted(blurred(coverage, 1.0), 1) * (1 - coverage)
        rim = lit * np.clip(0.6 + 0.6 * smooth_noise(rng, shape, 14), 0, 1)
        scene *= 1 + rng.uniform(0.2, 0.5) * rim[..., None]
    bottom = rng.uniform(0.3, 0.75) * (1 + 0.2 * smooth_noise(rng, shape, 3))
    bottom += 0.15 * np.clip(surfaces.fractal_noise(rng, shape, 40), 0, 2)  # filled with dust here and there
    bottom *= 1 - 0.35 * blurred(coverage, 1.5)  # the wider, the deeper
    unlit_wall = np.maximum(coverage - shifted(coverage, 2), 0)
    bottom *= 1 - 0.55 * unlit_wall
    inside = np.clip(bottom, 0.08, 0.78)
    ground = blurred(scene, 6.0)
    cover(scene, coverage, ground * inside[..., None] * np.array([1.04, 1.0, 0.95], np.float32))


# --- how the camera sees it


def photograph(rng: Rng, scene: Scene) -> NDArray[np.uint8]:
    """Uneven light, vignetting, white balance, a slightly soft lens, sensor noise, 8 bits."""
    shape = scene.shape[:2]
    y, x = (axis / max(shape) for axis in surfaces.positions(shape))
    slope_y, slope_x = rng.normal(0, 0.28), rng.normal(0, 0.28)
    light = 1 + slope_y * y + slope_x * x + 0.06 * smooth_noise(rng, shape, 130)
    light *= 1 - rng.uniform(0.1, 0.6) * (x * x + y * y)
    exposure = rng.uniform(0.48, 0.78) / float(scene.mean())
    balance = exposure * (1 + rng.normal(0, 0.015, 3))
    image = blurred(scene * light[..., None], rng.uniform(0.4, 0.8))
    # tanh: as on film, highlights fade instead of burning out
    image = np.tanh(np.maximum(image, 0) * balance.astype(np.float32))
    grain = rng.standard_normal(scene.shape, dtype=np.float32)
    image += rng.uniform(0.008, 0.022) * np.sqrt(image + 0.05) * grain
    return np.asarray(np.round(np.clip(image, 0, 1) * 255), np.uint8)
