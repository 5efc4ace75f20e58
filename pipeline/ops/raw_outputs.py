"""What a network says before it is a probability."""

from typing import Any

import numpy as np
import numpy.typing as npt

_LARGEST = 700.0  # beyond it exp() of a float64 is infinite, and the probability 0 or 1 in any case


def sigmoid(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """1 / (1 + e^−x), float64."""
    found: npt.NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_LARGEST, _LARGEST)))
    return found


def over_maximum(logits: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Over the largest of the image, nothing below 0, as a picture of 8 bits; all 0 where none is above 0."""
    real = logits.astype(np.float64)
    top = real.max()
    scaled = np.clip(real / top, 0, 1) if top > 0 else np.zeros_like(real)
    return np.rint(255 * scaled).astype(np.uint8)
