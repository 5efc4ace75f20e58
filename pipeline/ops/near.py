"""Which pixels of a mask have a pixel of another mask within reach, and where masks end; all in whole numbers."""

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.counts import compiled
from pipeline.ops.types import Mask

Codes = npt.NDArray[np.uint8]  # H+1×W+1: which of the four pixels around a corner are crack


def near(points: Mask, others: Mask, reach_px: int) -> Mask:
    """The points that have one of the others at most reach_px away, from centre to centre in a straight line."""
    if points.shape != others.shape or not points.dtype == others.dtype == np.bool_:
        raise ValueError(
            f"masks of {points.dtype} {points.shape} and {others.dtype} {others.shape}; bool of one shape is needed"
        )
    found: Mask = _near(np.ascontiguousarray(points), np.ascontiguousarray(others), _disk(reach_px))
    return found


def _disk(reach_px: int) -> npt.NDArray[np.int64]:
    """All steps of at most that length, the shortest first."""
    side = np.arange(-reach_px, reach_px + 1)
    steps = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    lengths = (steps**2).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    return np.ascontiguousarray(steps[order][lengths[order] <= reach_px**2])


@compiled
def _near(points: Mask, others: Mask, steps: npt.NDArray[np.int64]) -> Mask:
    height, width = points.shape
    found = np.zeros_like(points)
    for row in range(height):
        for col in range(width):
            if points[row, col]:
                for i in range(steps.shape[0]):
                    y, x = row + steps[i, 0], col + steps[i, 1]
                    if 0 <= y < height and 0 <= x < width and others[y, x]:
                        found[row, col] = True
                        break
    return found


def edge(mask: Mask) -> Mask:
    """The crack pixels with a pixel off the crack, or off the image, among their eight neighbours."""
    return strip(mask, 1)


def strip(mask: Mask, depth_px: int) -> Mask:
    """The crack pixels that a square of depth_px to each side would carry off the crack, or off the image."""
    window = np.ones((2 * depth_px + 1, 2 * depth_px + 1), np.uint8)
    pixels = np.ascontiguousarray(mask).view(np.uint8)
    inner = cv2.erode(pixels, window, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    outer: Mask = mask & (np.asarray(inner) == 0)
    return outer


def corners(mask: Mask) -> Codes:
    """Bits 8, 4, 2, 1: the pixels above left, above right, below left and below right of each corner of a pixel."""
    padded = np.pad(mask, 1).view(np.uint8)
    codes: Codes = 8 * padded[:-1, :-1] + 4 * padded[:-1, 1:] + 2 * padded[1:, :-1] + padded[1:, 1:]
    return codes


def _pieces() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """By the code of a corner: straight pieces of the contour there (1 px), and pieces across it (√½ px)."""
    straight, across = np.zeros(16, np.int64), np.zeros(16, np.int64)
    straight[[0b0011, 0b1100, 0b0101, 0b1010]] = 1
    across[[code for code in range(16) if bin(code).count("1") in (1, 3)]] = 1
    across[[0b0110, 0b1001]] = 2
    return straight, across


STRAIGHT, ACROSS = _pieces()


def is_contour(codes: Codes) -> Mask:
    found: Mask = (codes != 0) & (codes != 0b1111)
    return found
