"""PSPNet (Zhao et al. 2017) as CSSR and CSBSR (Kondo and Ukita) build it to find cracks: a dilated ResNet-34."""

from __future__ import annotations

from dataclasses import dataclass

import models
from models.parts.options import Trunk, check_choices, check_trunk, require


@dataclass(frozen=True)
class Options:
    """28,091,141 parameters as published, with the auxiliary output; 27,500,548 without."""

    trunk: Trunk  # "resnet34" as published
    width: int  # channels behind the first convolution, 64 as published
    auxiliary: bool  # a side output, read from the third stage
    # Of whole channels: behind the pyramid, behind each of the three enlargements, in the auxiliary head; as published
    # [0.3, 0.15, 0.1].
    dropout: list[float]
    encoder: str  # "none", "imagenet", or a file with torchvision's ResNet of this trunk
    pyramid: list[int]  # cells on a side, of each level; [1, 2, 3, 6] as published, [] goes without

    def __post_init__(self) -> None:
        check_choices(self)
        check_trunk(self, self.trunk, self.width)
        shares = len(self.dropout) == 3 and all(0 <= share < 1 for share in self.dropout)
        require(self, "pyramid", all(cells >= 1 for cells in self.pyramid), "numbers from 1")
        require(self, "dropout", shares, "three shares from 0 to below 1")


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.pspnet import PSPNet
    from models.parts.resnet_stages import build_trunk
    from models.parts.wrapper import PaddedSegmenter

    encoder = options.encoder if weights is None else weights
    trunk = build_trunk(options.trunk, options.width, dilated=True, encoder=encoder)
    network = PSPNet(trunk, options.width, options.auxiliary, options.dropout, options.pyramid)
    return PaddedSegmenter(network, size_divisor=32, pixels=pixels)
