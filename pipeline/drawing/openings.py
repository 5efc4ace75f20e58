"""How a crack looks, once it is known where it runs: from a hairline to a band of broken stone.

Every function changes the scene in place where `coverage` (float32 H×W, the share of a pixel that lies in the crack)
says, and leaves alone what lies a few pixels further.
"""

from __future__ import annotations

import numpy as np

from pipeline.demo.photos import open_crack
from pipeline.demo.surfaces import (
    Field,
    Rng,
    Scene,
    blurred,
    cover,
    darken,
    fractal_noise,
    shifted,
    smooth_noise,
    step,
    stones,
)


def deep(rng: Rng, scene: Scene, coverage: Field) -> None:
    """No light comes out of it; one wall is lit, and crumbs have fallen in."""
    wide = blurred(coverage, 2.5)
    darken(scene, np.minimum(wide * rng.uniform(0.1, 0.8), 1), (0.75, 0.74, 0.73))
    floor = rng.uniform(0.02, 0.2) * (1 + 0.3 * smooth_noise(rng, coverage.shape, 4))
    wall = np.maximum(coverage - shifted(coverage, int(rng.integers(1, 4))), 0) * rng.uniform(0.0, 0.5)
    fallen = float(rng.random() < 0.5)
    crumbs = fallen * step(smooth_noise(rng, coverage.shape, rng.uniform(2, 7)) - rng.uniform(1.2, 2.6), 0.5) * 0.6
    inside = np.clip(floor + wall + crumbs, 0.02, 0.9).astype(np.float32)
    cover(scene, coverage, blurred(scene, 5.0) * inside[..., None])


def faint(rng: Rng, scene: Scene, coverage: Field) -> None:
    """A hairline, seen because dirt has gathered in it: a little darker or browner, here and there not at all."""
    soft = blurred(coverage, rng.uniform(0.4, 1.0))
    seen = np.clip(0.75 + 0.45 * smooth_noise(rng, coverage.shape, rng.uniform(8, 40)), 0.15, 1)
    tone = rng.uniform(0.45, 0.85)
    brown = rng.uniform(0, 0.12)
    darken(scene, np.clip(soft * seen, 0, 1).astype(np.float32), (tone + 0.4 * brown, tone, tone - brown))


def hairline(rng: Rng, scene: Scene, coverage: Field) -> None:
    """A thin dark line on a broken edge: one lip catches the light, dust lies along the other."""
    shape = coverage.shape
    soft = blurred(coverage, rng.uniform(0.5, 0.9))
    by = int(rng.integers(1, 3))
    lip = np.maximum(shifted(soft, by) if rng.random() < 0.5 else np.roll(soft, -by, axis=0), 0) * (1 - coverage)
    lit = np.clip(lip * (0.7 + 0.6 * smooth_noise(rng, shape, 6)), 0, 1) * rng.uniform(0.0, 0.5)
    scene *= 1 + lit[..., None] * np.array([1.0, 0.85, 0.6], np.float32)
    darken(scene, np.clip(blurred(coverage, 2.5) * rng.uniform(0.0, 0.6), 0, 1), (0.86, 0.84, 0.8))
    seen = np.clip(0.9 + 0.35 * smooth_noise(rng, shape, rng.uniform(4, 16)), 0.3, 1)
    tone = rng.uniform(0.25, 0.7)
    darken(scene, np.asarray(soft * seen, np.float32), (tone * 1.04, tone, tone * rng.uniform(0.85, 1.0)))


def weathered(rng: Rng, scene: Scene, coverage: Field) -> None:
    """A band of broken stone: the edges have crumbled into the crack, and its dark floor shows between the bits."""
    shape = coverage.shape
    size_px = rng.uniform(3, 11)
    opacity, tone, relief = stones(rng, shape, size_px, rng.uniform(0.35, 0.85))
    ground = blurred(scene, 7.0)
    floor = ground * np.float32(rng.uniform(0.15, 0.55)) * (1 + 0.25 * smooth_noise(rng, shape, 3))[..., None]
    bits = ground * (rng.uniform(0.6, 1.0) * (1 + 0.22 * tone + 0.06 * relief))[..., None]
    rubble = floor + opacity[..., None] * (bits - floor)
    core = np.clip(blurred(coverage, 3.0) * 1.6 - 0.7, 0, 1) * rng.uniform(0.0, 0.9)
    rubble = rubble * (1 - core * (0.6 + 0.3 * smooth_noise(rng, shape, 6)))[..., None]
    ragged = np.clip(coverage * (1.1 + 0.35 * smooth_noise(rng, shape, size_px)), 0, 1)
    cover(scene, ragged.astype(np.float32), np.maximum(rubble, 0.01).astype(np.float32))


def filled(rng: Rng, scene: Scene, coverage: Field) -> None:
    """Sand or lime has filled it: pale, with a dark seam on the side away from the light."""
    pale = rng.uniform(1.05, 1.5) * (1 + 0.12 * smooth_noise(rng, coverage.shape, 2.5))
    warm = np.array([1.08, 1.0, 0.84], np.float32) ** np.float32(rng.uniform(0, 1.2))
    ground = np.minimum(blurred(scene, 6.0) * pale[..., None] * warm, 1.0).astype(np.float32)
    seam = np.clip(blurred(coverage, 1.2) - coverage * 0.8, 0, 1) * rng.uniform(0.2, 1.0)
    cover(scene, coverage, ground)
    darken(scene, seam.astype(np.float32), (0.45, 0.44, 0.42))


def patchy(rng: Rng, scene: Scene, coverage: Field) -> None:
    """Open in some places, in others closed by dust to a mere trace."""
    share = np.clip(0.5 + 0.9 * fractal_noise(rng, coverage.shape, rng.uniform(15, 60), 2), 0, 1)
    faint(rng, scene, coverage)
    deep(rng, scene, (coverage * share).astype(np.float32))


OPENINGS = ((open_crack, 0.22), (deep, 0.2), (hairline, 0.35), (faint, 0.1), (patchy, 0.1), (filled, 0.03))
WIDE_OPENINGS = ((weathered, 0.4), (deep, 0.42), (open_crack, 0.18))  # of cracks wider than a finger in the photo
THIN = (hairline, faint)
