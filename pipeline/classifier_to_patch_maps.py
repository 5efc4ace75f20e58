"""Classifier, image → patch map: how probable a crack is in each small window."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.networks.classifier import Classifier
from pipeline.knobs import PatchMapsKnobs
from pipeline.learning.training import evaluating, laid_out, to_batch
from pipeline.ops.coarse_maps import upsample_lanczos
from pipeline.ops.types import ImageRGB, Map
from pipeline.ops.windows import mean_of_overlaps, pad_to_windows

# Windows that go through the network together. A constant and no setting: libraries may choose their kernels
# by the size of a batch (a window alone differs in the last bits), and no setting of speed may move a result.
CHUNK = 64


def patch_map(
    model: Classifier, image_rgb: ImageRGB, knobs: PatchMapsKnobs, *, device: torch.device
) -> npt.NDArray[np.float32]:
    """A small grid in [0, 1]. "mean": one value per cell of stride_px; "stretch": one per window."""
    padded = pad_to_windows(image_rgb, knobs.window_px, knobs.stride_px)
    windows = cut_on_device(to_batch(padded[np.newaxis], device)[0], knobs.window_px, knobs.stride_px)
    rows, cols = windows.shape[:2]
    with evaluating(model, device, knobs.precision):
        values = [crack_probability(model(laid_out(chunk, knobs.precision))) for chunk in chunks(windows)]
    grid = torch.cat(values).view(rows, cols).cpu().numpy()
    return mean_of_overlaps(grid, knobs.window_px, knobs.stride_px) if knobs.overlap == "mean" else grid


def cut_on_device(image: Tensor, window_px: int, stride_px: int) -> Tensor:
    """3×H×W → rows × cols × 3 × window × window, a view."""
    return image.unfold(1, window_px, stride_px).unfold(2, window_px, stride_px).permute(1, 2, 0, 3, 4)


def chunks(windows: Tensor) -> Iterator[Tensor]:
    """CHUNK windows at a time, row by row; only these are copied, all of a large photo would be gigabytes."""
    rows, cols = windows.shape[:2]
    for start in range(0, rows * cols, CHUNK):
        number = torch.arange(start, min(start + CHUNK, rows * cols), device=windows.device)
        yield windows[number // cols, number % cols]


def crack_probability(logits: Tensor) -> Tensor:
    return logits.float().softmax(dim=1)[:, 1]


def patch_map_to_image(grid: npt.NDArray[np.float32], shape_hw: tuple[int, int], knobs: PatchMapsKnobs) -> Map:
    """The grid as a map of the image.

    "mean": each cell lies where its pixels are, and the padding is cut off. "stretch": the grid is pulled
    over the image as in the authors' code, which shifts it by up to half a window.
    """
    height, width = shape_hw
    if knobs.overlap == "stretch":
        return upsample_lanczos(grid, shape_hw)
    rows, cols = grid.shape
    return upsample_lanczos(grid, (rows * knobs.stride_px, cols * knobs.stride_px))[:height, :width]
