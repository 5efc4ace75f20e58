"""What a demo photo shows besides cracks: asphalt, concrete, and the dark things that are no crack.

Scenes are float32 H×W×3 RGB, about 0 to 1, and distractors change them in place. Lengths are in pixels.
Every number here is a matter of looks: what a road looks like from a metre or two above.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]  # H×W, float32: Python numbers do not widen it
Scene = NDArray[np.floating[Any]]  # H×W×3, float32
Rng = np.random.Generator


def log_uniform(rng: Rng, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def blurred(field: Field, sigma_px: float) -> Field:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma_px), np.float32)


def smooth_noise(rng: Rng, shape: tuple[int, int], cell_px: float, cell_x_px: float | None = None) -> Field:
    """Noise of mean 0 and spread about 1 that forgets itself over `cell_px` (along x: `cell_x_px`)."""
    cells = cell_px, cell_x_px or cell_px
    rows, columns = (int(size / cell) + 4 for size, cell in zip(shape, cells, strict=True))
    grid = rng.standard_normal((rows, columns), dtype=np.float32)
    size = round(columns * cells[1]), round(rows * cells[0])
    big = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    top, left = (big.shape[0] - shape[0]) // 2, (big.shape[1] - shape[1]) // 2
    return big[top : top + shape[0], left : left + shape[1]] * 1.3


def fractal_noise(rng: Rng, shape: tuple[int, int], cell_px: float, octaves: int = 4) -> Field:
    """Octaves of smooth noise, each half as wide and 0.6 as strong as the one before; spread about 1."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        total += 0.6**octave * smooth_noise(rng, shape, cell_px / 2**octave)
    return total / 1.25


def positions(shape: tuple[int, int]) -> tuple[Field, Field]:
    """(y, x) of every pixel, from the middle of the photo, in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return y - shape[0] / 2, x - shape[1] / 2


def across(rng: Rng, shape: tuple[int, int], angle: float) -> Field:
    """Signed distance from a straight line in direction `angle` (radians) through a random place."""
    y, x = positions(shape)
    offset = rng.uniform(-0.35, 0.35) * min(shape)
    return math.cos(angle) * y - math.sin(angle) * x - offset


def step(distance: Field, soft_px: float) -> Field:
    """0 where the distance is very negative, 1 where very positive, `soft_px` wide in between."""
    ramp: Field = np.clip(distance / soft_px + 0.5, 0, 1)
    return ramp * ramp * (3 - 2 * ramp)


def band(distance: Field, width_px: float, soft_px: float) -> Field:
    """1 within `width_px`/2 of the line, 0 outside, edges `soft_px` wide."""
    return step(width_px / 2 - np.abs(distance), soft_px)


def darken(scene: Scene, share: Field, tone: tuple[float, float, float]) -> None:
    """Multiplies by `tone` where share is 1, by 1 where it is 0."""
    scene *= 1 - share[..., None] * (1 - np.array(tone, np.float32))


def cover(scene: Scene, share: Field, colour: NDArray[np.floating[Any]]) -> None:
    """Lays a colour (3, or H×W×3) over the scene with opacity `share`."""
    scene += share[..., None] * (colour - scene)


def shifted(field: Field, by_px: int) -> Field:
    """Moved to the lower right, away from the light; the first row and column fill what comes free."""
    return np.pad(field, ((by_px, 0), (by_px, 0)), mode="edge")[:-by_px, :-by_px]


def cells_of(rng: Rng, shape: tuple[int, int], spacing_px: float) -> NDArray[np.int32]:
    """The number, from 1, of the nearest of a grid of jittered points."""
    rows, columns = (int(size / spacing_px) + 1 for size in shape)
    grid = np.indices((rows, columns)).reshape(2, -1) + rng.random((2, rows * columns))
    last = np.array(shape, np.intp)[:, None] - 1
    ground = np.full(shape, 255, np.uint8)
    ground[tuple(np.minimum((grid * spacing_px).astype(np.intp), last))] = 0
    _, cells = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    return np.asarray(cells, np.int32)


def stones(rng: Rng, shape: tuple[int, int], spacing_px: float, share: float) -> tuple[Field, Field, Field]:
    """(opacity, tone, relief) of broken stones: the cells of jittered points, each shrunk by its own gap.

    `share` of the cells hold a stone. Tone has spread 1; relief is lit from the upper left.
    """
    cells = cells_of(rng, shape, spacing_px)
    inner = np.ones(shape, np.uint8)
    inner[:, 1:] &= cells[:, 1:] == cells[:, :-1]
    inner[1:] &= cells[1:] == cells[:-1]
    depth = cv2.distanceTransform(inner, cv2.DIST_L2, 3)
    count = int(cells.max()) + 1
    gap = spacing_px * rng.uniform(0.0, 0.28, count) + 100.0 * (rng.random(count) > share)
    opacity = np.clip((depth - gap.astype(np.float32)[cells]) * 0.7, 0, 1)
    tone = rng.standard_normal(count, dtype=np.float32)[cells]
    height = blurred(np.minimum(depth, 0.25 * spacing_px), 0.8)
    relief = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) + cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return opacity, tone, relief


def asphalt(rng: Rng, shape: tuple[int, int]) -> Scene:
    """Stones of two sizes in a dark binder, worn more in some places than in others."""
    big_shape = 2 * shape[0], 2 * shape[1]  # stones have sharp edges: twice as large, then halved
    size_px = log_uniform(rng, 5.0, 18.0)
    stone_grey, binder_grey, warmth = rng.uniform(0.46, 0.6), rng.uniform(0.2, 0.32), rng.normal(0.01, 0.02)
    grain = 1 + 0.16 * rng.standard_normal(big_shape, dtype=np.float32)
    scene = grain[..., None] * (binder_grey * np.array([1 + warmth, 1, 1 - warmth], np.float32))
    for spacing_px, share, spread in ((0.5 * size_px, 0.85, 0.13), (size_px, rng.uniform(0.3, 0.7), 0.17)):
        opacity, tone, relief = stones(rng, big_shape, max(spacing_px, 4.0), share)
        grey = stone_grey * (1 + spread * tone + 0.05 * relief)
        tint = warmth + 0.04 * np.sin(7 * tone)  # some stones are reddish, some bluish
        cover(scene, opacity, np.stack([grey * (1 + tint), grey, grey * (1 - tint)], axis=-1))
    small = np.asarray(cv2.resize(scene, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    return small * (1 + 0.06 * fractal_noise(rng, shape, 60)[..., None])


def concrete(rng: Rng, shape: tuple[int, int]) -> Scene:
    """Mottled cement skin with grain, brush or board marks, and pores."""
    grey = rng.uniform(0.5, 0.68) * (1 + 0.05 * fractal_noise(rng, shape, 90, 6))
    grey *= 1 + 0.03 * rng.standard_normal(shape, dtype=np.float32)
    grey *= 1 + rng.uniform(0.01, 0.04) * smooth_noise(rng, shape, 2.2)
    if rng.random() < 0.5:
        grey *= 1 + 0.03 * smooth_noise(rng, shape, 1.6, 60)  # brushed
    if rng.random() < 0.4:
        grey *= board_marks(rng, shape)
    warmth = rng.normal(0.03, 0.02) + 0.008 * smooth_noise(rng, shape, 50)
    scene = np.stack([grey * (1 + warmth), grey, grey * (1 - 1.3 * warmth)], axis=-1).astype(np.float32)
    pores(rng, scene)
    return scene


def board_marks(rng: Rng, shape: tuple[int, int]) -> Field:
    """Factors of boards with slightly different grey, a thin fin of cement between them."""
    place = across(rng, shape, rng.normal(0, 0.02) + (np.pi / 2) * int(rng.integers(2)))
    board_px = rng.uniform(45, 110)
    number = np.floor(place / board_px).astype(np.intp)
    seam = np.abs(place - (number + 0.5) * board_px) - board_px / 2
    fin = 1 + 0.07 * np.exp(-((seam / 1.3) ** 2)) * smooth_noise(rng, shape, 25)
    return np.asarray(fin * rng.normal(1, 0.02, 40)[number + 20], np.float32)


def pores(rng: Rng, scene: Scene) -> None:
    """Air holes: dark, the edge that faces the light brighter."""
    radii_px = np.clip(rng.lognormal(0.0, 0.45, rng.integers(10, 90)), 0.6, 3.5)
    depth = blurred(blobs(rng, scene.shape[:2], radii_px.tolist()), 0.7)
    darken(scene, depth, (0.5, 0.5, 0.48))
    scene *= 1 + 0.15 * np.maximum(shifted(depth, 2) - depth, 0)[..., None]


def blobs(rng: Rng, shape: tuple[int, int], radii_px: list[float]) -> Field:
    """Coverage of slightly angular blobs at random places."""
    canvas = np.zeros(shape, np.uint8)
    for radius_px in radii_px:
        centre = rng.random(2) * (shape[1], shape[0])
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        corners = rng.uniform(0.7, 1.25, (9, 1)) * np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=-1)
        outline = np.round((centre + radius_px * corners) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [outline], 255, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def stain(rng: Rng, scene: Scene) -> None:
    """Oil or water: a blotch with a border that is soft in some photos and sharp in others."""
    shape = scene.shape[:2]
    y, x = positions(shape)
    row, column = (rng.uniform(-0.4, 0.4) * size for size in shape)
    radius_px = rng.uniform(0.12, 0.32) * min(shape)
    distance = np.hypot((y - row) * rng.uniform(0.7, 1.4), x - column)
    ragged = radius_px * (1 + 0.28 * fractal_noise(rng, shape, 0.8 * radius_px, 5))
    share = step(ragged - distance, log_uniform(rng, 2.0, 40.0))
    share *= np.clip(0.85 + 0.2 * fractal_noise(rng, shape, 25), 0, 1)
    tone = rng.uniform(0.42, 0.72)
    darken(scene, share, (tone, tone, tone * rng.uniform(0.92, 1.04)))


def shadow(rng: Rng, scene: Scene) -> None:
    """A wall, a pole, or branches: soft edges, bluish, because only the sky lights it."""
    shape = scene.shape[:2]
    angle, soft_px = rng.uniform(0, np.pi), rng.uniform(4, 22)
    if rng.random() < 0.4:
        share = step(across(rng, shape, angle), soft_px)
    else:
        share = np.zeros(shape, np.float32)
        for _ in range(int(rng.integers(1, 5))):
            place = across(rng, shape, angle + rng.normal(0, 0.3)) + 3 * smooth_noise(rng, shape, 60)
            share = np.maximum(share, band(place, rng.uniform(5, 40), soft_px))
    tone = rng.uniform(0.42, 0.68)
    darken(scene, share, (0.95 * tone, tone, 1.07 * tone))


def joint(rng: Rng, scene: Scene) -> None:
    """The gap between two slabs, or a saw cut: straight, of even width, with bevelled edges."""
    shape = scene.shape[:2]
    place = across(rng, shape, rng.normal(0, 0.06) + (np.pi / 2) * int(rng.integers(2)))
    place += 0.35 * smooth_noise(rng, shape, 12)
    width_px, tone = rng.uniform(2.5, 8.0), rng.uniform(0.3, 0.6)
    darken(scene, band(place, 4 * width_px, 3 * width_px) * 0.5, (0.85, 0.85, 0.85))
    filler = tone * (1 + 0.12 * smooth_noise(rng, shape, 3))
    cover(scene, band(place, width_px, 1.2), scene * filler[..., None])
    scene *= 1 + 0.14 * band(place - (width_px / 2 + 1), 1.5, 1.5)[..., None]


def pebbles(rng: Rng, scene: Scene) -> None:
    """Loose chippings; each throws a short shadow to the lower right."""
    shape = scene.shape[:2]
    share = blobs(rng, shape, rng.uniform(1.2, 5.0, rng.integers(4, 28)).tolist())
    thrown = blurred(shifted(share, 3), 1.0)
    darken(scene, np.maximum(thrown - share, 0), (0.35, 0.36, 0.4))
    dome = blurred(share, 1.5)
    lit = 0.7 * (dome - shifted(dome, 2))
    grey = rng.uniform(0.45, 0.7) * (1 + 0.15 * smooth_noise(rng, shape, 6) + lit)
    cover(scene, share, grey[..., None] * np.array([1.03, 1.0, 0.95], np.float32))


def paint(rng: Rng, scene: Scene) -> None:
    """A worn road marking: white or yellow, gone where the stones stick out."""
    shape = scene.shape[:2]
    place = across(rng, shape, rng.uniform(0, np.pi)) + smooth_noise(rng, shape, 15)
    worn = step(fractal_noise(rng, shape, 30, 5) + rng.uniform(0.2, 1.6), 0.8)
    colour = (0.86, 0.85, 0.82) if rng.random() < 0.75 else (0.85, 0.68, 0.25)
    coat = np.array(colour, np.float32) * (0.75 + 0.45 * scene.mean(axis=2, keepdims=True))
    cover(scene, band(place, rng.uniform(18, 55), 2.0) * worn * 0.85, coat)


def tyre_mark(rng: Rng, scene: Scene) -> None:
    """Rubber: a dark band with streaks along it."""
    shape = scene.shape[:2]
    place = across(rng, shape, rng.uniform(0, np.pi))
    place += rng.uniform(-0.0012, 0.0012) * positions(shape)[1] ** 2
    grooves = np.interp(place, np.arange(-600, 600, 3), rng.uniform(0.5, 1.0, 400)).astype(np.float32)
    share = band(place, rng.uniform(25, 60), 8.0) * step(fractal_noise(rng, shape, 60) + 0.8, 4.0) * grooves
    darken(scene, share, (0.45, 0.45, 0.47))
