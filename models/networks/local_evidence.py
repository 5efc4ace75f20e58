"""Local evidence: a small network each of whose answers sees only a few pixels (see `models.local_evidence`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 4  # pixels from one answer to the next


class LocalEvidence(nn.Module):
    """N×3×H×W → [N×1×H×W logits]; H and W are multiples of 4. Between answers the map is bilinear."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        full, half, quarter = channels
        self.stem = nn.Sequential(
            convolution(3, full, 3),
            convolution(full, half, 3, stride=2),
            Residual(half),
            convolution(half, quarter, 3, stride=2),
        )
        self.blocks = nn.Sequential(*(Residual(quarter) for _ in range(blocks)))
        self.head = nn.Sequential(convolution(quarter, quarter, 1), nn.Conv2d(quarter, 1, 1))

    def forward(self, batch: Tensor) -> list[Tensor]:
        answers = self.head(self.blocks(self.stem(batch)))
        return [F.interpolate(answers, scale_factor=STRIDE, mode="bilinear", align_corners=False)]


def convolution(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    layer = nn.Conv2d(inside, outside, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """x + (1×1, 3×3, 1×1), then ReLU; inside half as many channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = max(channels // 2, 1)
        self.change = nn.Sequential(
            convolution(channels, inside, 1),
            convolution(inside, inside, 3),
            nn.Conv2d(inside, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.change(x))
