"""Weights in half precision: half the bytes, and how much the answers of the network move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.learning.training import to_batch
from pipeline.ops.types import ImageRGB


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fractions in 16 bits, rounded to the nearest; counters as they are."""
    return {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def largest_difference(one: nn.Module, other: nn.Module, images: Iterable[ImageRGB]) -> float:
    """Of the probabilities that two segmenters give any pixel of the images."""
    cpu, largest = torch.device("cpu"), 0.0
    with torch.no_grad():
        for image in images:
            batch = to_batch(image[np.newaxis], cpu)
            first, second = (network.eval()(batch)["logits"].sigmoid() for network in (one, other))
            largest = max(largest, float((first - second).abs().max()))
    return largest
