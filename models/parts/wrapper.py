"""What every network shares: normalised pixels, and for segmenters any image size."""

from __future__ import annotations

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import Normalisation

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Normalise(nn.Module):
    """RGB in [0, 1] as the network wants it.

    "unit": as it is; "imagenet": (x − mean) / std of each channel; "half": (x − 0.5) / 0.5, in [−1, 1];
    "bgr": the channels in reverse order.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, pixels: str) -> None:
        super().__init__()
        if pixels not in get_args(Normalisation):
            raise ValueError(f"pixels = {pixels!r}; allowed: {', '.join(map(repr, get_args(Normalisation)))}")
        self.pixels = pixels
        # Not persistent: constants are no weights and have no place in a saved network.
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, batch: Tensor) -> Tensor:
        if self.pixels == "unit":
            return batch
        if self.pixels == "half":
            return (batch - 0.5) / 0.5
        return batch.flip(1) if self.pixels == "bgr" else (batch - self.mean) / self.std


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
