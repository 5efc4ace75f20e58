"""The networks: one contract for all segmenters, and the ResNets' two halves."""

import io
import subprocess
import sys
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import models
from models.parts.wrapper import Normalise, PaddedSegmenter, pad_to_divisor
from pipeline.learning.training import seeded
from tasks.core import settings

CPU = torch.device("cpu")

# Of each segmenter: small options for the contract, and its published parameter count with the options it holds for.
SMALL = {
    "unet": {"width": 4, "norm": "batch", "pixels": "imagenet"},
    "deepcrack_liu": {"width": 4, "norm": "batch", "bn_test_mode": "running", "encoder": "none", "pixels": "half"},
    "deepcrack_zou": {"width": 4, "norm": "none", "fusion": "code", "encoder": "none", "pixels": "bgr"},
    "oed": {
        "width": 0.25,
        "depth": 0.5,
        "decoder_width": 16,
        "drop_connect": 0.0,
        "bn_momentum": 0.1,
        "encoder": "none",
        "pixels": "imagenet",
    },
    "scnet": {"width": 4, "levels": 5, "attention": True, "edges": "sobel", "edge_threshold": 0.1, "pixels": "half"},
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
        "pixels": "imagenet",
    },
    "pspnet": {
        "trunk": "resnet10",
        "width": 8,
        "auxiliary": True,
        "dropout": [0.3, 0.15, 0.1],
        "encoder": "none",
        "pixels": "imagenet",
    },
    "cgnet": {"width": 8, "m": 3, "n": 3, "pixels": "imagenet"},
}
CONTEXT_CRACKNET = {
    **SMALL["context_cracknet"],
    "trunk": "resnet50",
    "width": 64,
    "input_size": [448, 448],
    "heads": 8,
    "rank": 256,
}
PUBLISHED = [
    ("unet", {"width": 64, "norm": "batch", "pixels": "unit"}, 31_037_633),
    ("unet", {"width": 64, "norm": "none", "pixels": "unit"}, 31_031_745),
    ("deepcrack_liu", {**SMALL["deepcrack_liu"], "width": 64}, 14_720_389),
    ("deepcrack_liu", {**SMALL["deepcrack_liu"], "width": 64, "norm": "instance"}, 14_711_941),
    ("deepcrack_zou", {**SMALL["deepcrack_zou"], "width": 64}, 30_905_011),
    ("deepcrack_zou", {**SMALL["deepcrack_zou"], "width": 64, "norm": "batch"}, 30_921_011),
    ("deepcrack_zou", {**SMALL["deepcrack_zou"], "width": 64, "fusion": "paper"}, 29_466_571),
    ("oed", {**SMALL["oed"], "width": 1.6, "depth": 2.2, "decoder_width": 256}, 39_650_581),
    ("scnet", {**SMALL["scnet"], "width": 64}, 29_463_044),
    ("scnet", {**SMALL["scnet"], "width": 64, "levels": 4}, 15_304_184),
    ("context_cracknet", CONTEXT_CRACKNET, 82_050_597),
    ("context_cracknet", {**CONTEXT_CRACKNET, "cagm": False}, 73_249_317),
    ("pspnet", {**SMALL["pspnet"], "trunk": "resnet34", "width": 64}, 28_091_141),
    ("pspnet", {**SMALL["pspnet"], "trunk": "resnet34", "width": 64, "auxiliary": False}, 27_500_548),
    ("cgnet", {**SMALL["cgnet"], "width": 32, "m": 3, "n": 21}, 491_956),
]
segmenters = pytest.mark.parametrize("name", models.SEGMENTERS)


def small(name: str) -> dict[str, Any]:
    """Options for the contract; a segmenter that has none above is built as the recipe `quick` says."""
    if name in SMALL:
        return SMALL[name]
    quick = settings.resolve("Segmenter", "demo", "quick", "", {})
    return {"pixels": quick.pixels, **quick.options.get(name, {})}


def build(name: str) -> nn.Module:
    with seeded(0, CPU):
        return models.build_segmenter(name, **small(name))


def batch(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def all_maps(output: dict[str, Tensor]) -> list[Tensor]:
    return [output["logits"], *output["aux"]]


def test_every_segmenter_with_options_here_has_a_published_parameter_count() -> None:
    assert {name for name, _, _ in PUBLISHED} == set(SMALL)
    assert set(SMALL) <= set(models.SEGMENTERS)


@pytest.mark.parametrize(("name", "options", "count"), PUBLISHED)
def test_a_segmenter_has_as_many_parameters_as_published(name: str, options: dict, count: int) -> None:
    with torch.device("meta"):  # shapes without numbers
        network = models.build_segmenter(name, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@segmenters
@pytest.mark.parametrize("size", [(33, 47), (32, 32), (50, 64), (1, 40)])
def test_logits_are_as_large_as_the_image(name: str, size: tuple[int, int]) -> None:
    with torch.no_grad():
        output = build(name).eval()(batch(2, 3, *size))
    assert set(output) == {"logits", "aux"}
    assert all(each.shape == (2, 1, *size) and each.dtype == torch.float32 for each in all_maps(output))


@pytest.mark.slow
@segmenters
def test_logits_are_as_large_as_a_large_image(name: str) -> None:
    with torch.no_grad():
        assert build(name).eval()(batch(1, 3, 1024, 768))["logits"].shape == (1, 1, 1024, 768)


@segmenters
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    network = build(name)
    sum(each.square().sum() for each in all_maps(network(batch(2, 3, 33, 47)))).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@segmenters
def test_the_loss_falls_on_one_batch(name: str) -> None:
    network, images = build(name), batch(2, 3, 48, 48)
    target = (images.mean(dim=1, keepdim=True) > 0.5).float()
    optimiser = torch.optim.AdamW(network.parameters(), 0.01)
    losses = []
    for _ in range(10):
        loss = F.binary_cross_entropy_with_logits(network(images)["logits"], target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def trained(name: str) -> dict[str, Tensor]:
    """The weights after two steps from seed 0."""
    with seeded(0, CPU):
        network = models.build_segmenter(name, **small(name))
        optimiser = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
        for _ in range(2):
            optimiser.zero_grad()
            sum(each.square().mean() for each in all_maps(network(batch(2, 3, 40, 48)))).backward()
            optimiser.step()
    return network.state_dict()


@segmenters
def test_the_same_seed_trains_the_same_weights(name: str) -> None:
    first, second = trained(name), trained(name)
    assert all(torch.equal(first[key], second[key]) for key in first)


@segmenters
def test_a_saved_segmenter_answers_as_before(name: str) -> None:
    first, second, file = build(name).eval(), models.build_segmenter(name, **small(name)).eval(), io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    image = batch(1, 3, 33, 47)
    assert torch.equal(first(image)["logits"], second(image)["logits"])


@segmenters
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_sixteen_bits_give_finite_logits(name: str, kind: torch.dtype) -> None:
    network = build(name).eval()
    with torch.no_grad(), torch.autocast("cpu", kind):
        mixed = network(batch(1, 3, 33, 47))
    with torch.no_grad():
        pure = network.to(kind)(batch(1, 3, 33, 47).to(kind))
    assert all(each.isfinite().all() for each in all_maps(mixed) + all_maps(pure))


def test_a_unet_without_normalisation_keeps_its_signal_alive() -> None:
    network = models.build_segmenter("unet", width=8, norm="none", pixels="imagenet")
    with torch.no_grad():
        assert network(batch(1, 3, 64, 64))["logits"].std() > 1e-3


def test_padding_mirrors_right_and_bottom() -> None:
    image = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).view(1, 1, 3, 3)
    assert pad_to_divisor(image, 5)[0, 0].tolist() == [
        [1, 2, 3, 2, 1],
        [4, 5, 6, 5, 4],
        [7, 8, 9, 8, 7],
        [4, 5, 6, 5, 4],
        [1, 2, 3, 2, 1],
    ]


def test_padding_repeats_the_border_where_there_is_too_little_to_mirror() -> None:
    image = torch.tensor([[1.0, 2, 3]]).view(1, 1, 1, 3)
    assert pad_to_divisor(image, 4)[0, 0].tolist() == [[1, 2, 3, 2]] * 4


def test_padding_does_not_change_the_logits_of_a_pointwise_network() -> None:
    class Pointwise(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            assert images.shape[-1] % 16 == images.shape[-2] % 16 == 0
            return [images[:, :1], images[:, 1:2]]

    image = batch(1, 3, 33, 47)
    output = PaddedSegmenter(Pointwise(), size_divisor=16, pixels="unit")(image)
    assert torch.equal(output["logits"], image[:, :1])
    assert torch.equal(output["aux"][0], image[:, 1:2])


@pytest.mark.parametrize("head", ["linear", "dense1000"])
def test_a_classifier_is_its_head_behind_its_features(head: str) -> None:
    network = models.build_classifier("resnet18", head=head, weights="none", pixels="imagenet").eval()
    image = batch(2, 3, 64, 96)
    features = network.features(image)
    assert features.shape == (2, 512, 2, 3)
    assert torch.equal(network.head(features), network(image))
    assert network(image).shape == (2, 2)


def test_torchvision_weights_give_torchvision_features() -> None:
    reference = torchvision.models.resnet18(weights=None).eval()
    weights = reference.state_dict()
    network = models.build_classifier("resnet18", head="linear", weights=weights, pixels="unit").eval()
    reference.fc, reference.avgpool = nn.Identity(), nn.Identity()
    image = batch(1, 3, 64, 64)
    assert torch.equal(network.features(image).flatten(1), reference(image))


def test_imagenet_pixels_are_normalised_inside_the_network() -> None:
    weights = torchvision.models.resnet18(weights=None).state_dict()
    plain, normalising = (
        models.build_classifier("resnet18", head="linear", weights=weights, pixels=pixels).eval()
        for pixels in ("unit", "imagenet")
    )
    image = batch(1, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = (image - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    assert torch.allclose(normalising.features(image), plain.features(by_hand))


def test_weights_of_another_resnet_name_what_differs() -> None:
    weights = torchvision.models.resnet50(weights=None).state_dict()
    with pytest.raises(ValueError, match=r"bn3.bias is unknown; .* and \d+ more; wanted: a state dict"):
        models.build_classifier("resnet18", head="linear", weights=weights, pixels="unit")


def test_pixels_are_what_their_name_says() -> None:
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    by_name = {pixels: Normalise(pixels)(image).flatten().tolist() for pixels in ("unit", "half", "bgr")}
    assert by_name == {"unit": [0.0, 0.5, 1.0], "half": [-1.0, 0.0, 1.0], "bgr": [1.0, 0.5, 0.0]}


def test_without_network_imagenet_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_network)
    with pytest.raises(ValueError, match=r'resnet18.*no network.*weights = "none"'):
        models.build_classifier("resnet18", head="linear", weights="imagenet", pixels="unit")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'resnet19'; known: resnet18, resnet50"):
        models.build_classifier("resnet19", head="linear", weights="none", pixels="unit")
    with pytest.raises(ValueError, match="'unett'; known: unet"):
        models.build_segmenter("unett")
    with pytest.raises(ValueError, match="head 'round'; allowed: 'linear', 'dense1000'"):
        models.build_classifier("resnet18", head="round", weights="none", pixels="unit")
    with pytest.raises(ValueError, match="pixels 'hsv'; allowed: 'unit', 'imagenet', 'half', 'bgr'"):
        models.build_segmenter("unet", width=4, norm="none", pixels="hsv")


def test_unknown_and_missing_options_list_the_wanted_ones() -> None:
    for options in ({"width": 4}, {"width": 4, "norm": "none", "pixels": "unit", "depth": 3}):
        with pytest.raises(ValueError, match="wanted, each once: width, norm, pixels"):
            models.build_segmenter("unet", **options)


def test_importing_the_table_of_models_does_not_import_torch() -> None:
    code = "import sys, models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
