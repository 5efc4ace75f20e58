"""ResNets (He et al. 2016) as encoders of segmenters: the features of every stage, of any width, dilated or not."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from models.parts import pretrained
from models.parts.options import TRUNKS, trunk_channels

DENSE = ((1, 1), (2, 1), (1, 2), (1, 4))  # stride and dilation of the four stages, 1/8 of the image at the end
STRIDED = ((1, 1), (2, 1), (2, 1), (2, 1))  # 1/32 at the end


class ResNetStages(nn.Module):
    """N×3×H×W → the five feature maps of `channels` channels: behind the first ReLU (H/2) and the four stages.

    The stages are at 1/4, 1/8, 1/16, 1/32 of the image; dilated ones at 1/4, 1/8, 1/8, 1/8, where the first
    block of a stage is not dilated. The names of the weights are torchvision's.
    """

    def __init__(self, trunk: str, width: int, *, dilated: bool) -> None:
        super().__init__()
        kind, counts = TRUNKS[trunk]
        block = BasicBlock if kind == "basic" else Bottleneck
        self.channels = trunk_channels(trunk, width)
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inside = width
        for stage, (count, (stride, dilation)) in enumerate(zip(counts, DENSE if dilated else STRIDED, strict=True)):
            planes, outside = width * 2**stage, self.channels[stage + 1]
            blocks = [block(inside, planes, stride, projection(inside, outside, stride))]
            blocks += [dilate(block(outside, planes), dilation) for _ in range(count - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            inside = outside
        self.apply(initialise)

    def forward(self, batch: Tensor) -> list[Tensor]:
        features = [self.relu(self.bn1(self.conv1(batch)))]
        x = self.maxpool(features[0])
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            features.append(x)
        return features


def dilate(block: nn.Module, dilation: int) -> nn.Module:
    """Its 3×3 convolutions dilated, which torchvision allows in one of the two kinds of block only."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.dilation = layer.padding = dilation, dilation
    return block


def projection(inside: int, outside: int, stride: int) -> nn.Module | None:
    """What makes the input of a block fit its output; nothing where it fits already."""
    if stride == 1 and inside == outside:
        return None
    return nn.Sequential(nn.Conv2d(inside, outside, 1, stride=stride, bias=False), nn.BatchNorm2d(outside))


def initialise(module: nn.Module) -> None:
    """N(0, √(2 / outputs of a neuron)), as ResNets start."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def build_trunk(trunk: str, width: int, *, dilated: bool, encoder: str | Mapping[str, Tensor]) -> ResNetStages:
    """`width` channels behind the first convolution (64 in all published ResNets), from random or given weights.

    `encoder` is "none", "imagenet", or a state dict with torchvision's names, whose `fc` is left out.
    """
    stages = ResNetStages(trunk, width, dilated=dilated)
    weights = pretrained.encoder_weights(encoder, trunk)
    if weights is not None:
        pretrained.fill_trunk(stages, weights)
    return stages
