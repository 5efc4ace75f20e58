"""Squares cut from images in any of the eight geometries: on the host one by one, on a GPU a whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipeline.learning.augmentation import HORIZONTAL, QUARTER, VERTICAL, cut_patch

Bytes = npt.NDArray[np.uint8]
Squares = npt.NDArray[np.int64]  # 4×N: image, geometry, row and col of each, as for `cut_patch`


def cutter(arrays: Sequence[Bytes], device: torch.device) -> Cutter:
    """Of images H×W[×C] of any sizes, uint8: its `cut` gives N×P×P[×C], the same as `cut_patch` of each of N squares.

    On a GPU the images live on it, unless they do not fit.
    """
    if device.type != "cuda" or not arrays:
        return OnHost(arrays)
    try:
        return OnDevice(arrays, device)
    except torch.cuda.OutOfMemoryError:
        return OnHost(arrays)


class OnHost:
    """Reads of an image only what it cuts; the images may lie in a mapped file."""

    def __init__(self, arrays: Sequence[Bytes]) -> None:
        self._arrays = arrays

    def cut(self, squares: Squares, size_px: int) -> Bytes:
        pixels = np.empty((squares.shape[1], size_px, size_px, *self._arrays[0].shape[2:]), np.uint8)
        for slot, (image, geometry, row, col) in zip(pixels, squares.T.tolist(), strict=True):
            slot[:] = cut_patch(self._arrays[image], geometry, row, col, size_px)
        return pixels


class OnDevice:
    """All pixels in one tensor; a pixel of a square is found by arithmetic, for the whole batch at once."""

    def __init__(self, arrays: Sequence[Bytes], device: torch.device) -> None:
        shapes = [array.shape for array in arrays]
        ends = np.cumsum([height * width for height, width, *_ in shapes])
        self._pixels = torch.empty((int(ends[-1]), *shapes[0][2:]), dtype=torch.uint8, device=device)
        for array, end in zip(arrays, ends.tolist(), strict=True):
            pixels = torch.tensor(array).flatten(0, 1)
            self._pixels[end - len(pixels) : end] = pixels
        heights, widths = np.array([shape[:2] for shape in shapes]).T
        self._places = torch.tensor(np.stack([ends - heights * widths, heights, widths]), device=device)

    def cut(self, squares: Squares, size_px: int) -> Tensor:
        return self._pixels[self._indices(torch.tensor(squares, device=self._pixels.device), size_px)]

    def _indices(self, squares: Tensor, size_px: int) -> Tensor:
        """N×P×P, where the pixels lie: corner + y · (step down) + x · (step right), (y, x) before the flips.

        A quarter turn against the clock puts pixel (x, width − 1 − y) of the image at (y, x).
        """
        image, geometry, row, col = squares.unbind()
        start, height, width = self._places[:, image].unbind()
        quarter = geometry & QUARTER > 0
        y = _mirrored(row, height.where(~quarter, width), geometry & VERTICAL > 0, size_px)
        x = _mirrored(col, width.where(~quarter, height), geometry & HORIZONTAL > 0, size_px)
        corner = start + (width - 1).where(quarter, 0)
        down, right = width.where(~quarter, -1), width.where(quarter, 1)
        return corner.view(-1, 1, 1) + (y * down.unsqueeze(1)).unsqueeze(2) + (x * right.unsqueeze(1)).unsqueeze(1)


Cutter: TypeAlias = OnHost | OnDevice


def _mirrored(start: Tensor, length: Tensor, flipped: Tensor, count: int) -> Tensor:
    """N×count positions from `start`, mirrored at the far border (which is not repeated), then flipped if so."""
    start, length, flipped = start.unsqueeze(1), length.unsqueeze(1), flipped.unsqueeze(1)
    period = (2 * (length - 1)).clamp(min=1)
    index = (start + torch.arange(count, device=start.device)) % period
    index = torch.minimum(index, period - index)
    return index.where(~flipped, length - 1 - index)
