"""Surfaces that the demo set does not show: asphalt seen from close up and from afar, plaster, brick, worn concrete.

Scenes are as in `pipeline.demo.surfaces`: float32 H×W×3 RGB, about 0 to 1; lengths are in pixels. Every number here
is a matter of looks.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from pipeline.demo.surfaces import (
    Field,
    Rng,
    Scene,
    across,
    asphalt,
    band,
    blobs,
    blurred,
    concrete,
    cover,
    darken,
    fractal_noise,
    log_uniform,
    pores,
    positions,
    shifted,
    smooth_noise,
    step,
    stones,
)


def tinted(rng: Rng, grey: Field, spread: float) -> Scene:
    """The grey with a colour of its own, cooler or warmer, over all of it."""
    warmth, green = rng.normal(0, spread), rng.normal(0, 0.3 * spread)
    return np.asarray(grey[..., None] * np.array([1 + warmth, 1 + green, 1 - warmth]), np.float32)


def close_up(rng: Rng, shape: tuple[int, int]) -> Scene:
    """Chippings as large as a coin in the photo, some of them pale, with black gaps between them."""
    size_px = log_uniform(rng, 9.0, 34.0)
    binder = rng.uniform(0.14, 0.36) * (1 + 0.25 * smooth_noise(rng, shape, 2.0))
    scene = tinted(rng, binder.astype(np.float32), 0.03)
    grey, spread, warmth = rng.uniform(0.36, 0.62), rng.uniform(0.12, 0.3), rng.normal(0.0, 0.03)
    for spacing_px, share in ((0.35 * size_px, 0.9), (0.6 * size_px, 0.8), (size_px, rng.uniform(0.25, 0.8))):
        opacity, tone, relief = stones(rng, shape, max(spacing_px, 3.0), share)
        pale = np.where(tone > rng.uniform(1.0, 2.2), 0.35, 0.0)  # quartz among the basalt
        face = grey * (1 + spread * tone + pale + rng.uniform(0.03, 0.09) * relief)
        face *= 1 + 0.08 * smooth_noise(rng, shape, 1.5)
        tint = warmth + 0.06 * np.sin(7 * tone)
        stone = np.stack([face * (1 + tint), face, face * (1 - tint)], axis=-1)
        darken(scene, np.maximum(shifted(opacity, 2) - opacity, 0), (0.55, 0.55, 0.58))
        cover(scene, opacity.astype(np.float32), stone.astype(np.float32))
    return np.maximum(scene * (1 + 0.08 * fractal_noise(rng, shape, 70)[..., None]), 0.01)


def from_afar(rng: Rng, shape: tuple[int, int]) -> Scene:
    """Asphalt whose stones are grains of a pixel or two, with pits and pale chips, and lanes a shade off."""
    grain = rng.uniform(0.02, 0.09) * rng.standard_normal(shape, dtype=np.float32)
    grain = grain + rng.uniform(0.02, 0.08) * smooth_noise(rng, shape, rng.uniform(1.2, 2.6))
    grey = rng.uniform(0.4, 0.62) * (1 + grain)
    specks = smooth_noise(rng, shape, rng.uniform(1.6, 4.0))
    pits, chips = step(specks - rng.uniform(2.0, 3.2), 0.5), step(-specks - rng.uniform(2.0, 3.2), 0.5)
    grey *= 1 - rng.uniform(0.1, 0.4) * pits + rng.uniform(0.1, 0.5) * chips
    grey *= 1 + rng.uniform(0.01, 0.05) * fractal_noise(rng, shape, 80)
    if rng.random() < 0.4:
        lane = across(rng, shape, rng.normal(0, 0.1) + (np.pi / 2) * int(rng.integers(2)))
        grey *= 1 + rng.normal(0, 0.05) * band(lane, rng.uniform(30, 160), rng.uniform(10, 60))
    scene = tinted(rng, grey.astype(np.float32), 0.05)
    if rng.random() < 0.4:
        scene *= 1 + 0.015 * fractal_noise(rng, shape, 60)[..., None] * np.array([1.0, 0.2, -1.0], np.float32)
    return np.maximum(scene, 0.01)


def plaster(rng: Rng, shape: tuple[int, int]) -> Scene:
    """A rendered or painted wall: pale or coloured, smooth or dashed, lit from the side."""
    height = fractal_noise(rng, shape, rng.uniform(3, 16), 3)
    lit = height - shifted(height.astype(np.float32), 1)
    grey = rng.uniform(0.45, 0.85) * (1 + rng.uniform(0.01, 0.1) * lit + 0.03 * fractal_noise(rng, shape, 110, 5))
    grey *= 1 + 0.015 * rng.standard_normal(shape, dtype=np.float32)
    scene = tinted(rng, grey.astype(np.float32), 0.1)
    if rng.random() < 0.4:
        pores(rng, scene)
    return np.maximum(scene, 0.01)


def worn_concrete(rng: Rng, shape: tuple[int, int]) -> Scene:
    """Concrete with blotches of moss and rust, sand that shows, and scratches."""
    scene = concrete(rng, shape)
    blotch = step(fractal_noise(rng, shape, rng.uniform(20, 90), 5) - rng.uniform(0.0, 1.2), rng.uniform(0.2, 1.0))
    tones = ((0.72, 0.74, 0.66), (0.86, 0.76, 0.66), (0.7, 0.7, 0.7), (1.15, 1.14, 1.12))
    darken(scene, blotch * rng.uniform(0.2, 1.0), tones[rng.integers(len(tones))])
    sand = smooth_noise(rng, shape, rng.uniform(1.2, 4.0))
    scene *= 1 + (rng.uniform(0.0, 0.16) * sand)[..., None]
    for _ in range(int(rng.integers(0, 4))):
        place = across(rng, shape, rng.uniform(0, np.pi)) + 2 * smooth_noise(rng, shape, 80)
        faint = band(place, rng.uniform(0.6, 1.6), 1.0) * step(smooth_noise(rng, shape, 40), 1.0)
        scene *= 1 + (rng.normal(0, 0.12) * faint)[..., None]
    return np.maximum(scene, 0.01)


def brick(rng: Rng, shape: tuple[int, int]) -> Scene:
    """Courses of bricks or slabs with mortar between them: straight dark or pale lines that are no crack."""
    y, x = positions(shape)
    angle = rng.normal(0, 0.05)
    along, up = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    high, long = rng.uniform(22, 90), rng.uniform(1.5, 3.5)
    up = up + 0.6 * smooth_noise(rng, shape, 14)
    along = along + 0.6 * smooth_noise(rng, shape, 14)
    course = np.floor(up / high)
    shifted_along = along / (high * long) + 0.5 * (course % 2)
    number = (course * 31 + np.floor(shifted_along)).astype(np.intp) % 199
    mortar_px = rng.uniform(2.0, 9.0)
    edge = np.minimum(np.abs((up / high + 0.5) % 1 - 0.5) * high, np.abs((shifted_along + 0.5) % 1 - 0.5) * high * long)
    mortar = step(mortar_px / 2 - edge, 1.5)
    face = rng.uniform(0.35, 0.65) * rng.normal(1, rng.uniform(0.02, 0.12), 199)[number]
    face = face * (1 + 0.05 * fractal_noise(rng, shape, 14) + 0.03 * rng.standard_normal(shape, dtype=np.float32))
    colour = ((1.25, 0.85, 0.7), (1.0, 1.0, 1.0), (1.12, 1.0, 0.86))[rng.integers(3)]
    scene = np.asarray(face[..., None] * np.array(colour), np.float32)
    filling = rng.uniform(0.25, 0.85) * (1 + 0.08 * smooth_noise(rng, shape, 2.5))
    cover(scene, mortar.astype(np.float32), np.repeat(filling[..., None], 3, axis=2).astype(np.float32))
    return np.maximum(scene, 0.01)


def seal(rng: Rng, scene: Scene) -> None:
    """A crack that somebody closed with bitumen: a smooth black band, wide and soft-edged, that is no crack."""
    shape = scene.shape[:2]
    place = across(rng, shape, rng.uniform(0, np.pi)) + rng.uniform(4, 16) * smooth_noise(
        rng, shape, rng.uniform(40, 90)
    )
    share = band(place + 1.5 * smooth_noise(rng, shape, 8), rng.uniform(10, 36), rng.uniform(1.5, 4.0))
    tone = rng.uniform(0.08, 0.25) * (1 + 0.15 * smooth_noise(rng, shape, 9))
    shine = np.maximum(smooth_noise(rng, shape, 30) - 0.8, 0) * rng.uniform(0, 0.2)
    cover(scene, (share * 0.95).astype(np.float32), np.repeat((tone + shine)[..., None], 3, 2).astype(np.float32))


def holes(rng: Rng, scene: Scene) -> None:
    """Stones that are gone, drops of oil, gum: dark, compact, in any number, and no crack."""
    shape = scene.shape[:2]
    radii_px = np.minimum(rng.lognormal(rng.uniform(0.3, 1.6), 0.5, int(rng.integers(3, 60))), 14)
    share = blurred(blobs(rng, shape, radii_px.tolist()), rng.uniform(0.4, 1.5))
    tone = rng.uniform(0.12, 0.7)
    darken(scene, share, (tone, tone, tone))


def straw(rng: Rng, scene: Scene) -> None:
    """Stalks, wires and threads: thin curves, mostly paler than the ground, that lie on it and throw a shadow."""
    shape = scene.shape[:2]
    canvas = np.zeros(shape, np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        start, angle = rng.random(2) * (shape[1], shape[0]), rng.uniform(0, 2 * np.pi)
        bend = angle + np.cumsum(rng.normal(0, 0.06, int(rng.integers(12, 60))))
        points = start + np.cumsum(3 * np.stack([np.cos(bend), np.sin(bend)], axis=-1), axis=0)
        cv2.polylines(
            canvas, [np.round(points * 16).astype(np.int32)], False, 255, int(rng.integers(1, 3)), cv2.LINE_AA, 4
        )
    share = canvas.astype(np.float32) / 255
    darken(scene, np.maximum(blurred(shifted(share, 2), 0.8) - share, 0), (0.6, 0.6, 0.62))
    cover(scene, share, np.array([1.0, 0.94, 0.8], np.float32) * np.float32(rng.uniform(0.3, 0.85)))


def thing(rng: Rng, scene: Scene) -> None:
    """A ruler, a bag, a leaflet, a shoe: something flat with straight edges and lines on it, and a shadow below."""
    shape = scene.shape[:2]
    middle, turn = rng.uniform(-0.1, 1.1, 2) * (shape[1], shape[0]), rng.uniform(0, np.pi)
    long, wide = log_uniform(rng, 0.2, 0.9) * max(shape), log_uniform(rng, 0.03, 0.4) * max(shape)
    y, x = positions(shape)
    x, y = x + shape[1] / 2 - middle[0], y + shape[0] / 2 - middle[1]
    along, across_it = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
    share = step(long / 2 - np.abs(along), 1.5) * step(wide / 2 - np.abs(across_it), 1.5)
    darken(scene, np.maximum(blurred(shifted(share.astype(np.float32), 4), 2.5) - share, 0), (0.35, 0.35, 0.38))
    marks = step(np.sin(along * 2 * np.pi / rng.uniform(5, 40)) - rng.uniform(0.2, 0.95), 0.3) * float(
        rng.random() < 0.6
    )
    colour = rng.uniform(0.1, 0.95, 3).astype(np.float32)
    face = colour * (1 - rng.uniform(0.2, 0.8) * marks[..., None])
    cover(scene, share.astype(np.float32), face.astype(np.float32))


GROUNDS = (  # and how often each is drawn, of all photos that are wholly made
    (asphalt, 0.12),
    (concrete, 0.12),
    (close_up, 0.2),
    (from_afar, 0.34),
    (plaster, 0.09),
    (worn_concrete, 0.12),
    (brick, 0.05),
)
COARSE = (asphalt, close_up)
