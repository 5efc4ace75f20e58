"""Small networks of every kind, and what the tests of all of them ask for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

import models
from pipeline.learning.training import seeded
from tests.conftest import ROOT

CPU = torch.device("cpu")
SMALL: dict[str, dict[str, Any]] = {
    "unet": {"width": 4, "norm": "batch"},
    "deepcrack_liu": {"width": 4, "norm": "batch", "bn_test_mode": "running", "encoder": "none"},
    "deepcrack_zou": {"width": 4, "norm": "none", "fusion": "code", "encoder": "none"},
    "oed": {
        "width": 0.25,
        "depth": 0.5,
        "decoder_width": 16,
        "drop_connect": 0.0,
        "bn_momentum": 0.1,
        "encoder": "none",
    },
    "scnet": {
        "width": 4,
        "levels": 5,
        "attention": True,
        "edges": "sobel",
        "edge_threshold": 0.1,
        "encoder": "none",
        "norm": "instance",
        "pool": "max",
        "init": "xavier",
    },
    "context_cracknet": {
        "trunk": "resnet10",
        "width": 8,
        "input_size": [64, 64],
        "tokens": "tile",
        "cagm": True,
        "rfem": True,
        "heads": 4,
        "rank": 16,
        "dropout": 0.1,
        "encoder": "none",
    },
    "pspnet": {
        "trunk": "resnet10",
        "width": 8,
        "auxiliary": True,
        "dropout": [0.3, 0.15, 0.1],
        "encoder": "none",
        "pyramid": [1, 2, 3, 6],
    },
    "cgnet": {"width": 8, "m": 3, "n": 3},
    "local_evidence": {"channels": [4, 6, 8], "blocks": 1},
    "lite_unet": {
        "member": "efficientnet_lite0",
        "decoder": [16, 8, 8, 8, 4],
        "bn_momentum": 0.1,
        "encoder": "none",
        "pixels": "common",
    },
}


def options(name: str, **changed: Any) -> models.Options:
    """The small options of a segmenter, but for those given; one without any here has those of the recipe `quick`."""
    found = SMALL.get(name)
    if found is None:
        quick = tomllib.loads((ROOT / "configs" / "recipes" / "quick.toml").read_text())
        found = quick["Segmenter"]["options"].get(name, {})
    return models.options_class(name)(**{**found, **changed})


def built(name: str, *, pixels: str = "unit", weights: dict[str, Tensor] | None = None, **changed: Any) -> Any:
    """A segmenter with these `options`, whose first weights are always the same."""
    with seeded(0, CPU):
        return models.build_segmenter(name, options(name, **changed), pixels=pixels, weights=weights)


@contextmanager
def shapes_only() -> Iterator[None]:
    """What is built in here may be of any size: its tensors have a shape, and no numbers, so none are drawn either."""

    def as_it_is(tensor: Tensor, *_: Any, **__: Any) -> Tensor:
        return tensor

    with torch.device("meta"), mock.patch.multiple(Tensor, normal_=as_it_is, uniform_=as_it_is):
        yield


def shape_of(name: str, **changed: Any) -> Any:
    """`built`, of shapes only."""
    with shapes_only():
        return built(name, **changed)


def parameters(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def noise(*shape: int, seed: int = 1) -> Tensor:
    """In [0, 1), always the same."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def image(height: int = 64, width: int = 96) -> Tensor:
    return noise(1, 3, height, width)


@contextmanager
def what_enters(*modules: nn.Module) -> Iterator[list[Tensor]]:
    """Fills a list with the first inputs of layers in the order of use, copied before a layer can change them."""
    seen: list[Tensor] = []
    hooks = [each.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone())) for each in modules]
    yield seen
    for hook in hooks:
        hook.remove()


@contextmanager
def what_leaves(*modules: nn.Module) -> Iterator[list[Tensor]]:
    """Fills a list with the outputs of layers in the order of use, copied before a later layer can change them."""
    seen: list[Tensor] = []
    hooks = [each.register_forward_hook(lambda _, __, output: seen.append(output.clone())) for each in modules]
    yield seen
    for hook in hooks:
        hook.remove()


def cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine without network: torchvision can fetch no weights."""

    def no_network(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
