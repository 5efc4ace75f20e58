"""PSPNet: its dilated trunk and that trunk's weights, the pyramid of means, the way up, the auxiliary output."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from models.networks.pspnet import PSPNet, Pyramid
from models.parts.resnet_stages import ResNetStages, build_trunk
from tests.networks import built, cut_off, image, shape_of


def network(**changed: Any) -> PSPNet:
    inner = built("pspnet", **changed).eval().network
    assert isinstance(inner, PSPNet)
    return inner


def convolutions_3x3(stage: nn.Module) -> list[list[tuple[int, int]]]:
    """Stride and dilation of the 3×3 convolutions, block by block."""
    return [
        [
            (layer.stride[0], layer.dilation[0])
            for layer in block.modules()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
        ]
        for block in stage
    ]


def test_the_dilated_stages_start_with_a_block_that_is_not() -> None:
    trunk = shape_of("pspnet", trunk="resnet34").network.trunk
    assert convolutions_3x3(trunk.layer2) == [[(2, 1), (1, 1)]] + [[(1, 1), (1, 1)]] * 3
    assert convolutions_3x3(trunk.layer3) == [[(1, 1), (1, 1)]] + [[(1, 2), (1, 2)]] * 5
    assert convolutions_3x3(trunk.layer4) == [[(1, 1), (1, 1)]] + [[(1, 4), (1, 4)]] * 2


@pytest.mark.parametrize(("dilated", "strides"), [(True, (2, 4, 8, 8, 8)), (False, (2, 4, 8, 16, 32))])
@pytest.mark.parametrize("trunk", ["resnet10", "resnet50"])
def test_a_trunk_gives_the_features_of_every_stage(trunk: str, dilated: bool, strides: tuple[int, ...]) -> None:
    stages = ResNetStages(trunk, 4, dilated=dilated).eval()
    sizes = [(channels, 64 // s, 96 // s) for channels, s in zip(stages.channels, strides, strict=True)]
    assert [tuple(each.shape[1:]) for each in stages(image())] == sizes
    assert stages.channels == ([4, 4, 8, 16, 32] if trunk == "resnet10" else [4, 16, 32, 64, 128])


@pytest.mark.parametrize("trunk", ["resnet18", "resnet50"])
def test_torchvision_weights_give_torchvision_features(trunk: str) -> None:
    torch.manual_seed(0)
    reference = torchvision.models.get_model(trunk, weights=None).eval()
    stages = build_trunk(trunk, 64, dilated=False, encoder=reference.state_dict()).eval()
    reference.fc = nn.Identity()
    with torch.no_grad():
        *_, last = stages(image())
        assert torch.allclose(last.mean(dim=(2, 3)), reference(image()), rtol=1e-4, atol=1e-5)


def test_given_weights_reach_the_dilated_trunk_and_nothing_else() -> None:
    weights = ResNetStages("resnet10", 8, dilated=False).state_dict()
    plain, filled = (network(weights=each) for each in (None, weights))
    assert torch.equal(filled.trunk.conv1.weight, weights["conv1.weight"])
    assert torch.equal(filled.trunk.layer4[0].conv2.weight, weights["layer4.0.conv2.weight"])
    assert torch.equal(filled.head.weight, plain.head.weight)


def test_the_pyramid_is_the_enlarged_means_of_its_cells_then_the_features() -> None:
    pyramid = Pyramid(2, 10, [1, 2, 3, 6])
    with torch.no_grad():
        for mix in pyramid.mix:
            mix.weight.copy_(torch.eye(2).view(2, 2, 1, 1))
        pyramid.join.weight.copy_(torch.eye(10).view(10, 10, 1, 1))
        pyramid.join.bias.zero_()
        features = torch.rand(1, 2, 6, 6)
        joined = pyramid(features)
    assert torch.allclose(joined[0, :2], features[0].mean(dim=(1, 2))[:, None, None].expand(2, 6, 6))
    assert torch.allclose(joined[0, 6:8], features[0])  # six by six cells of one pixel each
    assert torch.equal(joined[0, 8:], features[0])
    assert all(mix.bias is None for mix in pyramid.mix)


def test_without_levels_the_pyramid_joins_the_features_alone() -> None:
    pyramid = network(pyramid=[]).pyramid
    features = torch.rand(1, 64, 6, 6)
    assert len(pyramid.mix) == 0
    assert torch.equal(pyramid(features), F.relu(pyramid.join(features)))


def test_the_way_up_doubles_three_times() -> None:
    published = shape_of("pspnet", trunk="resnet34", width=64).network
    layers = [layer for layer in published.grow if isinstance(layer, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [(1024, 256), (256, 64), (64, 64)]
    assert all(layer.bias is not None for layer in layers)
    inner = network()
    assert inner.grow(torch.rand(1, 128, 3, 5)).shape == (1, 8, 24, 40)


def test_the_auxiliary_output_is_read_from_the_third_stage() -> None:
    inner = network()
    with torch.no_grad():
        main, auxiliary = inner(image())
        third = inner.trunk(image())[3]
        expected = F.interpolate(inner.auxiliary(third), size=(64, 96), mode="bilinear", align_corners=True)
        (alone,) = network(auxiliary=False)(image())
    assert torch.equal(auxiliary, expected)
    assert main.shape == alone.shape == (1, 1, 64, 96)


def test_channels_drop_out_in_training_only() -> None:
    inner = network()
    with torch.no_grad():
        assert torch.equal(inner(image())[0], inner(image())[0])
        for module in inner.modules():
            if isinstance(module, nn.Dropout2d):
                module.train()  # and batch norm stays as it is
        first, second = inner(image()), inner(image())
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])
    assert [module.p for module in inner.modules() if isinstance(module, nn.Dropout2d)] == [0.3, 0.15, 0.15, 0.15, 0.1]


def test_weights_that_do_not_fit_say_why() -> None:
    with pytest.raises(ValueError, match=r"^weights that do not fit: bn1\.bias is missing; "):
        network(weights={"conv1.weight": torch.zeros(1)})


def test_without_network_imagenet_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(monkeypatch)
    with pytest.raises(ValueError, match=r'resnet18.*no network.*set encoder = "none"'):
        shape_of("pspnet", trunk="resnet18", width=64, encoder="imagenet")
