"""Local evidence: a small network whose every answer sees few pixels, so that none is beside a crack.

The idea of BagNets (Brendel and Bethge 2019) and of localization by pooled scores (Oquab and others 2015): trained on
yes/no answers for patches (labels = "answers"), its map is the localization. It can be trained on pixels as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.parts.options import require

if TYPE_CHECKING:
    import models


@dataclass(frozen=True)
class Options:
    """With channels 24, 48, 96 and one block each answer sees 21 px; every further block adds 8."""

    channels: list[int]  # at full, half and quarter resolution
    blocks: int  # residual blocks at quarter resolution

    def __post_init__(self) -> None:
        require(self, "channels", len(self.channels) == 3 and min(self.channels) >= 1, "three numbers, each at least 1")
        require(self, "blocks", self.blocks >= 0, "at least 0")


def build(options: Options, *, pixels: str) -> models.PaddedSegmenter:
    from models.networks.local_evidence import STRIDE, LocalEvidence
    from models.parts.wrapper import PaddedSegmenter

    return PaddedSegmenter(LocalEvidence(options.channels, options.blocks), size_divisor=STRIDE, pixels=pixels)
