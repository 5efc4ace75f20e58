"""EfficientNet-Lite (Google 2020): EfficientNet without squeeze-and-excitation, with ReLU6, TensorFlow's borders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from models.parts.efficientnet import STAGES, HalvingConvolution, batch_norm, initialise
from models.parts.options import LITE_FACTORS
from models.parts.pretrained import fill

STEM, TOP = 32, 1280  # channels, the same in every member
# What the published files call their tensors, and where ours lie.
_PUBLISHED = (
    (r"^_conv_stem\.", "stem.0."),
    (r"^_bn0\.", "stem.1."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.0."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.1."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.0."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.1."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.0."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.1."),
    (r"^_conv_head\.", "widen.0."),
    (r"^_bn1\.", "widen.1."),
)


class EfficientNetLite(nn.Module):
    """N×3×H×W → five maps, the last of each size from ⌈1/2⌉ to ⌈1/32⌉; `channels` are theirs."""

    def __init__(self, member: str, bn_momentum: float) -> None:
        super().__init__()
        convolution = partial(_convolution, norm=batch_norm(bn_momentum))
        width, depth = LITE_FACTORS[member]
        self.stem = convolution(3, STEM, kernel=3, stride=2)
        blocks: list[Block] = []
        inside, last = STEM, len(STAGES) - 1
        for number, (expansion, kernel, stride, _, outside, count) in enumerate(STAGES):
            channels = scaled(outside, width)
            repeats = count if number in (0, last) else -int(-count * depth // 1)  # the ends are never made deeper
            for place in range(repeats):
                blocks.append(Block(inside, channels, expansion, kernel, stride if place == 0 else 1, convolution))
                inside = channels
        self.blocks = nn.ModuleList(blocks)
        self.tapped = [*(number - 1 for number, block in enumerate(blocks) if block.stride == 2), len(blocks) - 1]
        self.channels = [blocks[number].outside for number in self.tapped]
        self.apply(initialise)

    def forward(self, batch: Tensor) -> list[Tensor]:
        maps, x = [], self.stem(batch)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.tapped:
                maps.append(x)
        return maps


class Top(nn.Module):
    """N×3×H×W → N×1280×⌈H/32⌉×⌈W/32⌉, all ≥ 0: the encoder's last map, widened for a classifier."""

    def __init__(self, member: str, bn_momentum: float) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(member, bn_momentum)
        self.widen = _convolution(self.encoder.channels[-1], TOP, norm=batch_norm(bn_momentum), kernel=1)
        self.widen.apply(initialise)

    def forward(self, batch: Tensor) -> Tensor:
        widened: Tensor = self.widen(self.encoder(batch)[-1])
        return widened


class Block(nn.Module):
    """1×1 to `expansion` times the channels (none at 1), depthwise k×k, 1×1 without ReLU; plus its input if alike."""

    def __init__(
        self, inside: int, outside: int, expansion: int, kernel: int, stride: int, convolution: Callable[..., nn.Module]
    ) -> None:
        super().__init__()
        wide = inside * expansion
        self.stride, self.outside = stride, outside
        self.adds = stride == 1 and inside == outside
        self.expand = convolution(inside, wide, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = convolution(wide, wide, kernel=kernel, stride=stride, groups=wide)
        self.project = convolution(wide, outside, kernel=1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.adds else y


def _convolution(
    inside: int,
    outside: int,
    *,
    norm: Callable[[int], nn.Module],
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
) -> nn.Sequential:
    """Without bias, padded to ⌈size / stride⌉; batch norm; ReLU6 if asked for."""
    convolve: nn.Module = (
        HalvingConvolution(inside, outside, kernel, stride=2, groups=groups, bias=False)
        if stride == 2
        else nn.Conv2d(inside, outside, kernel, padding=kernel // 2, groups=groups, bias=False)
    )
    layers = [convolve, norm(outside)]
    return nn.Sequential(*layers, nn.ReLU6(inplace=True)) if relu else nn.Sequential(*layers)


def scaled(channels: int, width: float) -> int:
    """The nearest multiple of 8 to channels · width, but at least 90 % of it."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


def load_published(network: EfficientNetLite | Top, weights: Mapping[str, Tensor], member: str) -> None:
    """The tensors of a published file, all but its 1000 classes; any other difference is an error."""
    topped = isinstance(network, Top)
    left_out = ("_fc.",) if topped else ("_fc.", "_conv_head.", "_bn1.")
    given = {ours(name): tensor for name, tensor in weights.items() if not name.startswith(left_out)}
    if topped:
        given = {name if name.startswith("widen.") else f"encoder.{name}": tensor for name, tensor in given.items()}
    fill(network.state_dict(), given, source=f"the published state dict of EfficientNet-Lite, {member}")


def ours(name: str) -> str:
    for pattern, place in _PUBLISHED:
        name = re.sub(pattern, place, name)
    return name
