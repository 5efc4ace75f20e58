"""SCNet (Sharma et al. 2021): SegNet's road with attention at every scale and an edge channel."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import vgg
from models.parts.options import PUBLISHED_WIDTH
from models.parts.vgg import CONVOLUTIONS, stage_widths
from models.parts.wrapper import Normalise


class EdgeChannel(nn.Module):
    """N×3×H×W (N×4×H×W for "input") in [0, 1] → N×4×H×W: normalised RGB, then edges from −1 (none) to 1."""

    def __init__(self, edges: str, threshold: float, pixels: str) -> None:
        super().__init__()
        self.edges, self.threshold = edges, threshold
        self.normalise = Normalise(pixels)

    def forward(self, batch: Tensor) -> Tensor:
        channels = 4 if self.edges == "input" else 3
        if batch.shape[1] != channels:
            raise ValueError(f"a batch of {batch.shape[1]} channels; edges {self.edges!r} want {channels}")
        rgb = batch[:, :3]
        if self.edges == "none":
            edges = torch.zeros_like(rgb[:, :1])
        elif self.edges == "sobel":
            edges = sobel_edges(rgb, self.threshold)
        else:
            edges = 2 * batch[:, 3:] - 1
        return torch.cat([self.normalise(rgb), edges], dim=1)


def sobel_edges(rgb: Tensor, threshold: float) -> Tensor:
    """N×1×H×W, 1 where the mean of the channels has a gradient above the threshold, else −1; the border is repeated.

    The gradient is Sobel's divided by 4: both pixels beside an upright or level step of height h measure h.
    """
    grey = F.pad(rgb.float().mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    right = grey[..., 2:] - grey[..., :-2]
    down = grey[..., 2:, :] - grey[..., :-2, :]
    across = (right[..., :-2, :] + 2 * right[..., 1:-1, :] + right[..., 2:, :]) / 4
    along = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 4
    steep = across.square() + along.square() > threshold**2
    return steep.to(rgb.dtype) * 2 - 1


class SCNet(nn.Module):
    """N×3×H×W (or N×4, see `EdgeChannel`) → [fused, scale 1 … scale n], logits N×1×H×W; H and W multiples of 32.

    Scale n is 2ⁿ⁻¹ times smaller than the image. Attention is a side road: the blocks pass their features on as
    they are, and only the maps that it makes of them go to the fusion.
    """

    def __init__(
        self, entry: nn.Module, width: int, levels: int, attention: bool, *, norm: str, pool: str, init: str
    ) -> None:
        super().__init__()
        widths = stage_widths(width)[:levels]
        self.entry, self.pool = entry, pool
        self.down = nn.ModuleList(
            convolutions([inside, *[outside] * count], norm, init)
            for inside, outside, count in zip([4, *widths], widths, CONVOLUTIONS, strict=False)
        )
        ends = [widths[0], *widths[:-1]]  # a decoder's block ends as wide as the block that it hands over to
        self.up = nn.ModuleList(
            convolutions([*[inside] * count, end], norm, init)
            for inside, end, count in zip(widths, ends, CONVOLUTIONS, strict=False)
        )
        self.down_map = nn.ModuleList(ScaleMap(channels, attention, init) for channels in widths)
        self.up_map = nn.ModuleList(ScaleMap(channels, attention, init) for channels in ends)
        self.fuse = nn.ModuleList(nn.Conv2d(scale + 1, 1, 1) for scale in range(1, levels + 1))
        self.enlarge = nn.ModuleList(bilinear_deconvolution(2**level) for level in range(levels))
        self.final = nn.Conv2d(levels, 1, 1)

    def forward(self, batch: Tensor) -> list[Tensor]:
        x, gathered, places = self.encode(self.entry(batch))
        maps: list[Tensor] = []
        for level in reversed(range(len(self.up))):
            x = self.up[level](enlarged(x, places[level]))
            fused = self.fuse[level](torch.cat([gathered[level], self.up_map[level](x)], dim=1))
            maps.insert(0, self.enlarge[level](fused))
        return [self.final(torch.cat(maps, dim=1)), *maps]

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
        """The deepest features; of each scale n the n maps up to there; where each maximum was, if pooled by these."""
        gathered: list[Tensor] = []
        places: list[Tensor | None] = []
        for block, attend in zip(self.down, self.down_map, strict=True):
            x = block(x)
            above = [F.max_pool2d(gathered[-1], 2)] if gathered else []
            gathered.append(torch.cat([*above, attend(x)], dim=1))
            x, place = F.max_pool2d(x, 2, return_indices=True) if self.pool == "max" else (F.avg_pool2d(x, 2), None)
            places.append(place)
        return x, gathered, places


def enlarged(x: Tensor, places: Tensor | None) -> Tensor:
    """Twice as high and wide: each value where its maximum was and 0 elsewhere, or repeated four times."""
    return F.interpolate(x, scale_factor=2.0) if places is None else F.max_unpool2d(x, places, [2, 2])


def load_encoder(network: SCNet, weights: Mapping[str, Tensor]) -> None:
    """The convolutions of VGG-16 on the way down, without biases; of the first one's channels the edges keep theirs."""
    stages = vgg.encoder_stages(PUBLISHED_WIDTH, norm=None, bias=False)
    vgg.load_encoder(stages, weights)
    with torch.no_grad():
        for block, stage in zip(network.down, stages, strict=False):
            ours = [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)]
            theirs = [layer for layer in stage.modules() if isinstance(layer, nn.Conv2d)]
            for layer, given in zip(ours, theirs, strict=True):
                layer.weight[:, : given.in_channels] = given.weight


class ScaleMap(nn.Module):
    """N×C×h×w features F → N×1×h×w: V(σ(W F) · F), W and V 1×1 to one channel; without attention V F."""

    def __init__(self, channels: int, attention: bool, init: str) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, 1, 1) if attention else None
        self.shrink = nn.Conv2d(channels, 1, 1)
        for layer in (self.weigh, self.shrink):
            if layer is not None:
                initialise(layer, init)

    def forward(self, features: Tensor) -> Tensor:
        if self.weigh is not None:
            features = features * self.weigh(features).sigmoid()
        out: Tensor = self.shrink(features)
        return out


class ImageNorm(nn.Module):
    """Instance norm without weights: each channel of each image less its mean over its standard deviation.

    nn.InstanceNorm2d gives the same, but copies a batch laid out channels last twice, which costs a processor a
    third of the training of this network; batch norm of one image at a time does not.
    """

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([F.batch_norm(image, None, None, training=True) for image in x.chunk(len(x))])


def convolutions(channels: list[int], norm: str, init: str) -> nn.Sequential:
    """3×3 convolution without bias, normalisation if any, ReLU, from each number of channels to the next."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(channels):
        layer = nn.Conv2d(inside, outside, 3, padding=1, bias=False)
        initialise(layer, init)
        layers += [layer, normalisation(norm, outside), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def normalisation(norm: str, channels: int) -> nn.Module:
    return {"instance": ImageNorm(), "batch": nn.BatchNorm2d(channels), "none": nn.Identity()}[norm]


def initialise(layer: nn.Conv2d, init: str) -> None:
    if init == "xavier":
        nn.init.xavier_normal_(layer.weight)
    elif init == "he":
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    elif init == "orthogonal":
        nn.init.orthogonal_(layer.weight)


def bilinear_deconvolution(stride: int) -> nn.ConvTranspose2d:
    """Enlarges one channel `stride` times, at first bilinearly; for stride 1 it is a factor."""
    if stride == 1:
        layer = nn.ConvTranspose2d(1, 1, 1, bias=False)
        nn.init.ones_(layer.weight)
        return layer
    layer = nn.ConvTranspose2d(1, 1, 2 * stride, stride=stride, padding=stride // 2, bias=False)
    ramp = 1 - (torch.arange(2 * stride) + 0.5 - stride).abs() / stride
    with torch.no_grad():
        layer.weight.copy_(ramp[:, None] * ramp)
    return layer
