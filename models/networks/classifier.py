"""Classifiers, ResNets and EfficientNet-Lites, cut in two: features, and the head that pools and judges them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torchvision
from torch import Tensor, nn

from models.parts import pretrained
from models.parts.efficientnet_lite import TOP, Top, load_published
from models.parts.options import LITE_FACTORS
from models.parts.wrapper import Normalise

BN_MOMENTUM = 0.1  # torch's, and that of the ResNets here
DENSE_UNITS = 1000  # of the authors' code, not a knob: its name is part of the choice `dense1000`


class Classifier(nn.Module):
    """N×3×H×W, RGB in [0, 1] → N×2 logits; class 1 is crack. Any size from 32 px."""

    def __init__(self, trunk: nn.Module, head: nn.Module, *, pixels: str) -> None:
        super().__init__()
        self.normalise = Normalise(pixels)
        self.trunk = trunk
        self.head = head

    def features(self, batch: Tensor) -> Tensor:
        """N×C×⌈H/32⌉×⌈W/32⌉, all ≥ 0: the output of the last stage."""
        features: Tensor = self.trunk(self.normalise(batch))
        return features

    def forward(self, batch: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(batch))
        return logits


def build(arch: str, *, head: str, weights: str | Mapping[str, Tensor], pixels: str) -> Classifier:
    """See `models.build_classifier`. head: "linear", or "dense1000" (Dense 1000 ReLU, Dense 2)."""
    trunk, channels = lite_trunk(arch, weights) if arch in LITE_FACTORS else resnet_trunk(arch, weights)
    return Classifier(trunk, build_head(head, channels), pixels=pixels)


def resnet_trunk(arch: str, weights: str | Mapping[str, Tensor]) -> tuple[nn.Module, int]:
    """(all but the pooling and the last layer, with torchvision's names, so that its weights fit; channels)"""
    full = torchvision.models.get_model(arch, weights=None)
    kept = [(name, child) for name, child in full.named_children() if name not in ("avgpool", "fc")]
    trunk = nn.Sequential(OrderedDict(kept))  # keeps torchvision's names, so its weights fit
    if weights != "none":
        found = pretrained.imagenet_weights(arch, knob="weights") if isinstance(weights, str) else weights
        pretrained.fill_trunk(trunk, found)
    return trunk, full.fc.in_features


def lite_trunk(arch: str, weights: str | Mapping[str, Tensor]) -> tuple[nn.Module, int]:
    trunk = Top(arch, BN_MOMENTUM)
    if not isinstance(weights, str):
        load_published(trunk, weights, arch)
    return trunk, TOP


def build_head(head: str, channels: int) -> nn.Module:
    pooled: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    if head == "linear":
        return nn.Sequential(*pooled, nn.Linear(channels, 2))
    if head == "dense1000":
        return nn.Sequential(*pooled, nn.Linear(channels, DENSE_UNITS), nn.ReLU(), nn.Linear(DENSE_UNITS, 2))
    raise ValueError(f"head {head!r}; allowed: 'linear', 'dense1000'")
