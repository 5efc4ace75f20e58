"""Crack-free photos, or nothing at all → photos with cracks drawn into them, and their exact masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.photos import Crack, crack_coverage, is_uncracked, plan_cracks
from pipeline.demo.surfaces import (
    Field,
    Rng,
    Scene,
    blurred,
    joint,
    log_uniform,
    paint,
    pebbles,
    shadow,
    smooth_noise,
    stain,
    step,
    tyre_mark,
)
from pipeline.drawing.grounds import COARSE, GROUNDS, brick, holes, seal, straw, thing
from pipeline.drawing.lens import photographed, taken_again
from pipeline.drawing.openings import OPENINGS, THIN, WIDE_OPENINGS
from pipeline.knobs import GeneratedKnobs
from pipeline.ops.types import ImageRGB, Mask

LYING_AROUND: tuple[tuple[Callable[[Rng, Scene], None], float], ...] = (  # and how often each is seen
    *((paint, 0.1), (tyre_mark, 0.12), (joint, 0.15), (stain, 0.4), (pebbles, 0.2), (seal, 0.03), (straw, 0.1)),
    *((holes, 0.25), (thing, 0.06)),
)
WIDE = 1.7  # times the demo's cracks, from where on they are opened as wide ones
MADE, DRAWN = 0, 1  # in the seed of a photo
ChoiceT = TypeVar("ChoiceT")


def made_photo(knobs: GeneratedKnobs, index: int) -> tuple[ImageRGB, Mask]:
    """Nothing in it is real; it depends on the settings and the index alone."""
    rng = np.random.Generator(np.random.PCG64([knobs.seed, MADE, index]))
    ground = pick(rng, GROUNDS)
    scene = ground(rng, (knobs.height_px, knobs.width_px))
    for distractor, chance in LYING_AROUND:
        if rng.random() < chance and not (distractor is joint and ground is brick):
            distractor(rng, scene)
    mask = opened(rng, scene, knobs, index, coarse=ground in COARSE)
    if rng.random() < 0.35:
        shadow(rng, scene)
    return photographed(rng, scene), mask


def drawn_photo(knobs: GeneratedKnobs, index: int, ground: ImageRGB) -> tuple[ImageRGB, Mask]:
    """A crack on a real ground, or on a part of it that is shown as large as the whole."""
    rng = np.random.Generator(np.random.PCG64([knobs.seed, DRAWN, index]))
    scene = part_of(rng, turned(rng, ground), (knobs.height_px, knobs.width_px)).astype(np.float32) / 255
    if rng.random() < 0.3:
        (stain, pebbles, thing, straw, holes)[rng.integers(5)](rng, scene)
    mask = opened(rng, scene, knobs, index)
    if rng.random() < 0.15:
        shadow(rng, scene)
    return taken_again(rng, scene), mask


def pick(rng: Rng, chances: Sequence[tuple[ChoiceT, float]]) -> ChoiceT:
    """One of them, each as often as the number beside it says."""
    weights = np.array([chance for _, chance in chances])
    return chances[int(rng.choice(len(chances), p=weights / weights.sum()))][0]


def opened(rng: Rng, scene: Scene, knobs: GeneratedKnobs, index: int, *, coarse: bool = False) -> Mask:
    """Draws cracks into the scene, but for every so manieth photo; True where they cover a pixel by half or more.

    Among coarse stones nobody would see a hairline.
    """
    shape = scene.shape[0], scene.shape[1]
    if is_uncracked(index, knobs.uncracked_share):
        return np.zeros(shape, np.bool_)
    smallest = min(max(knobs.smallest, 1.0), knobs.largest) if coarse else knobs.smallest
    factor = log_uniform(rng, smallest, knobs.largest)
    wide = factor > WIDE
    opening = pick(rng, WIDE_OPENINGS if wide else [each for each in OPENINGS if not (coarse and each[0] in THIN)])
    cracks = planned(rng, shape, factor)
    if opening in THIN:
        cracks = thinned(rng, cracks)
    coverage = crack_coverage(rng, cracks, shape)
    if wide or rng.random() < 0.3:
        coverage = ragged(rng, coverage, factor)
    opening(rng, scene, coverage)
    covered: Mask = coverage >= 0.5
    return covered


def planned(rng: Rng, shape: tuple[int, int], factor: float) -> list[Crack]:
    """Cracks of a photo that is `factor` times smaller, enlarged: widths and wiggles grow together."""
    small = max(round(shape[0] / factor), 40), max(round(shape[1] / factor), 40)
    shaken = rng.uniform(0.0, 0.8)
    return [
        Crack((crack.points_xy + rng.normal(0, shaken, crack.points_xy.shape)) * factor, crack.widths_px * factor)
        for crack in plan_cracks(rng, small)
    ]


def thinned(rng: Rng, cracks: list[Crack]) -> list[Crack]:
    """As long, but a hairline."""
    share = rng.uniform(0.25, 0.6)
    return [Crack(crack.points_xy, np.clip(crack.widths_px * share, 1.2, 5.0)) for crack in cracks]


def ragged(rng: Rng, coverage: Field, factor: float) -> Field:
    """Edges that have crumbled, the more the wider the crack is."""
    soft = blurred(coverage, 0.6 * factor)
    edge = step(soft + 0.2 * smooth_noise(rng, coverage.shape, 2.0 * factor) - 0.5, 0.4)
    return np.asarray(edge * (blurred(coverage, 2.0 * factor) > 0.2), np.float32)


def turned(rng: Rng, photo: ImageRGB) -> ImageRGB:
    """One of the eight ways to look at a ground."""
    photo = np.rot90(photo, int(rng.integers(4)))
    return np.ascontiguousarray(photo[:, ::-1] if rng.random() < 0.5 else photo)


def part_of(rng: Rng, photo: ImageRGB, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A part of the ground, shown in at most `shape`: all of a small photo or a half of it enlarged, of a large one a
    window once to twice as large as `shape`."""
    height, width = photo.shape[:2]
    shown = min(height, shape[0]), min(width, shape[1])
    zoom = rng.uniform(1.0, 2.0) if rng.random() < 0.5 else 1.0
    if height <= shape[0] and width <= shape[1]:
        zoom = 1 / zoom
    rows, columns = min(int(shown[0] * zoom), height), min(int(shown[1] * zoom), width)
    top, left = int(rng.integers(height - rows + 1)), int(rng.integers(width - columns + 1))
    cut = np.ascontiguousarray(photo[top : top + rows, left : left + columns])
    how = cv2.INTER_AREA if zoom > 1 else cv2.INTER_CUBIC
    return cut if zoom == 1 else np.asarray(cv2.resize(cut, shown[::-1], interpolation=how), np.uint8)
