"""The networks: one contract for all segmenters, and the ResNets' two halves."""

from __future__ import annotations

import dataclasses
import inspect
import io
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import models
from models.parts.wrapper import Normalise, PaddedSegmenter, pad_to_divisor
from pipeline.learning.training import seeded
from tests.networks import CPU, SMALL, built, cut_off, image, noise, options, parameters, shape_of, shapes_only

PIXELS = {"deepcrack_liu": "half", "deepcrack_zou": "bgr", "scnet": "half", "lite_unet": "half"}  # others: ImageNet's
CONTEXT_CRACKNET = {"trunk": "resnet50", "width": 64, "input_size": [448, 448], "heads": 8, "rank": 256}
# The published counts of parameters, and the options that they hold for, beside those of SMALL.
PUBLISHED = [
    ("unet", {"width": 64}, 31_037_633),
    ("unet", {"width": 64, "norm": "none"}, 31_031_745),
    ("deepcrack_liu", {"width": 64}, 14_720_389),
    ("deepcrack_liu", {"width": 64, "norm": "instance"}, 14_711_941),
    ("deepcrack_zou", {"width": 64}, 30_905_011),
    ("deepcrack_zou", {"width": 64, "norm": "batch"}, 30_921_011),
    ("deepcrack_zou", {"width": 64, "fusion": "paper"}, 29_466_571),
    ("oed", {"width": 1.6, "depth": 2.2, "decoder_width": 256}, 39_650_581),
    ("scnet", {"width": 64}, 29_463_044),
    ("scnet", {"width": 64, "levels": 4}, 15_304_184),
    ("context_cracknet", CONTEXT_CRACKNET, 82_050_597),
    ("context_cracknet", {**CONTEXT_CRACKNET, "cagm": False}, 73_249_317),
    ("context_cracknet", {**CONTEXT_CRACKNET, "rfem": False}, 80_663_745),
    ("pspnet", {"trunk": "resnet34", "width": 64}, 28_091_141),
    ("pspnet", {"trunk": "resnet34", "width": 64, "auxiliary": False}, 27_500_548),
    ("cgnet", {"width": 32, "n": 21}, 491_956),
    ("lite_unet", {"decoder": [128, 64, 48, 32, 16]}, 3_832_081),
    ("local_evidence", {"channels": [24, 48, 96], "blocks": 1}, 100_345),
]
segmenters = pytest.mark.parametrize("name", models.SEGMENTERS)


def contract(name: str) -> nn.Module:
    return built(name, pixels=PIXELS.get(name, "imagenet"))


def all_maps(output: dict[str, Any]) -> list[Tensor]:
    return [output["logits"], *output["aux"]]


# ---- segmenters


@segmenters
def test_options_are_frozen_and_all_of_them_are_required(name: str) -> None:
    kind = models.options_class(name)
    assert dataclasses.is_dataclass(kind)
    assert all(each.default is inspect.Parameter.empty for each in inspect.signature(kind).parameters.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        options(name).changed = True


def test_every_segmenter_with_options_here_has_a_published_parameter_count() -> None:
    assert {name for name, _, _ in PUBLISHED} == set(SMALL)
    assert set(SMALL) <= set(models.SEGMENTERS)


@pytest.mark.parametrize(("name", "changed", "count"), PUBLISHED)
def test_a_segmenter_has_as_many_parameters_as_published(name: str, changed: dict[str, Any], count: int) -> None:
    assert parameters(shape_of(name, **changed)) == count


@segmenters
@pytest.mark.parametrize("size", [(33, 47), (32, 32), (50, 64), (1, 40), (520, 776)])
def test_logits_are_as_large_as_the_image(name: str, size: tuple[int, int]) -> None:
    images = 2 if max(size) < 100 else 1
    with torch.no_grad():
        output = contract(name).eval()(noise(images, 3, *size))
    assert set(output) == {"logits", "aux"}
    assert all(each.shape == (images, 1, *size) and each.dtype == torch.float32 for each in all_maps(output))


@segmenters
def test_the_gradient_reaches_every_parameter(name: str) -> None:
    network = contract(name)
    sum(each.square().sum() for each in all_maps(network(noise(2, 3, 33, 47)))).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@segmenters
def test_the_loss_falls_on_one_batch(name: str) -> None:
    network, images = contract(name), noise(2, 3, 48, 48)
    target = (images.mean(dim=1, keepdim=True) > 0.5).float()
    optimiser = torch.optim.AdamW(network.parameters(), 0.01)
    losses = []
    for _ in range(6):
        loss = F.binary_cross_entropy_with_logits(network(images)["logits"], target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def trained(name: str) -> dict[str, Tensor]:
    """The weights after two steps from seed 0."""
    network = contract(name)
    with seeded(0, CPU):
        optimiser = torch.optim.SGD(network.parameters(), 1e-3, momentum=0.9)
        for _ in range(2):
            optimiser.zero_grad()
            sum(each.square().mean() for each in all_maps(network(noise(2, 3, 40, 48)))).backward()
            optimiser.step()
    return network.state_dict()


@segmenters
def test_the_same_seed_trains_the_same_weights(name: str) -> None:
    first, second = trained(name), trained(name)
    assert all(torch.equal(first[key], second[key]) for key in first)


@segmenters
def test_a_saved_segmenter_answers_as_before(name: str) -> None:
    first, second, file = contract(name).eval(), contract(name).eval(), io.BytesIO()
    for parameter in second.parameters():
        parameter.data.zero_()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        assert torch.equal(first(image(33, 47))["logits"], second(image(33, 47))["logits"])


@segmenters
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_sixteen_bits_give_finite_logits(name: str, kind: torch.dtype) -> None:
    network = contract(name).eval()
    with torch.no_grad(), torch.autocast("cpu", kind):
        mixed = network(image(33, 47))
    with torch.no_grad():
        pure = network.to(kind)(image(33, 47).to(kind))
    assert all(each.isfinite().all() for each in all_maps(mixed) + all_maps(pure))


def test_a_unet_without_normalisation_keeps_its_signal_alive() -> None:
    with torch.no_grad():
        assert built("unet", width=8, norm="none", pixels="imagenet")(image())["logits"].std() > 1e-3


def test_padding_mirrors_right_and_bottom() -> None:
    small = torch.tensor([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]]).view(1, 1, 3, 3)
    assert pad_to_divisor(small, 5)[0, 0].tolist() == [
        [1, 2, 3, 2, 1],
        [4, 5, 6, 5, 4],
        [7, 8, 9, 8, 7],
        [4, 5, 6, 5, 4],
        [1, 2, 3, 2, 1],
    ]


def test_padding_repeats_the_border_where_there_is_too_little_to_mirror() -> None:
    row = torch.tensor([[1.0, 2, 3]]).view(1, 1, 1, 3)
    assert pad_to_divisor(row, 4)[0, 0].tolist() == [[1, 2, 3, 2]] * 4


def test_padding_does_not_change_the_logits_of_a_pointwise_network() -> None:
    class Pointwise(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            assert images.shape[-1] % 16 == images.shape[-2] % 16 == 0
            return [images[:, :1], images[:, 1:2]]

    given = image(33, 47)
    output = PaddedSegmenter(Pointwise(), size_divisor=16, pixels="unit")(given)
    assert torch.equal(output["logits"], given[:, :1])
    assert torch.equal(output["aux"][0], given[:, 1:2])


def test_pixels_are_what_their_name_says() -> None:
    pixel = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    by_name = {pixels: Normalise(pixels)(pixel).flatten().tolist() for pixels in ("unit", "half", "bgr")}
    assert by_name == {"unit": [0.0, 0.5, 1.0], "half": [-1.0, 0.0, 1.0], "bgr": [1.0, 0.5, 0.0]}


# ---- classifiers


@pytest.mark.parametrize("head", ["linear", "dense1000"])
def test_a_classifier_is_its_head_behind_its_features(head: str) -> None:
    network, images = (
        models.build_classifier("resnet18", head=head, weights="none", pixels="imagenet"),
        noise(2, 3, 64, 96),
    )
    with torch.no_grad():
        features, logits = network.eval().features(images), network(images)
        assert torch.equal(network.head(features), logits)
    assert features.shape == (2, 512, 2, 3)
    assert logits.shape == (2, 2)


def test_torchvision_weights_give_torchvision_features() -> None:
    reference = torchvision.models.resnet18(weights=None).eval()
    weights = reference.state_dict()
    network = models.build_classifier("resnet18", head="linear", weights=weights, pixels="unit").eval()
    reference.fc, reference.avgpool = nn.Identity(), nn.Identity()
    with torch.no_grad():
        assert torch.equal(network.features(image()).flatten(1), reference(image()))


def test_imagenet_pixels_are_normalised_inside_the_network() -> None:
    network = models.build_classifier("resnet18", head="linear", weights="none", pixels="imagenet").eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    by_hand = (image() - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(network.features(image()), network.trunk(by_hand))


def test_weights_of_another_resnet_name_what_differs() -> None:
    with shapes_only():
        weights = torchvision.models.resnet50(weights=None).state_dict()
        with pytest.raises(ValueError, match=r"bn3.bias is unknown; .* and \d+ more; wanted: a state dict"):
            models.build_classifier("resnet18", head="linear", weights=weights, pixels="unit")


def test_without_network_imagenet_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(monkeypatch)
    with shapes_only(), pytest.raises(ValueError, match=r'resnet18.*no network.*weights = "none"'):
        models.build_classifier("resnet18", head="linear", weights="imagenet", pixels="unit")


def test_unknown_classifiers_and_heads_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="'resnet19'; known: resnet18, resnet50"):
        models.build_classifier("resnet19", head="linear", weights="none", pixels="unit")
    with shapes_only(), pytest.raises(ValueError, match="head 'round'; allowed: 'linear', 'dense1000'"):
        models.build_classifier("resnet18", head="round", weights="none", pixels="unit")


@pytest.mark.parametrize("arch", [name for name in models.CLASSIFIERS if name not in ("resnet101", "resnet152")])
def test_every_classifier_keeps_the_contract(arch: str) -> None:
    """Two finite logits for a photo of any size from 32 px, features that are not negative, a gradient everywhere."""
    with seeded(0, CPU):
        network = models.build_classifier(arch, head="linear", weights="none", pixels="imagenet")
    batch = noise(45, 70).repeat(2, 1, 1, 1)
    features = network.features(batch)
    assert features.shape[2:] == (2, 3)
    assert features.min() >= 0
    logits = network(batch)
    assert logits.shape == (2, 2)
    logits.square().sum().backward()
    silent = [name for name, part in network.named_parameters() if part.grad is None or not part.grad.isfinite().all()]
    assert silent == []
    with torch.no_grad():
        alone, again = network.eval()(batch[:1]), network(batch)[:1]
    assert torch.allclose(alone, again, atol=1e-5), "a photo is judged by itself"


@pytest.mark.parametrize(
    ("arch", "parameters"),
    [
        ("efficientnet_lite0", 3_371_008),
        ("efficientnet_lite1", 4_135_680),
        ("efficientnet_lite2", 4_811_072),
    ],
)
def test_an_efficientnet_lite_classifier_has_two_classes_more_than_its_published_features(
    arch: str, parameters: int
) -> None:
    with shapes_only():
        network = models.build_classifier(arch, head="linear", weights="none", pixels="imagenet")
    assert sum(part.numel() for part in network.parameters()) == parameters + 2 * 1280 + 2
