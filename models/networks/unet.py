"""U-Net (Ronneberger, Fischer, Brox 2015) with padded convolutions: the output is as large as the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.parts.vgg import he_normal

LEVELS = 4  # halvings of the image; 16 pixels are one at the bottom


class UNet(nn.Module):
    """N×3×H×W → [N×1×H×W logits]; H and W are multiples of 16."""

    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.down = nn.ModuleList(
            two_convolutions(inside, outside, norm) for inside, outside in zip([3, *widths], widths, strict=False)
        )
        upwards = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(deep, flat, 2, stride=2) for deep, flat in upwards)
        self.up = nn.ModuleList(two_convolutions(deep, flat, norm) for deep, flat in upwards)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Conv2d(width, 1, 1)
        for blocks in (self.down, self.up):  # as in the paper: without normalisation no other start learns well
            blocks.apply(he_normal)

    def forward(self, batch: Tensor) -> list[Tensor]:
        x, skips = self.down[0](batch), []
        for block in list(self.down)[1:]:
            skips.append(x)
            x = block(self.pool(x))
        for grow, block in zip(self.grow, self.up, strict=True):
            x = block(torch.cat([skips.pop(), grow(x)], dim=1))
        return [self.head(x)]


def two_convolutions(inside: int, outside: int, norm: str) -> nn.Sequential:
    """Twice: 3×3 convolution, normalisation if any, ReLU."""
    layers: list[nn.Module] = []
    for channels in (inside, outside):
        layers.append(nn.Conv2d(channels, outside, 3, padding=1, bias=norm == "none"))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(outside))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
