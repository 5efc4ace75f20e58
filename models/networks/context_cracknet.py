"""Context-CrackNet (Kyem et al. 2025): a ResNet with attention over the whole image and gated skips."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.networks.unet import two_convolutions
from models.parts.resnet_stages import ResNetStages

TOKEN_PX = 16  # side of the square of the image that a token stands for
FEED_FORWARD = 2  # hidden channels of the dense layers behind the attention, in channels of a token

Attention = tuple[tuple[int, int], int, int, float]  # rows and columns of tokens, heads, rank, dropout


class ContextCrackNet(nn.Module):
    """N×3×H×W → [N×1×H×W logits]; H and W are multiples of 32."""

    def __init__(self, trunk: ResNetStages, attention: Attention | None, rfem: bool) -> None:
        super().__init__()
        self.trunk = trunk
        flat_to_deep = self.trunk.channels
        upwards = list(zip(flat_to_deep[:0:-1], flat_to_deep[-2::-1], strict=True))
        self.cagm = None if attention is None else ContextBlock(flat_to_deep[3], *attention)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(deep, flat, 2, stride=2) for deep, flat in upwards)
        self.gates = nn.ModuleList(Gate(flat) for _, flat in upwards) if rfem else None
        self.up = nn.ModuleList(two_convolutions(2 * flat, flat, "batch") for _, flat in upwards)
        self.head = nn.Conv2d(flat_to_deep[0], 1, 1)

    def forward(self, batch: Tensor) -> list[Tensor]:
        *skips, x = self.trunk(batch)
        if self.cagm is not None:
            skips[3] = self.cagm(skips[3])
        for level, (grow, block) in enumerate(zip(self.grow, self.up, strict=True)):
            x, skip = grow(x), skips.pop()
            if self.gates is not None:
                skip = self.gates[level](skip, x)
            x = block(torch.cat([skip, x], dim=1))
        return [F.interpolate(self.head(x).float(), size=batch.shape[-2:], mode="bilinear", align_corners=False)]


class ContextBlock(nn.Module):
    """CAGM: attention between all pixels of a feature map, then two dense layers, each added to its input."""

    def __init__(self, channels: int, grid_hw: tuple[int, int], heads: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.attention = LinformerAttention(channels, grid_hw, heads, rank, dropout)
        self.before_attention = nn.LayerNorm(channels)
        self.before_dense = nn.LayerNorm(channels)
        self.dense = nn.Sequential(
            nn.Linear(channels, FEED_FORWARD * channels),
            nn.ReLU(inplace=True),
            nn.Linear(FEED_FORWARD * channels, channels),
            nn.Dropout(dropout),
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        x: Tensor = features.flatten(2).transpose(1, 2)  # N × tokens × channels
        x = x + self.drop(self.attention(self.before_attention(x), (height, width)))
        x = x + self.drop(self.dense(self.before_dense(x)))
        return x.transpose(1, 2).reshape(features.shape)


class LinformerAttention(nn.Module):
    """softmax(Q(EᵀK)ᵀ/√d)(FᵀV) for each head of d channels (Wang et al. 2020): E and F, tokens × rank, turn the keys
    and values of all tokens into `rank` ones, so the cost grows with the tokens and not with their square.

    On another grid than that of training, E and F are stretched bilinearly over it and divided by the growth of the
    number of tokens, which leaves the sums over tokens as large as they were.
    """

    def __init__(self, channels: int, grid_hw: tuple[int, int], heads: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.grid_hw, self.heads = grid_hw, heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.key_mix = nn.Parameter(torch.randn(grid_hw[0] * grid_hw[1], rank))  # E
        self.value_mix = nn.Parameter(torch.randn(grid_hw[0] * grid_hw[1], rank))  # F
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        query, key, value = self.query(x), self.key(x), self.value(x)
        with torch.autocast(x.device.type, enabled=False):  # sums over all tokens: too much for 16 bits
            joined = self.attend(query.float(), key.float(), value.float(), grid_hw)
        out: Tensor = self.out(joined.to(x.dtype))
        return out

    def attend(self, query: Tensor, key: Tensor, value: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        """Each N × tokens × channels, float32."""
        keys = self.split(self.stretched(self.key_mix, grid_hw).T @ key)  # N × heads × rank × d
        values = self.split(self.stretched(self.value_mix, grid_hw).T @ value)
        queries = self.split(query)
        scores = queries / queries.shape[-1] ** 0.5 @ keys.transpose(-2, -1)
        heads: Tensor = self.drop(scores.softmax(dim=-1)) @ values
        return heads.transpose(1, 2).flatten(2)

    def split(self, x: Tensor) -> Tensor:
        """N × tokens × channels → N × heads × tokens × d."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def stretched(self, mix: Tensor, grid_hw: tuple[int, int]) -> Tensor:
        if grid_hw == self.grid_hw:
            return mix.float()
        maps = mix.float().T.reshape(1, -1, *self.grid_hw)  # 1 × rank × rows × columns
        larger = F.interpolate(maps, size=grid_hw, mode="bilinear", align_corners=False)[0].flatten(1).T
        return larger * (len(mix) / len(larger))


class Gate(nn.Module):
    """RFEM: skip · σ(Wψ ReLU(BN(Wg g) + BN(Wx skip))), all 1×1 convolutions; g comes from below, ψ has one channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(channels // 2, 1)
        self.below = nn.Sequential(nn.Conv2d(channels, middle, 1), nn.BatchNorm2d(middle))
        self.beside = nn.Sequential(nn.Conv2d(channels, middle, 1), nn.BatchNorm2d(middle))
        self.weigh = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(middle, 1, 1), nn.Sigmoid())

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        gated: Tensor = skip * self.weigh(self.below(below) + self.beside(skip))
        return gated
