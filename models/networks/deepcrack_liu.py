"""DeepCrack (Liu et al. 2019): VGG-16 whose five stages each judge every pixel, and a weighing of the five."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import vgg

GAIN = 0.02  # of the first weights, as in the published code; behind it every layer is normalised


class DeepCrack(nn.Module):
    """N×3×H×W → [fused, side 1, …, side 5], each N×1×H×W logits; side k is made at 1/2^(k−1) of the size."""

    def __init__(self, width: int, norm: vgg.Norm) -> None:
        super().__init__()
        self.stages = vgg.encoder_stages(width, norm=norm, bias=False)
        self.sides = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels in vgg.stage_widths(width))
        self.fuse = nn.Conv2d(len(self.sides), 1, 1, bias=False)
        self.apply(initialise)

    def forward(self, batch: Tensor) -> list[Tensor]:
        sides: list[Tensor] = []
        x, size = batch, batch.shape[-2:]
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(F.max_pool2d(x, 2) if sides else x)
            sides.append(F.interpolate(side(x), size=size, mode="bilinear", align_corners=True))
        return [self.fuse(torch.cat(sides, dim=1)), *sides]


def norm_layer(norm: str, bn_test_mode: str) -> vgg.Norm:
    if norm == "instance":
        return nn.InstanceNorm2d
    return nn.BatchNorm2d if bn_test_mode == "running" else ImageBatchNorm


class ImageBatchNorm(nn.BatchNorm2d):
    """Batch norm that also outside training takes the statistics of what it sees, of each image by itself."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_normal_(module.weight, GAIN)
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, GAIN)
