"""CGNet: where it halves, what it joins in which order, and what its two classes mean as one logit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from models.networks.cgnet import CGNet, ContextBlock, Depthwise
from tests.networks import built, image, noise, what_enters, what_leaves


def network(**changed: Any) -> CGNet:
    inner = built("cgnet", **changed).eval().network
    assert isinstance(inner, CGNet)
    return inner


def test_m_and_n_count_the_block_that_halves() -> None:
    inner = network(width=32, n=21)
    assert (len(inner.stage2), len(inner.stage3)) == (3, 21)
    for stage, channels in ((inner.stage2, 64), (inner.stage3, 128)):
        assert [block.halves for block in stage] == [True] + [False] * (len(stage) - 1)
        assert [block.local.groups for block in stage] == [channels] + [channels // 2] * (len(stage) - 1)


def test_surroundings_are_dilated_by_two_then_four() -> None:
    inner = network()
    for stage, dilation in ((inner.stage2, 2), (inner.stage3, 4)):
        assert {block.surrounding.dilation for block in stage} == {(dilation, dilation)}
        assert {block.local.dilation for block in stage} == {(1, 1)}


def test_the_global_context_narrows_to_an_eighth_then_a_sixteenth() -> None:
    inner = network(width=32)
    assert {block.context.weigh[0].out_features for block in inner.stage2} == {64 // 8}
    assert {block.context.weigh[0].out_features for block in inner.stage3} == {128 // 16}


def test_stages_work_at_a_half_a_quarter_and_an_eighth() -> None:
    inner = network()
    with torch.no_grad(), what_leaves(inner.stem, inner.stage2[0], inner.stage3[0], inner.classes) as left:
        inner(image())
    assert [tuple(output.shape[1:]) for output in left] == [
        (8, 32, 48),
        (16, 16, 24),
        (32, 8, 12),
        (2, 8, 12),
    ]


def test_stage_two_joins_last_first_image_and_stage_three_first_last() -> None:
    inner = network()
    blocks = [inner.stem, inner.stage2[0], inner.stage2[-1], inner.stage3[0], inner.stage3[-1]]
    with torch.no_grad(), what_leaves(*blocks) as left, what_enters(*inner.norms) as joined:
        inner(image())
    stem, first, last, deep_first, deep_last = left
    half = F.avg_pool2d(image(), 3, 2, 1)
    assert torch.equal(joined[0], torch.cat([stem, half], dim=1))
    assert torch.equal(joined[1], torch.cat([last, first, F.avg_pool2d(half, 3, 2, 1)], dim=1))
    assert torch.equal(joined[2], torch.cat([deep_first, deep_last], dim=1))


@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_depthwise_gradients_are_right_where_torch_has_them_wrong(dilation: int) -> None:
    torch.manual_seed(0)
    layer, features, target = Depthwise(8, dilation), noise(2, 8, 32, 32), noise(2, 8, 32, 32, seed=2)
    gradients = []
    for wide, layout in ((True, torch.contiguous_format), (False, torch.channels_last)):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=not wide):
            inputs = features.contiguous(memory_format=layout) if wide else features.bfloat16().to(memory_format=layout)
            output = layer(inputs)
        assert output.dtype == inputs.dtype
        (output.float() * target).sum().backward()
        gradients.append(layer.weight.grad)
    assert torch.allclose(gradients[0], gradients[1], rtol=0.01)


@pytest.mark.parametrize("halves", [True, False])
def test_only_a_block_that_keeps_its_size_adds_its_input(halves: bool) -> None:
    block = ContextBlock(8, 8, dilation=2, reduction=4, halves=halves).eval()
    with torch.no_grad():
        block.context.weigh[2].weight.zero_()
        block.context.weigh[2].bias.fill_(-1e9)  # the context lets nothing through
    features = noise(1, 8, 6, 6)
    expected = torch.zeros(1, 8, 3, 3) if halves else features
    assert torch.equal(block(features), expected)


def test_the_sigmoid_of_the_logit_is_the_softmax_of_crack() -> None:
    inner = network()
    with torch.no_grad():
        two = F.interpolate(inner.two_logits(image()), size=(64, 96), mode="bilinear", align_corners=False)
        (logit,) = inner(image())
    assert torch.allclose(logit.sigmoid(), two.softmax(dim=1)[:, 1:], atol=1e-6)


def test_weighted_cross_entropy_of_two_classes_is_weighted_binary_cross_entropy_of_the_logit() -> None:
    inner, target = network(), (image()[:, :1] > 0.7).float()
    with torch.no_grad():
        two = F.interpolate(inner.two_logits(image()), size=(64, 96), mode="bilinear", align_corners=False)
        (logit,) = inner(image())
    weights = torch.tensor([5.0, 10.0])
    classes = F.cross_entropy(two, target[:, 0].long(), weight=weights)
    binary = F.binary_cross_entropy_with_logits(logit, target, weight=weights[target.long()], reduction="sum")
    assert torch.allclose(classes, binary / weights[target.long()].sum(), rtol=1e-5)
