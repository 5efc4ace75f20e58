"""OED (König et al. 2021): an EfficientNet down, residual blocks up, and a judgement at every scale."""

from __future__ import annotations

from dataclasses import dataclass

import models
from models.parts.options import MEMBERS, check_encoder, require


@dataclass(frozen=True)
class Options:
    """39,650,581 parameters as published, with the encoder B5; four side outputs."""

    width: float  # EfficientNet's own factors of channels and of blocks: 1.6 and 2.2 (B5) as published, 1 and 1 for B0
    depth: float
    decoder_width: int  # channels of the deepest decoder block, halved four times; 256 as published
    drop_connect: float  # see `models.parts.efficientnet.Encoder`; 0.2 as published
    # Share of the new value in the running statistics, 0.01 as published; a training of a few hundred steps needs a
    # larger one, or it ends with the statistics of its beginning.
    bn_momentum: float
    encoder: str  # "none", "imagenet", or a file with torchvision's EfficientNet of this width and depth

    def __post_init__(self) -> None:
        require(self, "width", self.width > 0, "above 0")
        require(self, "depth", self.depth > 0, "above 0")
        require(self, "decoder_width", self.decoder_width > 0 and self.decoder_width % 16 == 0, "multiples of 16")
        require(self, "drop_connect", 0 <= self.drop_connect < 1, "from 0 to below 1")
        require(self, "bn_momentum", 0 < self.bn_momentum <= 1, "above 0, up to 1")
        known = ", ".join(f"{width} and {depth}" for width, depth in MEMBERS)
        check_encoder(self, (self.width, self.depth) in MEMBERS, f"a width and depth of {known}")


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.oed import OED
    from models.parts import efficientnet
    from models.parts.wrapper import PaddedSegmenter

    factors = options.width, options.depth
    backbone = efficientnet.Encoder(*factors, options.drop_connect, options.bn_momentum)
    efficientnet.load_encoder(backbone, options.encoder if weights is None else weights, factors)
    network = OED(backbone, options.decoder_width, efficientnet.batch_norm(options.bn_momentum))
    return PaddedSegmenter(network, size_divisor=32, pixels=pixels)
