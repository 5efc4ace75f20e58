"""OED (König et al. 2021): an EfficientNet down, residual blocks up, and a judgement at every scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import efficientnet
from models.parts.vgg import Norm, convolutions, he_normal

SCALES = 5  # the decoder doubles the image that often, and halves its channels each time
SMALLEST = 1e-30  # a probability that still has a logarithm and a finite gradient in 32 bits


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
        self.fine = convolutions([3, thin, thin], norm=norm, bias=False)  # looks at the image itself
        self.last = convolutions([widths[-1] + thin, thin, thin], norm=norm, bias=False)
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
        entry = convolutions([inside, width], norm=norm, bias=False)
        super().__init__(*entry, ResidualBlock(width), ResidualBlock(width))


class ResidualBlock(nn.Module):
    """x + ReLU(3×3(ReLU(3×3(x)))): nothing is normalised, nothing follows the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.second(F.relu(self.first(x))))


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
