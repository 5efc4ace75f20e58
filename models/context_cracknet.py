"""Context-CrackNet (Kyem et al. 2025): a ResNet with attention over the whole image and gated skips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import models
from models.parts.options import Trunk, check_choices, check_trunk, require, trunk_channels

SIZE_DIVISOR = 32


@dataclass(frozen=True)
class Options:
    """82,050,597 parameters as published, 73,249,317 without `cagm`, 80,663,745 without `rfem`."""

    trunk: Trunk  # "resnet50" as published
    width: int  # channels behind the first convolution, 64 as published
    # Height and width of a training crop, for each of whose tokens the attention owns weights; [448, 448] as published.
    input_size: list[int]
    # Images of other sizes: "tile" runs the network on tiles of input_size (see `models.parts.wrapper`), "interpolate"
    # stretches those weights. Without `cagm` every size is taken as it is.
    tokens: Literal["tile", "interpolate"]
    cagm: bool  # the attention
    rfem: bool  # the gates of the skips, which are plain without
    heads: int  # 8 as published
    rank: int  # keys that stand for all tokens, 256 as published
    dropout: float  # in the attention, 0.1 as published
    encoder: str  # "none", "imagenet", or a file with torchvision's ResNet of this trunk

    def __post_init__(self) -> None:
        check_choices(self)
        check_trunk(self, self.trunk, self.width)
        sides = [side for side in self.input_size if side > 0 and side % SIZE_DIVISOR == 0]
        fits = len(sides) == len(self.input_size) == 2
        require(self, "input_size", fits, f"height and width, multiples of {SIZE_DIVISOR}")
        channels = trunk_channels(self.trunk, self.width)[3]
        divides = self.heads >= 1 and channels % self.heads == 0
        require(self, "heads", not self.cagm or divides, f"divisors of the {channels} channels of the third stage")
        require(self, "rank", not self.cagm or self.rank >= 1, "at least 1")
        require(self, "dropout", 0 <= self.dropout < 1, "from 0 to below 1")


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.context_cracknet import TOKEN_PX, ContextCrackNet
    from models.parts.resnet_stages import build_trunk
    from models.parts.wrapper import PaddedSegmenter, Tiled

    height, width = options.input_size
    grid = height // TOKEN_PX, width // TOKEN_PX
    attention = (grid, options.heads, options.rank, options.dropout) if options.cagm else None
    encoder = options.encoder if weights is None else weights
    trunk = build_trunk(options.trunk, options.width, dilated=False, encoder=encoder)
    network = ContextCrackNet(trunk, attention, options.rfem)
    tiled = options.cagm and options.tokens == "tile"
    outer = Tiled(network, options.input_size) if tiled else network
    return PaddedSegmenter(outer, size_divisor=SIZE_DIVISOR, pixels=pixels)
