"""The networks by name. Importing this package is instant: torch is loaded by the first network built."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import Tensor, nn

    from models.networks.classifier import Classifier
    from models.parts.wrapper import PaddedSegmenter as PaddedSegmenter

    Options = DataclassInstance  # any frozen dataclass: the options of a network, all of them required
    Weights = Mapping[str, Tensor]  # a state dict

CLASSIFIERS = (
    *("resnet18", "resnet50", "resnet101", "resnet152"),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
)
Normalisation = Literal["unit", "imagenet", "half", "bgr", "caffe"]  # what `pixels` may be: see `models.parts.wrapper`

# A new segmenter is one line here and one module like models/unet.py: a frozen dataclass `Options`, whose fields stand
# in the settings as [Segmenter.options.<name>], and `build`, which makes the network of them.
SEGMENTERS = {
    "unet": "models.unet",
    "deepcrack_liu": "models.deepcrack_liu",
    "deepcrack_zou": "models.deepcrack_zou",
    "oed": "models.oed",
    "scnet": "models.scnet",
    "context_cracknet": "models.context_cracknet",
    "pspnet": "models.pspnet",
    "cgnet": "models.cgnet",
    "lite_unet": "models.lite_unet",
    "local_evidence": "models.local_evidence",
}


def build_classifier(arch: str, *, head: str, weights: str | Weights, pixels: str) -> Classifier:
    """A network with two outputs: see `models.networks.classifier`. The caller seeds the random weights.

    `weights` is "none", "imagenet" (of a ResNet), or a state dict with the published names, whose classes are left out.
    """
    if arch not in CLASSIFIERS:
        raise ValueError(f"classifier {arch!r}; known: {', '.join(CLASSIFIERS)}")
    from models.networks import classifier

    return classifier.build(arch, head=head, weights=weights, pixels=pixels)


def options_class(name: str) -> type[Options]:
    """What a segmenter takes beside pixels; calling it tells a wrong value. Ours load no torch."""
    found: type[Options] = _module(name).Options
    return found


def build_segmenter(name: str, options: Options, *, pixels: str, weights: Weights | None = None) -> nn.Module:
    """A network that turns N×3×H×W in [0, 1], of any H and W, into logits: see `models.parts.wrapper`.

    The options are of its own class. `weights` are the content of the file that the option `encoder` names. The
    caller seeds the random weights.
    """
    module = _module(name)
    if weights is not None and not hasattr(options, "encoder"):
        raise ValueError(f"segmenter {name!r} has no option encoder, so weights for it have no place")
    given = {} if weights is None else {"weights": weights}
    network: nn.Module = module.build(options, pixels=pixels, **given)
    return network


def published_weights(options: Options) -> str:
    """The name of the published weights that its encoder starts from; "" where it is none of these."""
    encoder = getattr(options, "encoder", "none")
    return "hed" if encoder == "hed" else getattr(options, "member", "") if encoder == "imagenet" else ""


def takes_edges(options: Options) -> bool:
    """Whether a segmenter with these options wants N×4×H×W, edges last: any network whose `edges` are "input"."""
    return getattr(options, "edges", "") == "input"


def _module(name: str) -> ModuleType:
    if name not in SEGMENTERS:
        raise ValueError(f"segmenter {name!r}; known: {', '.join(SEGMENTERS)}")
    path = SEGMENTERS[name]
    module = importlib.import_module(path) if importlib.util.find_spec(path) else ModuleType(path)
    if not dataclasses.is_dataclass(getattr(module, "Options", None)) or not hasattr(module, "build"):
        wanted = "a frozen dataclass Options and a function build(options, *, pixels)"
        raise ValueError(f"segmenter {name!r}: {path} wants {wanted}; write them as in models/unet.py")
    return module
