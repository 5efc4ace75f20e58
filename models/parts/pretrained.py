"""Weights that others trained: fetched by the name of the network, and put into ours where all of them fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torchvision
from torch import Tensor, nn

MENTIONED = 3  # differences named in an error, of possibly hundreds


def imagenet_weights(arch: str, *, knob: str) -> Mapping[str, Tensor]:
    """torchvision's first ImageNet weights (V1), which it has for every network; `knob` is what asked for them."""
    source = torchvision.models.get_model_weights(arch)["IMAGENET1K_V1"]
    try:
        weights: Mapping[str, Tensor] = source.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as reason:  # no network, no writable cache; a damaged download
        raise ValueError(
            f"ImageNet weights of {arch} from {source.url} ({reason}); "
            f'download them elsewhere and set {knob} = "<path of the file>", or set {knob} = "none"'
        ) from reason
    return weights


def encoder_weights(encoder: str | Mapping[str, Tensor], arch: str) -> Mapping[str, Tensor] | None:
    """What the option `encoder` of a segmenter stands for: "none", "imagenet", or a state dict itself."""
    if isinstance(encoder, Mapping):
        return encoder
    if encoder not in ("none", "imagenet"):
        raise ValueError(f"encoder = {encoder!r}; allowed: 'none', 'imagenet', or the path of a file")
    return None if encoder == "none" else imagenet_weights(arch, knob="encoder")


def given_weights(encoder: str, weights: Mapping[str, Tensor] | None) -> Mapping[str, Tensor] | None:
    """Of an encoder for which torchvision has none: whoever builds it hands over what the option names."""
    if weights is None and encoder != "none":
        known = "'none', 'imagenet', or the path of a file"
        raise ValueError(f"encoder = {encoder!r}; allowed: {known}, with its weights")
    return weights


def fill(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], *, source: str) -> None:
    """Copy every given tensor into the wanted one of its name; any difference is an error, before any copy.

    Only counters of batches may be missing: they came late to torchvision's files and are not used where a
    momentum is set.
    """
    missing = {name for name in wanted.keys() - given.keys() if not name.endswith("num_batches_tracked")}
    differences = [f"{name} is missing" for name in sorted(missing)]
    differences += [f"{name} is unknown" for name in sorted(given.keys() - wanted.keys())]
    differences += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & given.keys())
        if given[name].shape != wanted[name].shape
    ]
    if differences:
        more = f" and {len(differences) - MENTIONED} more" if len(differences) > MENTIONED else ""
        raise ValueError(f"weights that do not fit: {'; '.join(differences[:MENTIONED])}{more}; wanted: {source}")
    with torch.no_grad():
        for name, tensor in given.items():
            wanted[name].copy_(tensor)


def fill_trunk(trunk: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """All weights of a ResNet but `fc`, which belongs to ImageNet's classes; any other difference is an error."""
    given = {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}
    fill(trunk.state_dict(), given, source="a state dict of the same ResNet with torchvision's names")
