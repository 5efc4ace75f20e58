"""U-Net (Ronneberger, Fischer, Brox 2015) with padded convolutions: the output is as large as the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import models
from models.parts.options import check_choices, require


@dataclass(frozen=True)
class Options:
    """At width 64 31,031,745 parameters without normalisation, as in the paper, and 31,037,633 with it."""

    width: int  # channels at full resolution, 64 in the paper; twice as many at each halving
    norm: Literal["batch", "none"]  # batch: behind each 3×3 convolution, which has no bias then

    def __post_init__(self) -> None:
        check_choices(self)
        require(self, "width", self.width >= 1, "at least 1")


def build(options: Options, *, pixels: str) -> models.PaddedSegmenter:
    from models.networks.unet import LEVELS, UNet
    from models.parts.wrapper import PaddedSegmenter

    return PaddedSegmenter(UNet(options.width, options.norm), size_divisor=2**LEVELS, pixels=pixels)
