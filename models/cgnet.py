"""CGNet (Wu et al. 2018), the network of half a million parameters that crack_gauge trains on two classes."""

from __future__ import annotations

from dataclasses import dataclass

import models
from models.parts.options import require


@dataclass(frozen=True)
class Options:
    """Published: width 32, m = 3, n = 21: 491,956 parameters.

    The network has two classes; the logit is that of crack less that of background, whose sigmoid is the softmax of
    both, and weighted binary cross-entropy on it is weighted cross-entropy of the two.
    """

    width: int  # width, 2 × width and 4 × width channels
    m: int  # blocks in stage 2, the one that halves counted
    n: int  # the same in stage 3

    def __post_init__(self) -> None:
        require(self, "width", self.width >= 4 and self.width % 2 == 0, "even numbers from 4")
        for name, blocks in (("m", self.m), ("n", self.n)):
            require(self, name, blocks >= 2, "at least 2, the block that halves and one more")


def build(options: Options, *, pixels: str) -> models.PaddedSegmenter:
    from models.networks.cgnet import CGNet
    from models.parts.wrapper import PaddedSegmenter

    return PaddedSegmenter(CGNet(options.width, options.m, options.n), size_divisor=32, pixels=pixels)
