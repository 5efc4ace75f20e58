"""SCNet: attention beside the road, maps of all finer scales, indices that lead back, edges as a fourth channel."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.networks.scnet import ImageNorm, ScaleMap, SCNet, bilinear_deconvolution, sobel_edges
from tests.networks import built, image, noise, parameters, shape_of, what_enters


def inner(**changed: Any) -> SCNet:
    network = built("scnet", **changed).network
    assert isinstance(network, SCNet)
    return network


def test_attention_weighs_features_and_shrinks_them_to_one_map() -> None:
    attend = ScaleMap(2, attention=True, init="xavier")
    with torch.no_grad():
        attend.weigh.weight.copy_(torch.tensor([1.0, -1.0]).view(1, 2, 1, 1))
        attend.weigh.bias.zero_()
        attend.shrink.weight.copy_(torch.tensor([1.0, 10.0]).view(1, 2, 1, 1))
        attend.shrink.bias.fill_(0.5)
    features = torch.tensor([3.0, 3.0]).view(1, 2, 1, 1)  # σ(3 − 3) = ½
    assert attend(features).item() == 0.5 * (3 + 30) + 0.5


def test_without_attention_a_map_is_its_features_shrunk() -> None:
    attend = ScaleMap(3, attention=False, init="xavier")
    assert torch.equal(attend(image()), attend.shrink(image()))
    gates = 1472 + 5 + 1024 + 5  # channels of the blocks of encoder and decoder, and a bias each
    assert parameters(shape_of("scnet", width=64, attention=False)) == 29_463_044 - gates


def test_attention_is_a_side_road_that_the_features_do_not_take() -> None:
    network = inner()
    with torch.no_grad():
        before, maps, _ = network.encode(network.entry(image()))
        for attend in network.down_map:
            attend.weigh.bias.fill_(-1e9)  # every gate shut
        after, shut, _ = network.encode(network.entry(image()))
    assert torch.equal(before, after)
    assert not torch.equal(maps[-1], shut[-1])


def test_scale_n_gathers_the_halved_maps_of_all_finer_scales() -> None:
    network = inner()
    _, gathered, _ = network.encode(network.entry(image()))
    assert [tuple(each.shape[1:]) for each in gathered] == [
        (1, 64, 96),
        (2, 32, 48),
        (3, 16, 24),
        (4, 8, 12),
        (5, 4, 6),
    ]
    for finer, coarser in pairwise(gathered):
        assert torch.equal(coarser[:, :-1], F.max_pool2d(finer, 2))


def test_unpooling_puts_every_maximum_back_where_it_was() -> None:
    network = inner(levels=4)
    with torch.no_grad(), what_enters(network.up[3][0]) as unpooled, what_enters(network.down_map[3]) as features:
        network(image())
    spread, (found,) = unpooled[0], features
    places = F.max_pool2d(found, 2, return_indices=True)[1]
    assert torch.equal(spread, F.max_unpool2d(F.max_pool2d(found, 2), places, 2))
    assert torch.equal(spread[spread > 0], found[spread > 0])
    assert spread.count_nonzero() <= found.numel() // 4


def test_pooled_by_means_each_pixel_is_repeated_on_the_way_up() -> None:
    network = inner(levels=4, pool="average")
    with torch.no_grad(), what_enters(network.up[3][0]) as enlarged, what_enters(network.down_map[3]) as features:
        network(image())
    means = F.avg_pool2d(features[0], 2)
    assert torch.equal(enlarged[0], means.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))


@pytest.mark.parametrize(("norm", "layer"), [("batch", nn.BatchNorm2d), ("none", nn.Identity), ("instance", ImageNorm)])
def test_the_norm_stands_behind_every_convolution_of_the_road(norm: str, layer: type[nn.Module]) -> None:
    layers = [type(each) for each in inner(norm=norm).modules() if not isinstance(each, nn.Sequential)]
    roads = [behind for each, behind in pairwise(layers) if each is nn.Conv2d and behind in (nn.ReLU, layer)]
    assert roads == [layer] * 26


def test_first_weights_spread_as_their_rule_says() -> None:
    first = {
        init: inner(init=init, width=32).up[4][0].weight.detach() for init in ("xavier", "he", "orthogonal", "uniform")
    }
    ways = 256 * 9  # into each output, and out of each input
    assert math.isclose(float(first["xavier"].std()), math.sqrt(2 / (2 * ways)), rel_tol=0.02)
    assert math.isclose(float(first["he"].std()), math.sqrt(2 / ways), rel_tol=0.02)
    assert math.isclose(float(first["uniform"].abs().max()), math.sqrt(1 / ways), rel_tol=0.02)
    rows = first["orthogonal"].flatten(1)
    assert torch.allclose(rows @ rows.T, torch.eye(256), atol=1e-5)


def test_the_result_is_mixed_from_the_maps_of_all_scales_fine_first() -> None:
    network = inner()
    main, *scales = network(image())
    assert len(scales) == 5
    assert torch.equal(main, network.final(torch.cat(scales, dim=1)))
    with torch.no_grad():
        network.enlarge[0].weight.zero_()  # that of the finest scale
    assert [bool(each.any()) for each in network(image())[1:]] == [False, True, True, True, True]


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_deconvolutions_start_as_bilinear_enlargements(stride: int) -> None:
    small = noise(1, 1, 6, 7)
    large = F.interpolate(small, scale_factor=stride, mode="bilinear", align_corners=False)
    inside = (..., slice(stride, -stride), slice(stride, -stride))  # zeros surround the image of a deconvolution
    layer = bilinear_deconvolution(stride)
    assert layer(small).shape == large.shape
    assert layer.weight.numel() == (2 * stride) ** 2
    assert torch.allclose(layer(small)[inside], large[inside], atol=1e-6)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_each_image_is_normed_by_itself_and_keeps_its_layout(layout: torch.memory_format) -> None:
    batch = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(2)) * 4 + 7
    normed = ImageNorm()(batch.contiguous(memory_format=layout))
    assert torch.allclose(normed, nn.InstanceNorm2d(5)(batch), atol=1e-6)
    assert normed.is_contiguous(memory_format=layout)


def test_both_pixels_beside_a_step_are_edges() -> None:
    grey = torch.tensor([[0.2, 0.2, 0.2, 0.6, 0.6]] * 3)
    rgb = grey.expand(1, 3, 3, 5)
    assert sobel_edges(rgb, 0.39)[0, 0].tolist() == [[-1, -1, 1, 1, -1]] * 3
    assert sobel_edges(rgb, 0.41)[0, 0].tolist() == [[-1, -1, -1, -1, -1]] * 3


@pytest.mark.parametrize("turn", [lambda x: x.flip(2), lambda x: x.flip(3), lambda x: x.transpose(2, 3)])
def test_edges_do_not_depend_on_where_up_is(turn: Callable[[Tensor], Tensor]) -> None:
    same = turn(sobel_edges(turn(image()), 0.2)) == sobel_edges(image(), 0.2)
    assert same.float().mean() > 0.999  # rounding: sums are taken in another order


def test_the_fourth_channel_is_zero_or_sobel_or_given() -> None:
    rgb, given = image(), (noise(1, 1, 64, 96) > 0.5).float()
    assert not inner(edges="none").entry(rgb)[:, 3].any()
    assert torch.equal(inner(edges="sobel").entry(rgb)[:, 3:], sobel_edges(rgb, 0.1))
    entered = inner(edges="input", pixels="half").entry(torch.cat([rgb, given], dim=1))
    assert torch.equal(entered[:, 3:], given * 2 - 1)
    assert torch.allclose(entered[:, :3], rgb * 2 - 1, atol=1e-6)


def test_given_edges_of_any_size_decide_the_logits() -> None:
    network = built("scnet", edges="input", pixels="imagenet").eval()
    with torch.no_grad():
        outputs = [
            network(torch.cat([image(33, 47), edges], dim=1))
            for edges in (noise(1, 1, 33, 47), torch.zeros(1, 1, 33, 47))
        ]
    assert outputs[0]["logits"].shape == (1, 1, 33, 47)
    assert not torch.equal(outputs[0]["logits"], outputs[1]["logits"])


def test_the_smallest_image_can_be_trained_on() -> None:
    output = built("scnet").train()(image(1, 1))
    assert output["logits"].shape == (1, 1, 1, 1)
    output["logits"].sum().backward()


def test_a_batch_without_its_edges_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 3 channels; edges 'input' want 4"):
        built("scnet", edges="input")(image())
    with pytest.raises(ValueError, match="a batch of 4 channels; edges 'none' want 3"):
        built("scnet", edges="none")(noise(1, 4, 64, 96))
