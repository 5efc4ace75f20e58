"""EfficientNet (Tan, Le 2019) as the encoder of a segmenter: torchvision's layers, TensorFlow's borders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

from models.parts.options import MEMBERS
from models.parts.pretrained import encoder_weights, fill

# Stages of the smallest member B0: expansion, kernel, stride of the first block, channels in and out, blocks.
STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
TAPPED = (2, 3, 4, 6)  # the stages that halve the image
EPSILON = 1e-3  # of every batch norm, part of the network: weights were trained with it


def batch_norm(momentum: float) -> Callable[[int], nn.Module]:
    """momentum is the share of the new value in a running statistic; TensorFlow counts that of the old one."""
    return partial(nn.BatchNorm2d, eps=EPSILON, momentum=momentum)


class Encoder(nn.Module):
    """N×3×H×W → five maps, from half the size to 1/32; H and W are multiples of 32.

    The first four are the expanded channels in front of the convolutions that halve the image, the last is
    the network's top. `channels` are theirs; for B5 144, 240, 384, 1056 and 2048. In training every block is
    left out of some images, the last one with probability `drop_connect`, those before it in proportion.
    """

    def __init__(self, width: float, depth: float, drop_connect: float, bn_momentum: float) -> None:
        super().__init__()
        settings = [MBConvConfig(*stage, width, depth) for stage in STAGES]
        norm = batch_norm(bn_momentum)
        whole = EfficientNet(settings, 0.0, stochastic_depth_prob=drop_connect, norm_layer=norm)
        self.features = whole.features  # keeps torchvision's names, so its weights fit
        self.channels = [self.features[stage][0].block[0][0].out_channels for stage in TAPPED]
        self.channels.append(self.features[-1][0].out_channels)
        pad_like_tensorflow(self.features)
        self.apply(initialise)

    def forward(self, batch: Tensor) -> list[Tensor]:
        maps, x = [], batch
        for number, stage in enumerate(self.features):
            if number in TAPPED:
                halving = stage[0].block  # has no shortcut, since its output is smaller
                maps.append(halving[0](x))
                x = stage[1:](halving[1:](maps[-1]))
            else:
                x = stage(x)
        return [*maps, x]


class HalvingConvolution(nn.Conv2d):
    """Stride 2, padded as TensorFlow's "same" pads: to ⌈size / 2⌉, an odd pixel behind."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = (self.kernel_size[0] - 2 + side % 2 for side in x.shape[-2:])
        return super().forward(F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2)))


def pad_like_tensorflow(features: nn.Module) -> None:
    """Replace every convolution of stride 2 by one whose borders are TensorFlow's."""
    for parent in list(features.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
                halving = HalvingConvolution(
                    layer.in_channels,
                    layer.out_channels,
                    layer.kernel_size[0],
                    stride=2,
                    groups=layer.groups,
                    bias=False,
                )
                setattr(parent, name, halving)


def initialise(module: nn.Module) -> None:
    """N(0, √(2 / neurons that an input reaches)), biases 0."""
    if isinstance(module, nn.Conv2d):
        height, width = module.kernel_size
        reached = height * width * module.out_channels // module.groups
        nn.init.normal_(module.weight, 0.0, (2 / reached) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def load_encoder(network: Encoder, encoder: str | Mapping[str, Tensor], factors: tuple[float, float]) -> None:
    """`encoder` is "none", "imagenet", or a state dict with torchvision's names, whose classifier is left out.

    `factors` are those of width and depth.
    """
    weights = encoder_weights(encoder, MEMBERS.get(factors, ""))
    if weights is None:
        return
    given = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier.")}
    fill(network.state_dict(), given, source="a state dict of torchvision's EfficientNet of this width and depth")
