"""OED and EfficientNet, its encoder."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.ops import StochasticDepth

from models.networks.oed import ResidualBlock, mean_probability
from models.parts.efficientnet import Encoder, HalvingConvolution, pad_like_tensorflow
from models.parts.options import MEMBERS
from pipeline.learning.training import seeded
from tests.networks import CPU, built, cut_off, image, noise, parameters, shape_of, shapes_only

B0 = {"width": 1.0, "depth": 1.0}


@pytest.fixture(scope="module")
def published() -> Any:
    published = {"width": 1.6, "depth": 2.2, "decoder_width": 256, "drop_connect": 0.2, "bn_momentum": 0.01}
    return shape_of("oed", **published).network


def test_the_published_encoder_hands_over_the_published_maps(published: Any) -> None:
    maps = published.encoder(torch.empty(1, 3, 384, 544, device="meta"))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (144, 192, 272),
        (240, 96, 136),
        (384, 48, 68),
        (1056, 24, 34),
        (2048, 12, 17),
    ]


def test_the_published_encoder_has_the_parameters_and_blocks_of_b5(published: Any) -> None:
    stages = published.encoder.features[1:-1]
    assert [len(stage) for stage in stages] == [3, 5, 5, 7, 7, 9, 3]
    assert [stage[-1].block[-1][0].out_channels for stage in stages] == [24, 40, 64, 128, 176, 304, 512]
    assert parameters(published.encoder) == 28_340_784


def test_the_published_statistics_are_as_many_as_published(published: Any) -> None:
    buffers = dict(published.named_buffers())
    assert sum(buffer.numel() for name, buffer in buffers.items() if "running" in name) == 173_824
    norms = [module for module in published.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}


def test_the_published_decoder_halves_its_channels_at_each_scale(published: Any) -> None:
    befores = [block[0][0].in_channels for block in published.decoder]
    assert befores == [2048 + 1056, 256 + 384, 128 + 240, 64 + 144]
    assert [side.in_channels for side in published.sides] == [256, 128, 64, 32]
    assert published.last[0][0].in_channels == 32 + 16
    assert published.head.in_channels == 16


def test_the_four_sides_come_from_fine_to_coarse() -> None:
    """Here each side says nothing but how wide the map is that it was made on."""
    network = built("oed").eval()
    for side in network.network.sides:
        side.register_forward_hook(lambda _, __, out: torch.full_like(out, out.shape[-1] / 10))
    aux = network(image(64, 64))["aux"]
    assert [round(side.mean().item() * 10) for side in aux] == [32, 16, 8, 4]


def test_strided_convolutions_are_padded_behind_as_tensorflow_pads() -> None:
    ones = torch.ones(1, 1, 4, 4)
    for kernel, expected in ((3, [[9, 6], [6, 4]]), (5, [[16, 12], [12, 9]])):
        layer = HalvingConvolution(1, 1, kernel, stride=2, bias=False)
        nn.init.ones_(layer.weight)
        assert layer(ones)[0, 0].tolist() == expected


def test_every_strided_convolution_is_padded_so(published: Any) -> None:
    strided = [module for module in published.modules() if isinstance(module, nn.Conv2d) and module.stride != (1, 1)]
    assert [type(module) for module in strided] == [HalvingConvolution] * 5
    assert [module.kernel_size[0] for module in strided] == [3, 3, 5, 3, 5]


def test_given_weights_compute_what_torchvision_computes() -> None:
    """But for the borders of strided convolutions, which torchvision's network is given here too."""
    with seeded(2, CPU):
        reference = torchvision.models.efficientnet_b0(weights=None).eval()
    weights = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    for name, tensor in weights.items():
        if name.endswith("running_mean"):
            tensor.uniform_(-0.1, 0.1, generator=torch.Generator().manual_seed(len(name)))
    pad_like_tensorflow(reference.features)
    reference.load_state_dict(weights)
    for module in reference.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3  # theirs is smaller up to B4
    network = built("oed", weights=weights, **B0).eval().network
    assert torch.equal(network.encoder.features[0][0].weight, weights["features.0.0.weight"])
    with torch.no_grad():
        assert torch.equal(network.encoder(image())[-1], reference.features(image()))


def test_weights_that_do_not_fit_say_why() -> None:
    with shapes_only():
        weights = torchvision.models.efficientnet_b0(weights=None).state_dict()
        with pytest.raises(
            ValueError, match=r"and \d+ more; wanted: a state dict of torchvision's EfficientNet of this"
        ):
            built("oed", width=1.0, depth=1.1, weights=weights)


def test_without_network_imagenet_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(monkeypatch)
    with pytest.raises(ValueError, match=r'weights of efficientnet_b0 from .*no network.*set encoder = "none"'):
        shape_of("oed", encoder="imagenet", **B0)


@pytest.mark.parametrize(("factors", "arch"), MEMBERS.items())
def test_the_members_with_weights_have_torchvisions_shapes(factors: tuple[float, float], arch: str) -> None:
    with shapes_only():
        theirs = torchvision.models.get_model(arch, weights=None).features.state_dict()
        ours = Encoder(*factors, 0.0, 0.1).features.state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


def test_blocks_are_dropped_in_training_only() -> None:
    network, images = built("oed", drop_connect=0.9, depth=1.0).network, noise(2, 3, 32, 64)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for drops in (True, False):
        network.train(drops)
        for norm in norms:
            norm.eval()  # so that nothing else changes from one pass to the next
        with seeded(5, CPU), torch.no_grad():
            first, second = (network.encoder(images)[-1] for _ in range(2))
        assert torch.equal(first, second) != drops


def test_the_rate_of_dropping_grows_from_block_to_block(published: Any) -> None:
    rates = [module.p for module in published.modules() if isinstance(module, StochasticDepth)]
    assert len(rates) == 39
    assert rates == pytest.approx([0.2 * block / 39 for block in range(39)])


def test_a_residual_block_adds_what_is_positive_and_ends_with_the_sum() -> None:
    block = ResidualBlock(1)
    for layer in (block.first, block.second):
        nn.init.zeros_(layer.weight)
    x = torch.tensor([[-3.0, 2.0]]).view(1, 1, 1, 2)
    for bias, expected in ((0.0, [-3.0, 2.0]), (5.0, [2.0, 7.0]), (-5.0, [-3.0, 2.0])):
        nn.init.constant_(block.second.bias, bias)
        assert block(x).flatten().tolist() == expected


def test_a_side_averages_probabilities_and_not_logits() -> None:
    logits = torch.tensor([[0.0, 4.0]]).view(1, 1, 1, 2)
    probabilities = torch.sigmoid(mean_probability(logits, torch.Size((1, 4)))).flatten()
    low, high = 0.5, torch.sigmoid(torch.tensor(4.0)).item()
    expected = [low, 0.75 * low + 0.25 * high, 0.25 * low + 0.75 * high, high]
    assert probabilities.tolist() == pytest.approx(expected, abs=1e-6)


def test_a_side_agrees_with_the_plain_formula() -> None:
    logits = 3 * torch.randn(2, 1, 4, 6, generator=torch.Generator().manual_seed(4)).double()
    size = torch.Size((64, 96))
    plain = torch.logit(F.interpolate(torch.sigmoid(logits), size=size, mode="bilinear", align_corners=False))
    assert torch.allclose(mean_probability(logits.float(), size), plain.float(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_a_side_that_is_too_sure_can_still_learn(kind: torch.dtype) -> None:
    for sure in (-60.0, 60.0):
        logits = torch.full((1, 1, 2, 2), sure, dtype=kind, requires_grad=True)
        enlarged = mean_probability(logits, torch.Size((4, 4)))
        assert torch.allclose(enlarged, torch.full((1, 1, 4, 4), sure), rtol=1e-4)
        F.binary_cross_entropy_with_logits(enlarged, torch.full((1, 1, 4, 4), float(sure < 0))).backward()
        assert logits.grad is not None
        assert (logits.grad * sure > 0).all() and logits.grad.isfinite().all()
    extreme = torch.tensor([-1e4, 1e4]).view(1, 1, 1, 2).requires_grad_()
    enlarged = mean_probability(extreme, torch.Size((2, 4)))
    enlarged.sum().backward()
    assert enlarged.isfinite().all() and extreme.grad is not None and extreme.grad.isfinite().all()
