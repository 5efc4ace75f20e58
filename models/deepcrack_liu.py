"""DeepCrack (Liu et al. 2019): VGG-16 whose five stages each judge every pixel, and a weighing of the five."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import models
from models.parts.options import check_choices, check_vgg


@dataclass(frozen=True)
class Options:
    """At width 64 14,720,389 parameters with batch norm and 14,711,941 with instance norm; five side outputs."""

    width: int  # channels at full resolution, 64 as published
    norm: Literal["batch", "instance"]  # instance: every image and channel by itself, without learned scale
    # Batch norm outside training takes the running statistics of the training, or those of each single image with its
    # mirrored margin, as the published test script has it.
    bn_test_mode: Literal["running", "batch"]
    encoder: str  # "none", "imagenet", "hed", or a file with torchvision's vgg16 or vgg16_bn

    def __post_init__(self) -> None:
        check_choices(self)
        check_vgg(self, self.width)


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.deepcrack_liu import DeepCrack, norm_layer
    from models.parts.vgg import load_encoder
    from models.parts.wrapper import PaddedSegmenter

    network = DeepCrack(options.width, norm_layer(options.norm, options.bn_test_mode))
    load_encoder(network.stages, options.encoder if weights is None else weights)
    return PaddedSegmenter(network, size_divisor=32, pixels=pixels)
