"""Grey morphology with a square kernel; nothing beyond the border counts, so borders do not erode."""

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Pixel = TypeVar("Pixel", np.uint8, np.float32)


def erode(image: npt.NDArray[Pixel], *, kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    """`iterations` times: each pixel becomes the least one of its kernel_px × kernel_px neighbourhood."""
    return _apply(cv2.MORPH_ERODE, image, kernel_px, iterations)


def dilate(image: npt.NDArray[Pixel], *, kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    """`iterations` times: each pixel becomes the greatest one of its kernel_px × kernel_px neighbourhood."""
    return _apply(cv2.MORPH_DILATE, image, kernel_px, iterations)


def close(image: npt.NDArray[Pixel], *, kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    """`iterations` dilations, then as many erosions: fills gaps narrower than the kernel, removes nothing."""
    return _apply(cv2.MORPH_CLOSE, image, kernel_px, iterations)


def _apply(kind: int, image: npt.NDArray[Pixel], kernel_px: int, iterations: int) -> npt.NDArray[Pixel]:
    if image.dtype not in (np.uint8, np.float32):
        raise ValueError(f"an image of {image.dtype}; uint8 or float32 is needed")
    if kernel_px < 1 or kernel_px % 2 == 0:
        raise ValueError(f"a kernel of {kernel_px} px; an odd size, so that it has a centre")
    if iterations < 0:
        raise ValueError(f"{iterations} iterations; 0 or more")
    if iterations == 0:
        return image.copy()
    kernel = np.ones((kernel_px, kernel_px), np.uint8)
    changed = cv2.morphologyEx(np.ascontiguousarray(image), kind, kernel, iterations=iterations)
    return np.asarray(changed, image.dtype)
