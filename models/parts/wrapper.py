"""What networks share: normalised pixels, and for segmenters any image size, by padding or by tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import Normalisation

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN = (104.00699, 116.66877, 122.67892)  # of blue, green, red


class Normalise(nn.Module):
    """RGB in [0, 1] as the network wants it.

    "unit": as it is; "imagenet": (x − mean) / std of each channel; "half": (x − 0.5) / 0.5, in [−1, 1];
    "bgr": the channels in reverse order; "caffe": these, from 0 to 255, less the mean of each.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, pixels: str) -> None:
        super().__init__()
        if pixels not in get_args(Normalisation):
            raise ValueError(f"pixels = {pixels!r}; allowed: {', '.join(map(repr, get_args(Normalisation)))}")
        self.pixels = pixels
        # Not persistent: constants are no weights and have no place in a saved network.
        mean = CAFFE_MEAN if pixels == "caffe" else IMAGENET_MEAN
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, batch: Tensor) -> Tensor:
        if self.pixels == "unit":
            return batch
        if self.pixels == "half":
            return (batch - 0.5) / 0.5
        if self.pixels == "imagenet":
            return (batch - self.mean) / self.std
        return batch.flip(1) if self.pixels == "bgr" else 255 * batch.flip(1) - self.mean


class PaddedSegmenter(nn.Module):
    """Any image size for a network that only takes multiples of `size_divisor`.

    Input N×3×H×W, RGB in [0, 1]. Output {"logits": N×1×H×W, "aux": [N×1×H×W, …]}, always float32: losses and
    sigmoids lose too much in 16 bits. The probability of crack is the sigmoid of "logits". The network
    returns [main, *aux], all as large as its input; the image grows right and down before it, the logits are
    cropped.
    """

    def __init__(self, network: nn.Module, *, size_divisor: int, pixels: str) -> None:
        super().__init__()
        self.network = network
        self.size_divisor = size_divisor
        self.normalise = Normalise(pixels)

    def forward(self, batch: Tensor) -> dict[str, Tensor | list[Tensor]]:
        height, width = batch.shape[-2:]
        maps = self.network(pad_to_divisor(self.normalise(batch), self.size_divisor))
        logits, *aux = [each[..., :height, :width].float() for each in maps]
        return {"logits": logits, "aux": aux}


def pad_to_divisor(batch: Tensor, divisor: int) -> Tensor:
    """Mirror right and bottom (border pixel not repeated) until H and W are multiples of `divisor`.

    A side not longer than its padding cannot be mirrored: its last pixel is repeated.
    """
    height, width = batch.shape[-2:]
    down, right = -height % divisor, -width % divisor
    if right:
        batch = F.pad(batch, (0, right, 0, 0), mode="reflect" if right < width else "replicate")
    if down:
        batch = F.pad(batch, (0, 0, 0, down), mode="reflect" if down < height else "replicate")
    return batch


class Tiled(nn.Module):
    """N×C×H×W → [N×1×H×W logits, …] of a network that wants `tile_hw`.

    As few tiles as cover the image, spread evenly; logits of overlapping ones are averaged. An image smaller than a
    tile is mirrored right and down until it is as large, and the logits are cropped; in training it is an error,
    since a network that wants one size learns from the place of a pixel, and would learn the mirror.
    """

    def __init__(self, network: nn.Module, tile_hw: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.tile_height, self.tile_width = tile_hw

    def forward(self, batch: Tensor) -> list[Tensor]:
        height, width = batch.shape[-2:]
        if self.training and (height < self.tile_height or width < self.tile_width):
            raise ValueError(
                f"a training batch of {height}×{width} px; wanted: at least the network's own "
                f"{self.tile_height}×{self.tile_width} px, so let input_size be the size of the crops"
            )
        grown = mirror_until(batch, max(height, self.tile_height), max(width, self.tile_width))
        rows = starts(grown.shape[-2], self.tile_height)
        columns = starts(grown.shape[-1], self.tile_width)
        windows = [
            (slice(row, row + self.tile_height), slice(column, column + self.tile_width))
            for row in rows
            for column in columns
        ]
        tiles: list[list[Tensor]] = [self.network(grown[:, :, down, right]) for down, right in windows]
        return [
            stitch([tile[index] for tile in tiles], windows, grown.shape[-2:])[..., :height, :width]
            for index in range(len(tiles[0]))
        ]


def stitch(tiles: list[Tensor], windows: list[tuple[slice, slice]], size: Sequence[int]) -> Tensor:
    """The mean, at every pixel, of the tiles that cover it; float32 where there are several."""
    if len(tiles) == 1:
        return tiles[0]
    total = tiles[0].new_zeros((len(tiles[0]), 1, *size), dtype=torch.float32)
    covered = torch.zeros_like(total[:1])
    for tile, (down, right) in zip(tiles, windows, strict=True):
        total[..., down, right] += tile.float()
        covered[..., down, right] += 1
    return total / covered


def starts(length: int, tile: int) -> list[int]:
    """First pixels of the fewest tiles that cover `length` ≥ tile pixels, the first at 0, the last flush."""
    steps = -(-length // tile) - 1
    return [step * (length - tile) // steps for step in range(steps + 1)] if steps else [0]


def mirror_until(batch: Tensor, height: int, width: int) -> Tensor:
    """Mirrored right and down, border pixel not repeated, as often as needed; a single pixel is repeated."""
    while (right := min(width - batch.shape[-1], max(batch.shape[-1] - 1, 1))) > 0:
        batch = F.pad(batch, (0, right, 0, 0), mode="reflect" if batch.shape[-1] > 1 else "replicate")
    while (down := min(height - batch.shape[-2], max(batch.shape[-2] - 1, 1))) > 0:
        batch = F.pad(batch, (0, 0, 0, down), mode="reflect" if batch.shape[-2] > 1 else "replicate")
    return batch
