"""A trained network made faster for answering: the same sums in another order, so that answers differ by round-off."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Fused(nn.Module):
    """A copy that only answers: batch norms that follow a convolution are multiplied into it, and channels lie last.

    BN(w ∗ x + b) = (w·γ/√(σ² + ε)) ∗ x + (b − μ)·γ/√(σ² + ε) + β. A processor's convolutions want channels last.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        for part in list(self.model.modules()):
            if isinstance(part, nn.Sequential):
                _fuse(part)

    def forward(self, batch: Tensor) -> Any:
        return self.model(batch.contiguous(memory_format=torch.channels_last))


def _fuse(row: nn.Sequential) -> None:
    for (first, before), (second, after) in itertools.pairwise(list(row.named_children())):
        if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
            setattr(row, first, fuse_conv_bn_eval(before, after))
            setattr(row, second, nn.Identity())
