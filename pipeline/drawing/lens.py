"""What a camera, its hand and its file format make of a scene."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.demo.surfaces import Rng, Scene, blurred, log_uniform, positions, smooth_noise


def uneven_light(rng: Rng, scene: Scene) -> Scene:
    """Light that falls off to one side and to the corners."""
    shape = scene.shape[:2]
    y, x = (axis / max(shape) for axis in positions(shape))
    light = 1 + rng.normal(0, 0.25) * y + rng.normal(0, 0.25) * x + 0.05 * smooth_noise(rng, shape, 130)
    light *= 1 - rng.uniform(0.0, 0.5) * (x * x + y * y)
    return np.asarray(scene * light[..., None], np.float32)


def exposed(rng: Rng, scene: Scene) -> Scene:
    """Brightness and contrast as different phones choose them, white balance, highlights that fade."""
    balance = rng.uniform(0.32, 0.75) / max(float(scene.mean()), 0.05) * (1 + rng.normal(0, 0.03, 3))
    bright = np.tanh(np.maximum(scene, 0) * balance.astype(np.float32))
    return np.asarray(bright ** np.float32(rng.uniform(0.8, 1.3)), np.float32)


def out_of_focus(rng: Rng, scene: Scene) -> Scene:
    """Sharp mostly; else soft, as from too close, or moved while it was taken."""
    luck = rng.random()
    if luck < 0.68:
        return blurred(scene, rng.uniform(0.3, 0.9))
    if luck < 0.9:
        return blurred(scene, log_uniform(rng, 0.9, 5.0))
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    end = rng.integers(0, length, 2)
    cv2.line(kernel, (0, 0) if rng.random() < 0.5 else (length - 1, 0), (int(end[0]), length - 1), 1.0, 1)
    return np.asarray(cv2.filter2D(scene, -1, kernel / kernel.sum()), np.float32)


def developed(rng: Rng, scene: Scene) -> NDArray[np.uint8]:
    """Sensor noise, sharpening in some cameras, 8 bits, JPEG in most."""
    grain = rng.standard_normal(scene.shape, dtype=np.float32)
    image = scene + rng.uniform(0.003, 0.025) * np.sqrt(scene + 0.05) * grain
    if rng.random() < 0.35:
        image += rng.uniform(0.3, 1.2) * (image - blurred(image, 1.0))
    eight_bits = np.asarray(np.round(np.clip(image, 0, 1) * 255), np.uint8)
    if rng.random() < 0.25:
        return eight_bits
    _, packed = cv2.imencode(".jpg", eight_bits[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 97))])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[..., ::-1])


def photographed(rng: Rng, scene: Scene) -> NDArray[np.uint8]:
    return developed(rng, out_of_focus(rng, exposed(rng, uneven_light(rng, scene))))


def taken_again(rng: Rng, scene: Scene) -> NDArray[np.uint8]:
    """Of a photo that was one already, and now has a crack: a touch of blur, light and noise."""
    soft = blurred(scene, rng.uniform(0.3, 0.8) if rng.random() < 0.75 else log_uniform(rng, 0.8, 4.0))
    tone = np.clip(soft * rng.uniform(0.75, 1.15), 0, 1) ** np.float32(rng.uniform(0.85, 1.2))
    return developed(rng, np.asarray(tone, np.float32))
