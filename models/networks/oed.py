"""OED (König et al. 2021): an EfficientNet down, residual blocks up, and a judgement at every scale."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import efficientnet
from models.parts.vgg import Norm, he_normal
from models.parts.wrapper import PaddedSegmenter

SIZE_DIVISOR = 32
SCALES = 5  # the decoder doubles the image that often, and halves its channels each time
SMALLEST = 1e-30  # a probability that still has a logarithm and a finite gradient in 32 bits


def build(
    *,
    width: float,
    depth: float,
    decoder_width: int,
    drop_connect: float,
    bn_momentum: float,
    encoder: str | Mapping[str, Tensor],
    pixels: str,
) -> PaddedSegmenter:
    """OED with four side outputs.

    width and depth are EfficientNet's own factors of channels and blocks: 1.6 and 2.2 (B5) as published,
    1 and 1 for B0. decoder_width: channels of the deepest decoder block, a multiple of 16, 256 as published
    (together 39,650,581 parameters). drop_connect: see `models.parts.efficientnet.Encoder`, 0.2 as published.
    bn_momentum: share of the new value in the running statistics, 0.01 as published; a training of a few
    hundred steps needs a larger one, or it ends with the statistics of its beginning. encoder: see
    `models.parts.efficientnet.load_encoder`.
    """
    if width <= 0 or depth <= 0:
        raise ValueError(f"width {width} and depth {depth}; both must be above 0")
    if decoder_width < 1 or decoder_width % 2 ** (SCALES - 1):
        raise ValueError(f"decoder_width {decoder_width}; allowed: multiples of {2 ** (SCALES - 1)}")
    if not 0 <= drop_connect < 1:
        raise ValueError(f"drop_connect {drop_connect}; allowed: from 0 to below 1")
    if not 0 < bn_momentum <= 1:
        raise ValueError(f"bn_momentum {bn_momentum}; allowed: above 0, up to 1")
    backbone = efficientnet.Encoder(width, depth, drop_connect, bn_momentum)
    network = OED(backbone, decoder_width, efficientnet.batch_norm(bn_momentum))
    efficientnet.load_encoder(network.encoder, encoder, width=width, depth=depth)
    return PaddedSegmenter(network, size_divisor=SIZE_DIVISOR, pixels=pixels)


class OED(nn.Module):
    """N×3×H×W → [main, side at 1/2, 1/4, 1/8, 1/16], each N×1×H×W logits; H and W are multiples of 32."""

    def __init__(self, encoder: efficientnet.Encoder, decoder_width: int, norm: Norm) -> None:
        super().__init__()
        *skips, below = encoder.channels
        *widths, thin = [decoder_width // 2**scale for scale in range(SCALES)]
        self.decoder = nn.ModuleList(
            DecoderBlock(deep + skip, width, norm)
            for deep, skip, width in zip([below, *widths], reversed(skips), widths, strict=False)
        )
        self.sides = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)
        self.fine = two_convolutions(3, thin, norm)  # looks at the image itself
        self.last = two_convolutions(widths[-1] + thin, thin, norm)
        self.head = nn.Conv2d(thin, 1, 3, padding=1)
        self.apply(he_normal)
        self.encoder = encoder  # only now: it comes with its own first weights

    def forward(self, batch: Tensor) -> list[Tensor]:
        *skips, x = self.encoder(batch)
        sides: list[Tensor] = []
        for block, side in zip(self.decoder, self.sides, strict=True):
            x = block(torch.cat([double(x), skips.pop()], dim=1))
            sides.insert(0, mean_probability(side(x), batch.shape[-2:]))
        x = self.last(torch.cat([double(x), self.fine(batch)], dim=1))
        return [self.head(x), *sides]


class DecoderBlock(nn.Sequential):
    """Fewer channels, then two residual blocks."""

    def __init__(self, inside: int, width: int, norm: Norm) -> None:
        super().__init__(convolution(inside, width, norm), ResidualBlock(width), ResidualBlock(width))


class ResidualBlock(nn.Module):
    """x + ReLU(3×3(ReLU(3×3(x)))): nothing is normalised, nothing follows the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.second(F.relu(self.first(x))))


def convolution(inside: int, outside: int, norm: Norm) -> nn.Sequential:
    """3×3 convolution without bias, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        norm(outside),
        nn.ReLU(inplace=True),
    )


def two_convolutions(inside: int, outside: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(convolution(inside, outside, norm), convolution(outside, outside, norm))


def double(x: Tensor) -> Tensor:
    """Twice the height and width, every pixel repeated."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def mean_probability(logits: Tensor, size: torch.Size) -> Tensor:
    """Logits of the probabilities enlarged (bilinear), which are not the logits enlarged; float32.

    logit p̄ = log p̄ − log(1 − p̄), and since the weights of an enlargement sum to 1, 1 − p̄ is the enlarged
    1 − p = σ(−logit): so no probability near 1 is lost to rounding, and gradients do not vanish there.
    """
    crack, other = (
        F.interpolate(torch.sigmoid(sign * logits.float()), size=size, mode="bilinear", align_corners=False)
        for sign in (1, -1)
    )
    return crack.clamp_min(SMALLEST).log() - other.clamp_min(SMALLEST).log()
