"""The networks by name. Importing this package is instant: torch is loaded by the first network built."""

from __future__ import annotations

import ast
import functools
import importlib.abc
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.networks.resnet import Classifier

CLASSIFIERS = ("resnet18", "resnet50", "resnet101", "resnet152")

# A new segmenter is one line here and one module with `def build(*, …, pixels: str) -> PaddedSegmenter`; what `build`
# takes beside pixels stands in the settings, as [Segmenter.options.<name>].
SEGMENTERS = {
    "unet": "models.networks.unet",
    "deepcrack_liu": "models.networks.deepcrack_liu",
    "deepcrack_zou": "models.networks.deepcrack_zou",
    "oed": "models.networks.oed",
    "scnet": "models.networks.scnet",
    "context_cracknet": "models.networks.context_cracknet",
    "pspnet": "models.networks.pspnet",
    "cgnet": "models.networks.cgnet",
}


def build_classifier(arch: str, *, head: str, weights: str | Mapping[str, Tensor], pixels: str) -> Classifier:
    """A ResNet with two outputs: see `models.networks.resnet`. The caller seeds the random weights.

    `weights` is "none", "imagenet", or a state dict with torchvision's names, whose `fc` is left out.
    """
    if arch not in CLASSIFIERS:
        raise ValueError(f"classifier {arch!r}; known: {', '.join(CLASSIFIERS)}")
    from models.networks import resnet

    return resnet.build(arch, head=head, weights=weights, pixels=pixels)


def build_segmenter(name: str, **options: Any) -> nn.Module:
    """A network that turns N×3×H×W in [0, 1], of any H and W, into logits: see `models.parts.wrapper`.

    The options are the arguments of its module's `build`, all of them required.
    """
    allowed = segmenter_options(name)
    if set(options) != set(allowed):
        given = ", ".join(sorted(options)) or "none"
        raise ValueError(f"options of segmenter {name!r}: {given}; wanted, each once: {', '.join(allowed)}")
    network: nn.Module = importlib.import_module(SEGMENTERS[name]).build(**options)
    return network


def takes_edges(options: Mapping[str, Any]) -> bool:
    """Whether a segmenter with these options wants N×4×H×W, edges last: any network whose `edges` are "input"."""
    return options.get("edges") == "input"


@functools.cache
def segmenter_options(name: str) -> tuple[str, ...]:
    """What a segmenter's `build` takes, "pixels" among it; read from its text, so that planning loads no torch."""
    if name not in SEGMENTERS:
        raise ValueError(f"segmenter {name!r}; known: {', '.join(SEGMENTERS)}")
    module = SEGMENTERS[name]
    spec = importlib.util.find_spec(module)
    if spec is None or not isinstance(spec.loader, importlib.abc.InspectLoader):
        raise ValueError(f"segmenter {name!r}: there is no module {module}; write it, with a function build")
    for node in ast.parse(spec.loader.get_source(module) or "", str(spec.origin)).body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            arguments = tuple(each.arg for each in (*node.args.args, *node.args.kwonlyargs))
            if "pixels" in arguments:
                return arguments
    raise ValueError(f"segmenter {name!r}: {module} has no `def build(*, …, pixels)`; see models/networks/unet.py")
