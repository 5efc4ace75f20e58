"""PSPNet (Zhao et al. 2017) as CSSR and CSBSR (Kondo and Ukita) build it to find cracks: a dilated ResNet-34."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts.resnet_stages import ResNetStages


class PSPNet(nn.Module):
    """N×3×H×W → [N×1×H×W logits, and those of the third stage if `auxiliary`]; H and W are multiples of 8."""

    def __init__(
        self, trunk: ResNetStages, width: int, auxiliary: bool, dropout: Sequence[float], grids: Sequence[int]
    ) -> None:
        super().__init__()
        behind_pyramid, behind_growth, in_auxiliary = dropout
        self.trunk = trunk
        self.pyramid = Pyramid(self.trunk.channels[4], 16 * width, grids)
        self.drop = nn.Dropout2d(behind_pyramid)
        self.grow = nn.Sequential(
            *double(16 * width, 4 * width, behind_growth),
            *double(4 * width, width, behind_growth),
            *double(width, width, behind_growth),
        )
        self.head = nn.Conv2d(width, 1, 1)
        self.auxiliary = auxiliary_head(self.trunk.channels[3], 4 * width, in_auxiliary) if auxiliary else None

    def forward(self, batch: Tensor) -> list[Tensor]:
        *_, third, last = self.trunk(batch)
        maps = [self.head(self.grow(self.drop(self.pyramid(last))))]
        if self.auxiliary is not None:
            small = self.auxiliary(third).float()
            maps.append(F.interpolate(small, size=batch.shape[-2:], mode="bilinear", align_corners=True))
        return maps


class Pyramid(nn.Module):
    """Means over the cells of each grid, mixed 1×1 (no bias, no activation), enlarged and put before the features."""

    def __init__(self, inside: int, outside: int, grids: Sequence[int]) -> None:
        super().__init__()
        self.grids = grids
        self.mix = nn.ModuleList(nn.Conv2d(inside, inside, 1, bias=False) for _ in grids)
        self.join = nn.Conv2d(inside * (len(grids) + 1), outside, 1)

    def forward(self, features: Tensor) -> Tensor:
        size = features.shape[-2:]
        levels = [
            F.interpolate(mix(F.adaptive_avg_pool2d(features, cells)), size=size, mode="bilinear", align_corners=False)
            for cells, mix in zip(self.grids, self.mix, strict=True)
        ]
        return F.relu(self.join(torch.cat([*levels, features], dim=1)))


def double(inside: int, outside: int, dropout: float) -> list[nn.Module]:
    """Twice the size: bilinear, 3×3 convolution, batch norm, PReLU with one slope, dropout."""
    return [
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.BatchNorm2d(outside),
        nn.PReLU(),
        nn.Dropout2d(dropout),
    ]


def auxiliary_head(inside: int, middle: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, middle, 3, padding=1, bias=False),
        nn.BatchNorm2d(middle),
        nn.ReLU(inplace=True),
        nn.Dropout2d(dropout),
        nn.Conv2d(middle, 1, 1),
    )
