"""CGNet (Wu et al. 2018), the network of half a million parameters that crack_gauge trains on two classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-3
DILATIONS = (2, 4)  # of the surroundings, in stages 2 and 3
REDUCTIONS = (8, 16)  # of the channels inside the global context


class CGNet(nn.Module):
    """N×3×H×W → [N×1×H×W logits]; H and W are multiples of 8."""

    def __init__(self, width: int, m: int, n: int) -> None:
        super().__init__()
        second, third = 2 * width, 4 * width
        self.stem = nn.Sequential(
            *convolution(3, width, 3, stride=2), *convolution(width, width, 3), *convolution(width, width, 3)
        )
        self.shrink = nn.AvgPool2d(3, stride=2, padding=1)
        self.norms = nn.ModuleList(norm_prelu(channels) for channels in (width + 3, 2 * second + 3, 2 * third))
        self.stage2 = stage(width + 3, second, m, DILATIONS[0], REDUCTIONS[0])
        self.stage3 = stage(2 * second + 3, third, n, DILATIONS[1], REDUCTIONS[1])
        self.classes = nn.Conv2d(2 * third, 2, 1)
        self.apply(initialise)

    def two_logits(self, batch: Tensor) -> Tensor:
        """N×2×H/8×W/8: background and crack."""
        half = self.shrink(batch)
        quarter = self.shrink(half)
        x = self.norms[0](torch.cat([self.stem(batch), half], dim=1))
        first, last = through(self.stage2, x)
        x = self.norms[1](torch.cat([last, first, quarter], dim=1))
        first, last = through(self.stage3, x)
        logits: Tensor = self.classes(self.norms[2](torch.cat([first, last], dim=1)))  # the other order than above
        return logits

    def forward(self, batch: Tensor) -> list[Tensor]:
        logits = self.two_logits(batch).float()
        difference = logits[:, 1:] - logits[:, :1]  # first: enlarging is linear, and one map costs half of two
        return [F.interpolate(difference, size=batch.shape[-2:], mode="bilinear", align_corners=False)]


def through(blocks: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """What the first block and what the last one says."""
    first = x = blocks[0](x)
    return first, blocks[1:](x)


def stage(inside: int, outside: int, count: int, dilation: int, reduction: int) -> nn.Sequential:
    """A block that halves the image, then count − 1 blocks that keep its size."""
    kept = [ContextBlock(outside, outside, dilation, reduction, halves=False) for _ in range(count - 1)]
    return nn.Sequential(ContextBlock(inside, outside, dilation, reduction, halves=True), *kept)


class ContextBlock(nn.Module):
    """Context-guided block: each pixel with its neighbours and its wider surroundings, weighed by the whole image.

    One that halves works on `outside` channels, joins twice as many by a 1×1 convolution and adds nothing; one that
    keeps the size works on half of them and adds its input.
    """

    def __init__(self, inside: int, outside: int, dilation: int, reduction: int, *, halves: bool) -> None:
        super().__init__()
        channels = outside if halves else outside // 2
        self.halves = halves
        entry = convolution(inside, channels, 3, stride=2) if halves else convolution(inside, channels, 1)
        self.entry = nn.Sequential(*entry)
        self.local = Depthwise(channels, 1)
        self.surrounding = Depthwise(channels, dilation)
        self.joint = norm_prelu(2 * channels)
        self.reduce = nn.Conv2d(2 * channels, outside, 1, bias=False) if halves else nn.Identity()
        self.context = GlobalContext(outside, outside // reduction)

    def forward(self, x: Tensor) -> Tensor:
        y = self.entry(x)
        y = self.joint(torch.cat([self.local(y), self.surrounding(y)], dim=1))
        out: Tensor = self.context(self.reduce(y))
        return out if self.halves else x + out


class GlobalContext(nn.Module):
    """Each channel times a weight in (0, 1) that two dense layers read from the means of all channels."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(nn.Linear(channels, middle), nn.ReLU(), nn.Linear(middle, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.weigh(x.mean(dim=(2, 3)))
        return x * weights[:, :, None, None]


def convolution(inside: int, outside: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Convolution without bias, batch norm, PReLU with a slope for each channel."""
    layer = nn.Conv2d(inside, outside, kernel, stride=stride, padding=kernel // 2, bias=False)
    return [layer, *norm_prelu(outside)]


def norm_prelu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps=NORM_EPSILON), nn.PReLU(channels))


class Depthwise(nn.Conv2d):
    """3×3 on each channel by itself, always computed in float32.

    On processors torch 2.15 fills the gradient of the weights with whatever lies in memory when
    such a convolution is dilated, in bfloat16 and laid out channels last: trainings end in NaN.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__(channels, channels, 3, padding=dilation, dilation=dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            wide = F.conv2d(x.float(), self.weight.float(), None, 1, self.padding, self.dilation, self.groups)
        return wide.to(x.dtype)


def initialise(module: nn.Module) -> None:
    """N(0, √(2 / outputs of a neuron)); the last layer, which has a bias, N(0, 0.01): no class is likely at first."""
    if isinstance(module, nn.Conv2d):
        if module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
