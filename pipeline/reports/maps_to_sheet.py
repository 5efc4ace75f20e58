"""Every interim map of one image → one picture that shows where a label came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_CAPTION_PX = 26
_GAP_PX = 8
_PAPER = 250
_INK = (40, 40, 40)


def panel(title: str, map_or_image: NDArray[Any]) -> NDArray[np.uint8]:
    """uint8 H×W×3 with a caption above: RGB as it is, a bool mask in black and white, a map in colours of heat."""
    body = _coloured(map_or_image)
    caption = np.full((_CAPTION_PX, body.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(caption, title, (2, _CAPTION_PX - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
    return np.concatenate([caption, body])


def _coloured(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.ndim == 3:
        return values.astype(np.uint8)
    if values.dtype == np.bool_:
        return np.repeat(np.where(values, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    scaled = values if values.dtype == np.uint8 else np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(scaled, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def sheet(panels: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Panels of one size in rows of `columns`, on paper."""
    height, width = panels[0].shape[:2]
    rows = -(-len(panels) // columns)
    page = np.full((rows * (height + _GAP_PX) + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3), _PAPER, np.uint8)
    for number, picture in enumerate(panels):
        top = _GAP_PX + number // columns * (height + _GAP_PX)
        left = _GAP_PX + number % columns * (width + _GAP_PX)
        page[top : top + height, left : left + width] = picture
    return page
