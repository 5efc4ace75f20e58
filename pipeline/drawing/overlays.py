"""A photo and its cracks → the photo with each crack drawn as a thin line; what lies under it can still be read."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.cracks import Crack
from pipeline.ops.types import ImageRGB

_COLOUR = (255, 36, 124)  # seen on concrete, on asphalt, on rust and on grass
_RIM = (20, 0, 12)  # a dark edge, so that the line is seen on light ground by those who see no red
_STRENGTH, _RIM_STRENGTH = 0.95, 0.22
_LINES_A_SIDE = 480.0  # so many lines side by side are as wide as the longer side
_SHIFT = 4  # points are drawn to a sixteenth of a pixel


def overlay(image_rgb: ImageRGB, cracks: Iterable[Crack]) -> ImageRGB:
    """A copy; lines are a certain part of the longer side, so that they look alike in large photos and small ones."""
    height, width = image_rgb.shape[:2]
    thickness = max(round(max(height, width) / _LINES_A_SIDE), 1)
    lines = [_points(branch.line) for crack in cracks for branch in crack.branches if len(branch.line)]
    drawn = image_rgb.copy()
    _paint(drawn, lines, 2 * thickness + 1, _RIM, _RIM_STRENGTH)
    _paint(drawn, lines, thickness, _COLOUR, _STRENGTH)
    return drawn


def shrunk(image_rgb: ImageRGB, longest_px: int) -> ImageRGB:
    """With a longer side of at most `longest_px`; a smaller photo stays as it is."""
    height, width = image_rgb.shape[:2]
    if max(height, width) <= longest_px:
        return image_rgb
    factor = longest_px / max(height, width)
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    return np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _points(line: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """A point alone is drawn as a dot, which is a line to itself."""
    points = np.round(line * 2**_SHIFT).astype(np.int32)
    return points if len(points) > 1 else np.repeat(points, 2, axis=0)


def _paint(
    image: ImageRGB, lines: list[npt.NDArray[np.int32]], thickness: int, colour: tuple[int, int, int], strength: float
) -> None:
    """The lines' share of each pixel, times the strength, takes the colour."""
    share = np.zeros(image.shape[:2], np.uint8)
    cv2.polylines(share, lines, False, 255, thickness, cv2.LINE_AA, _SHIFT)
    rows, columns = np.nonzero(share)
    part = (share[rows, columns] * (strength / 255)).astype(np.float32)[:, None]
    ground = image[rows, columns].astype(np.float32)
    image[rows, columns] = np.rint(ground + part * (np.array(colour, np.float32) - ground)).astype(np.uint8)
