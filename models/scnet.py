"""SCNet (Sharma et al. 2021), rebuilt from the paper: SegNet's road with attention at every scale and an edge channel.

There is no published code; the layout is the one that has exactly as many parameters as the paper prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import models
from models.parts.options import check_choices, check_vgg, require


@dataclass(frozen=True)
class Options:
    """Published: width 64, attention on; 29,463,044 parameters with 5 levels, 15,304,184 with 4."""

    width: int  # channels of the first block
    levels: Literal[4, 5]
    attention: bool
    # The fourth channel of the input, −1 or 1: "none" is 0 everywhere, "sobel" is 1 where the mean of RGB in [0, 1]
    # rises by more than edge_threshold (see `models.networks.scnet.sobel_edges`), "input" takes it from the caller,
    # whose batches are then N×4×H×W, the last channel in [0, 1]. The paper takes it from HED, a trained network.
    edges: Literal["none", "sobel", "input"]
    edge_threshold: float
    encoder: str  # "none", "hed", or a file with torchvision's vgg16; its first layer knows nothing of edges
    # Published: instance norm, pooling by maxima whose places lead back up, Xavier's first weights. Behind pooling by
    # means each pixel is repeated on the way up.
    norm: Literal["instance", "batch", "none"]
    pool: Literal["max", "average"]
    init: Literal["xavier", "he", "orthogonal", "uniform"]  # uniform: torch's own

    def __post_init__(self) -> None:
        check_choices(self)
        check_vgg(self, self.width)
        require(self, "encoder", self.encoder != "imagenet", "'none', 'hed', the path of a file")
        require(self, "edge_threshold", self.edge_threshold >= 0, "at least 0")


def build(options: Options, *, pixels: str, weights: models.Weights | None = None) -> models.PaddedSegmenter:
    from models.networks.scnet import EdgeChannel, SCNet, load_encoder
    from models.parts.pretrained import given_weights
    from models.parts.wrapper import PaddedSegmenter

    entry = EdgeChannel(options.edges, options.edge_threshold, pixels)
    kinds = {"norm": options.norm, "pool": options.pool, "init": options.init}
    network = SCNet(entry, options.width, options.levels, options.attention, **kinds)
    found = given_weights(options.encoder, weights)
    if found is not None:
        load_encoder(network, found)
    return PaddedSegmenter(network, size_divisor=32, pixels="unit")  # the entry wants [0, 1]
