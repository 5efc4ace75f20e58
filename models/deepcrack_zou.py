"""DeepCrack (Zou et al. 2018): VGG-16 down, its mirror image up, and a judgement of every pixel at each scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import models
from models.parts.options import check_choices, check_vgg


@dataclass(frozen=True)
class Options:
    """At width 64 30,905,011 parameters, with batch norm 30,921,011, with fusion "paper" 29,466,571; five sides."""

    width: int  # channels at full resolution, 64 as published
    norm: Literal["none", "batch"]  # none as in the published code, batch as in the paper
    fusion: Literal["code", "paper"]  # whose way to join encoder and decoder at a scale
    encoder: str  # "none", "imagenet", "hed", or a file with torchvision's vgg16 or vgg16_bn

    def __post_init__(self) -> None:
        check_choices(self)
        check_vgg(self, self.width)


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.deepcrack_zou import DeepCrack
    from models.parts.vgg import load_encoder
    from models.parts.wrapper import PaddedSegmenter

    network = DeepCrack(options.width, options.norm, options.fusion)
    load_encoder(network.down, options.encoder if weights is None else weights)
    return PaddedSegmenter(network, size_divisor=32, pixels=pixels)  # five halvings
