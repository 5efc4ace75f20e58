"""DeepCrack (Zou et al. 2018): VGG-16 down, its mirror image up, and a judgement of every pixel at each scale."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.parts import vgg


class DeepCrack(nn.Module):
    """N×3×H×W → [final, scale 1, …, scale 5], each N×1×H×W logits; scale k is made at 1/2^(k−1) of the size."""

    def __init__(self, width: int, norm: str, fusion: str) -> None:
        super().__init__()
        widths = vgg.stage_widths(width)
        above = [width, *widths[:-1]]  # what the decoder of a scale hands up
        layer = nn.BatchNorm2d if norm == "batch" else None
        self.down = vgg.encoder_stages(width, norm=layer, bias=True)
        self.up = nn.ModuleList(
            vgg.convolutions([*[deep] * count, flat], norm=layer, bias=True)
            for deep, flat, count in zip(widths, above, vgg.CONVOLUTIONS, strict=True)
        )
        kind: type[CodeFusion | PaperFusion] = CodeFusion if fusion == "code" else PaperFusion
        self.fusions = nn.ModuleList(
            kind(deep + flat, width, 2**scale) for scale, (deep, flat) in enumerate(zip(widths, above, strict=True))
        )
        kernel = 3 if fusion == "code" else 1
        self.last = nn.Conv2d(len(widths), 1, kernel, padding=kernel // 2)
        self.apply(vgg.he_normal)

    def forward(self, batch: Tensor) -> list[Tensor]:
        x, features, places = batch, [], []
        for block in self.down:
            features.append(block(x))
            x, place = F.max_pool2d(features[-1], 2, return_indices=True)
            places.append(place)
        scales = []
        for block, fusion in zip(reversed(self.up), reversed(self.fusions), strict=True):
            encoded = features.pop()
            # Every value returns to the pixel that it was the maximum of, all others are 0.
            x = block(F.max_unpool2d(x, places.pop(), (2, 2), output_size=encoded.shape[-2:]))
            scales.append(fusion(torch.cat([encoded, x], dim=1)))
        return [self.last(torch.cat(scales, dim=1)), *reversed(scales)]


class CodeFusion(nn.Module):
    """Enlarge all channels (bilinear, pixel centres kept), 3×3 to `width`, ReLU, 3×3 to one logit."""

    def __init__(self, inside: int, width: int, times: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(inside, width, 3, padding=1)
        self.judge = nn.Conv2d(width, 1, 3, padding=1)
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x) if self.times == 1 else enlarge_and_mix(x, self.mix, self.times)
        logits: Tensor = self.judge(F.relu(mixed, inplace=True))
        return logits


def enlarge_and_mix(x: Tensor, mix: nn.Conv2d, times: int) -> Tensor:
    """mix(enlarged x) without ever holding the enlarged x, which at 512×512 takes 1 GiB for one image.

    With E_y, E_x for the enlargement along an axis and S_i, S_j for a shift that lets zeros in,
        mix(E_y E_x x) = bias + Σ_i S_i E_y Σ_j S_j E_x (w_ij x),
    because weighing channels commutes with all that moves pixels: equal but for rounding, and the weighing,
    nearly all of the work, is done on the small map. Only x is kept for the gradient.
    """
    outside, inside = mix.weight.shape[:2]
    pointwise = mix.weight.permute(2, 3, 0, 1).reshape(9 * outside, inside, 1, 1)
    weighed = F.conv2d(x, pointwise)
    wide = F.interpolate(weighed, scale_factor=(1, times), mode="bilinear", align_corners=False)
    left, centre, right = wide.view(len(x), 3, 3, outside, *wide.shape[2:]).unbind(2)
    row_sums = (F.pad(left, (1, -1)) + centre + F.pad(right, (-1, 1))).flatten(1, 2)
    tall = F.interpolate(row_sums, scale_factor=(times, 1), mode="bilinear", align_corners=False)
    above, centre, below = tall.view(len(x), 3, outside, *tall.shape[2:]).unbind(1)
    sums = F.pad(above, (0, 0, 1, -1)) + centre + F.pad(below, (0, 0, -1, 1))
    if mix.bias is not None:
        sums = sums + mix.bias.view(-1, 1, 1).to(sums.dtype)
    return sums


class PaperFusion(nn.Module):
    """1×1 to one logit, enlarged (bilinear: what the paper's transposed convolution starts from)."""

    def __init__(self, inside: int, _width: int, times: int) -> None:
        super().__init__()
        self.judge = nn.Conv2d(inside, 1, 1)
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.judge(x), scale_factor=self.times, mode="bilinear", align_corners=False)
