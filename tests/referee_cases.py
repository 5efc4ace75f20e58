"""Predictions and masks from seeds, for what official scripts were once asked about; whole numbers only, so that they
are the same everywhere."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

COUNT = 12
Case = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def case(seed: int) -> Case:
    """A few random walks as the mask; the prediction has them shifted and broken, with noise, and one more."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(40, 100, 2)
    mask, found = np.zeros((2, height, width), np.bool_)
    for _ in range(rng.integers(1, 4)):
        walk = _walk(rng, height, width)
        thick, thicker = rng.integers(0, 3, 2)
        _draw(mask, walk, thick)
        _draw(found, walk[: rng.integers(20, len(walk))] + rng.integers(-2, 3, 2), thicker)
    _draw(found, _walk(rng, height, width)[:15], 1)
    prediction = rng.integers(0, 110, mask.shape) + 140 * found
    return prediction.astype(np.uint8), mask


def cases() -> list[Case]:
    """The last one has no crack."""
    every = [case(seed) for seed in range(COUNT)]
    prediction, mask = every[-1]
    return [*every[:-1], (prediction, np.zeros_like(mask))]


def digest() -> str:
    """Of all cases: whether they still are what the scripts saw."""
    together = hashlib.sha256()
    for prediction, mask in cases():
        together.update(prediction.tobytes() + mask.tobytes())
    return together.hexdigest()


def _walk(rng: np.random.Generator, height: int, width: int) -> NDArray[np.int64]:
    start = np.array([rng.integers(height), rng.integers(width)])
    along = np.array([[0, 1], [1, 0], [1, 1], [1, -1]])[rng.integers(4)]
    steps = along + rng.integers(-1, 2, (90, 2)) * (rng.random((90, 2)) < 0.4)
    return start + np.cumsum(steps, axis=0)


def _draw(image: NDArray[np.bool_], walk: NDArray[np.int64], thick: int) -> None:
    for row, col in walk:
        if -thick <= row < image.shape[0] and -thick <= col < image.shape[1]:
            image[max(row - thick, 0) : max(row + thick + 1, 0), max(col - thick, 0) : max(col + thick + 1, 0)] = True
