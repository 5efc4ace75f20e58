"""The options of the networks: checked without torch, and what cannot be is told in one sentence."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest
import torch

import models
from models.parts.options import TRUNKS, Trunk
from pipeline.knobs import SegmenterKnobs
from pipeline.knobs.ranges import check, fields
from tests.conftest import ROOT
from tests.networks import SMALL, built, options

A_TRUNK = "'resnet10', 'resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'"
A_RESNET = "'none', the path of a file, or with width = 64 and a trunk from 'resnet18' on 'imagenet'"
B0_TO_B5 = "1.0 and 1.0, 1.0 and 1.1, 1.1 and 1.2, 1.2 and 1.4, 1.4 and 1.8, 1.6 and 2.2"
# Options of SMALL changed so that the first of them cannot be, and what it can be.
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("unet", {"width": 0}, "at least 1"),
    ("unet", {"norm": "instance"}, "'batch', 'none'"),
    ("deepcrack_liu", {"width": 0}, "at least 1"),
    ("deepcrack_liu", {"norm": "none"}, "'batch', 'instance'"),
    ("deepcrack_liu", {"bn_test_mode": "test"}, "'running', 'batch'"),
    ("deepcrack_liu", {"encoder": "imagenet"}, "'none', the path of a file, or with width = 64 'imagenet' or 'hed'"),
    ("deepcrack_zou", {"width": -1}, "at least 1"),
    ("deepcrack_zou", {"norm": "instance"}, "'none', 'batch'"),
    ("deepcrack_zou", {"fusion": "sum"}, "'code', 'paper'"),
    ("deepcrack_zou", {"encoder": "imagenet"}, "'none', the path of a file, or with width = 64 'imagenet' or 'hed'"),
    ("oed", {"width": 0.0}, "above 0"),
    ("oed", {"depth": -1.0}, "above 0"),
    ("oed", {"decoder_width": 24}, "multiples of 16"),
    ("oed", {"decoder_width": 0}, "multiples of 16"),
    ("oed", {"drop_connect": 1.0}, "from 0 to below 1"),
    ("oed", {"bn_momentum": 0.0}, "above 0, up to 1"),
    (
        "oed",
        {"encoder": "imagenet"},
        f"'none', the path of a file, or with a width and depth of {B0_TO_B5} 'imagenet'",
    ),
    ("scnet", {"width": 0}, "at least 1"),
    ("scnet", {"levels": 6}, "4, 5"),
    ("scnet", {"edges": "hed"}, "'none', 'sobel', 'input'"),
    ("scnet", {"edge_threshold": -0.1}, "at least 0"),
    ("scnet", {"norm": "layer"}, "'instance', 'batch', 'none'"),
    ("scnet", {"pool": "mean"}, "'max', 'average'"),
    ("scnet", {"init": "zero"}, "'xavier', 'he', 'orthogonal', 'uniform'"),
    ("pspnet", {"pyramid": [1, 0]}, "numbers from 1"),
    ("local_evidence", {"channels": [8, 8]}, "three numbers, each at least 1"),
    ("local_evidence", {"blocks": -1}, "at least 0"),
    ("lite_unet", {"member": "lite0"}, "'efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2'"),
    ("lite_unet", {"decoder": [8, 8]}, "5 numbers, each at least 1"),
    ("lite_unet", {"decoder": [8, 8, 8, 8, 0]}, "5 numbers, each at least 1"),
    ("lite_unet", {"bn_momentum": 0.0}, "above 0, up to 1"),
    ("context_cracknet", {"trunk": "vgg16"}, A_TRUNK),
    ("context_cracknet", {"width": 0}, "at least 1"),
    ("context_cracknet", {"input_size": [64, 100]}, "height and width, multiples of 32"),
    ("context_cracknet", {"input_size": [64, 0]}, "height and width, multiples of 32"),
    ("context_cracknet", {"input_size": [64]}, "height and width, multiples of 32"),
    ("context_cracknet", {"tokens": "resize"}, "'tile', 'interpolate'"),
    ("context_cracknet", {"heads": 5}, "divisors of the 32 channels of the third stage"),
    ("context_cracknet", {"heads": 0}, "divisors of the 32 channels of the third stage"),
    ("context_cracknet", {"heads": 3, "trunk": "resnet50"}, "divisors of the 128 channels of the third stage"),
    ("context_cracknet", {"rank": 0}, "at least 1"),
    ("context_cracknet", {"dropout": 1.0}, "from 0 to below 1"),
    ("context_cracknet", {"encoder": "imagenet", "width": 64}, A_RESNET),
    ("pspnet", {"trunk": "resnet35"}, A_TRUNK),
    ("pspnet", {"width": 0}, "at least 1"),
    ("pspnet", {"dropout": [0.3, 0.1]}, "three shares from 0 to below 1"),
    ("pspnet", {"dropout": [0.3, 0.1, 1.0]}, "three shares from 0 to below 1"),
    ("pspnet", {"encoder": "imagenet", "trunk": "resnet34"}, A_RESNET),
    ("cgnet", {"width": 2}, "even numbers from 4"),
    ("cgnet", {"width": 7}, "even numbers from 4"),
    ("cgnet", {"m": 1}, "at least 2, the block that halves and one more"),
    ("cgnet", {"n": 1}, "at least 2, the block that halves and one more"),
]


def test_no_torch_is_loaded_until_a_network_is_built() -> None:
    read = f"[models.options_class(name)(**each) for name, each in {SMALL}.items()]"
    code = f"import sys, models; {read}; print([module for module in sys.modules if module == 'torch'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", SMALL)
def test_options_have_types_that_settings_are_checked_by(name: str) -> None:
    kinds = fields(models.options_class(name))
    assert {each: check(kinds[each], value) for each, value in SMALL[name].items()} == SMALL[name]
    with pytest.raises(ValueError, match="allowed"):
        check(next(kind for kind in kinds.values() if kind in (int, float)), "4")


@pytest.mark.parametrize(("name", "changed", "allowed"), REFUSED, ids=str)
def test_an_impossible_option_is_told_in_one_sentence(name: str, changed: dict[str, Any], allowed: str) -> None:
    option, value = next(iter(changed.items()))
    with pytest.raises(ValueError) as told:
        options(name, **changed)
    assert str(told.value) == f"{option} = {value!r}; allowed: {allowed}"


def test_the_attention_of_context_cracknet_has_options_only_where_it_is_there() -> None:
    assert built("context_cracknet", cagm=False, heads=5, rank=0)


def test_settings_and_networks_know_the_same_pixels_and_trunks() -> None:
    assert get_args(fields(SegmenterKnobs)["pixels"]) == get_args(models.Normalisation)
    assert list(get_args(Trunk)) == list(TRUNKS)


def test_a_segmenter_takes_edges_where_its_edges_are_input() -> None:
    assert models.takes_edges(options("scnet", edges="input"))
    assert not models.takes_edges(options("scnet", edges="sobel"))
    assert not models.takes_edges(options("unet"))


@pytest.mark.parametrize("name", [name for name in SMALL if "encoder" in SMALL[name]])
def test_weights_of_an_encoder_are_none_or_imagenets_or_given(name: str) -> None:
    with pytest.raises(ValueError, match=r"^encoder = 'b\.pth'; allowed: 'none', 'imagenet', or the path of a file"):
        built(name, encoder="b.pth")
    width = {"width": 64} if name == "scnet" else {}
    with pytest.raises(ValueError, match=r"^weights that do not fit: "):
        built(name, encoder="b.pth", weights={"conv1.weight": torch.zeros(1)}, **width)


def test_weights_for_a_network_without_an_encoder_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^segmenter 'unet' has no option encoder, so weights for it have no place$"):
        built("unet", weights={})


@pytest.mark.parametrize("module", ["models.nowhere", "models.parts.wrapper"])
def test_a_module_that_is_no_network_is_told_what_to_write(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.SEGMENTERS, "toy", module)
    wanted = r"a frozen dataclass Options and a function build\(options, \*, pixels\); write them as in models/unet.py"
    with pytest.raises(ValueError, match=f"^segmenter 'toy': {module} wants {wanted}$"):
        models.options_class("toy")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"^segmenter 'unett'; known: .*unet, deepcrack_liu, "):
        models.options_class("unett")
    with pytest.raises(ValueError, match=r"^pixels = 'hsv'; allowed: 'unit', 'imagenet', 'half', 'bgr', 'caffe'$"):
        built("unet", pixels="hsv")
