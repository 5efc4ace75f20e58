"""Context-CrackNet: attention over all tokens by few keys, gated skips, and images of another size."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.networks.context_cracknet import ContextBlock, ContextCrackNet, Gate, LinformerAttention
from models.parts.wrapper import Tiled, mirror_until, starts
from tests.networks import built, image, parameters, shape_of, what_enters

OPTIONS = {"input_size": [64, 96], "tokens": "interpolate", "rank": 5}


def segmenter(**changed: Any) -> nn.Module:
    return built("context_cracknet", **{**OPTIONS, **changed}).eval()


def network(**changed: Any) -> ContextCrackNet:
    inner = segmenter(**changed).network
    assert isinstance(inner, ContextCrackNet)
    return inner


def test_modules_can_be_left_out_and_the_skips_stay() -> None:
    published = {"trunk": "resnet50", "width": 64, "input_size": [448, 448], "heads": 8, "rank": 256}
    whole, gateless, bare = (
        parameters(shape_of("context_cracknet", **published, **without))
        for without in ({}, {"rfem": False}, {"rfem": False, "cagm": False})
    )
    cagm = 8_801_280
    gates = sum(2 * (c * (c // 2) + 3 * (c // 2)) + c // 2 + 1 for c in (1024, 512, 256, 64))
    assert whole - gateless == gates == 1_386_852
    assert whole - bare == gates + cagm


def test_attention_owns_a_weight_for_each_token_and_each_of_the_few_keys() -> None:
    attention = network().cagm.attention
    assert attention.key_mix.shape == attention.value_mix.shape == (4 * 6, 5)
    assert parameters(segmenter(input_size=[64, 128])) - parameters(segmenter()) == 2 * (4 * 2) * 5


def test_attention_is_its_equation() -> None:
    torch.manual_seed(0)
    attention = LinformerAttention(6, (2, 4), heads=3, rank=5, dropout=0.0)
    x = torch.rand(2, 8, 6)
    query, key, value = attention.query(x), attention.key(x), attention.value(x)
    expected = torch.empty(2, 8, 6)
    for number, head in product(range(2), range(3)):
        mine = (number, slice(None), slice(2 * head, 2 * head + 2))  # two channels of each head
        scores = query[mine] @ (attention.key_mix.T @ key[mine]).T / 2**0.5
        expected[mine] = scores.softmax(dim=1) @ (attention.value_mix.T @ value[mine])
    assert torch.allclose(attention(x, (2, 4)), attention.out(expected), atol=1e-5)


def test_with_a_key_for_each_token_it_is_ordinary_attention() -> None:
    torch.manual_seed(0)
    attention = LinformerAttention(4, (2, 3), heads=2, rank=6, dropout=0.0)
    with torch.no_grad():
        attention.key_mix.copy_(torch.eye(6))
        attention.value_mix.copy_(torch.eye(6))
        x = torch.rand(1, 6, 4)
        parts = [attention.split(layer(x)) for layer in (attention.query, attention.key, attention.value)]
        ordinary = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        assert torch.allclose(attention(x, (2, 3)), attention.out(ordinary), atol=1e-6)


def test_attention_survives_sixteen_bits_where_its_sums_do_not() -> None:
    attention = LinformerAttention(4, (16, 16), heads=1, rank=2, dropout=0.0).half()
    with torch.no_grad():
        attention.key_mix.fill_(1)
        tokens = torch.full((1, 256, 4), 4000.0).half()  # 256 keys of some thousand each: beyond 65,504
        attention.key.weight.copy_(torch.eye(4))
        attention.value_mix.fill_(1e-3)
        assert attention(tokens, (16, 16)).isfinite().all()


def test_attention_reads_the_third_stage_and_writes_only_its_skip() -> None:
    inner = network()
    with torch.no_grad(), what_enters(inner.cagm, inner.grow[0], inner.up[0]) as seen:
        inner(image())
        *_, third, last = inner.trunk(image())
    assert torch.equal(seen[0], third)
    assert torch.equal(seen[1], last)
    plain = network(rfem=False)
    with torch.no_grad(), what_enters(plain.up[0], plain.up[1]) as joined:
        plain(image())
        *_, second, third, last = plain.trunk(image())
        assert torch.equal(joined[0], torch.cat([plain.cagm(third), plain.grow[0](last)], dim=1))
    assert torch.equal(joined[1][:, :16], second)  # skips of the other stages are plain


def test_the_block_adds_attention_and_dense_layers_to_the_features() -> None:
    torch.manual_seed(0)
    block = ContextBlock(4, (2, 3), heads=2, rank=3, dropout=0.5).eval()
    features = torch.rand(2, 4, 2, 3)
    tokens = features.permute(0, 2, 3, 1).reshape(2, 6, 4)
    attended = tokens + block.attention(F.layer_norm(tokens, [4]), (2, 3))
    expected = attended + block.dense(F.layer_norm(attended, [4]))
    assert torch.allclose(block(features), expected.reshape(2, 2, 3, 4).permute(0, 3, 1, 2), atol=1e-6)
    assert block.dense[0].out_features == 2 * 4


def test_a_gate_scales_all_channels_of_a_skip_alike() -> None:
    torch.manual_seed(0)
    gate, skip, below = Gate(4).eval(), torch.rand(1, 4, 3, 3) + 1, torch.rand(1, 4, 3, 3)
    share = gate(skip, below) / skip
    assert torch.allclose(share, share[:, :1].expand(-1, 4, -1, -1), atol=1e-6)
    assert ((share > 0) & (share < 1)).all()
    assert not torch.equal(gate(skip, below), gate(skip, -below))
    with torch.no_grad():
        gate.weigh[1].weight.zero_()
        gate.weigh[1].bias.zero_()
    assert torch.equal(gate(skip, below), skip / 2)


def test_the_way_up_ends_at_half_the_size_and_is_enlarged() -> None:
    inner = network()
    with torch.no_grad(), what_enters(inner.head) as seen:
        (logits,) = inner(image())
        half = inner.head(seen[0])
    assert seen[0].shape == (1, 8, 32, 48)
    assert torch.equal(logits, F.interpolate(half, size=(64, 96), mode="bilinear", align_corners=False))


def test_dropout_acts_in_training_only() -> None:
    block = ContextBlock(4, (2, 3), heads=2, rank=3, dropout=0.5)
    features = torch.rand(1, 4, 2, 3)
    assert torch.equal(block.eval()(features), block(features))
    assert not torch.equal(block.train()(features), block(features))


def test_stretched_weights_leave_sums_over_tokens_as_large_as_they_were() -> None:
    attention = LinformerAttention(4, (2, 3), heads=2, rank=3, dropout=0.0)
    assert torch.equal(attention.stretched(attention.key_mix, (2, 3)), attention.key_mix)
    rows = torch.tensor([0.0, 0, 0, 6, 6, 6])[:, None]  # the upper row of tokens 0, the lower 6
    twice = attention.stretched(rows, (4, 6)).reshape(4, 6)
    assert twice.tolist() == [[0.0] * 6, [0.375] * 6, [1.125] * 6, [1.5] * 6]
    assert twice.sum() == rows.sum()


def test_other_sizes_change_nothing_at_the_size_of_training() -> None:
    stretching, tiling = (segmenter(tokens=tokens) for tokens in ("interpolate", "tile"))
    with torch.no_grad():
        assert torch.equal(stretching(image())["logits"], tiling(image())["logits"])
        assert not torch.equal(stretching(image(64, 128))["logits"], tiling(image(64, 128))["logits"])


class Pointwise(nn.Module):
    """Two maps of an image of 4×6 pixels, each pixel from itself alone."""

    def forward(self, batch: Tensor) -> list[Tensor]:
        assert batch.shape[-2:] == (4, 6)
        return [batch[:, :1], 2 * batch[:, 1:2]]


def test_as_few_tiles_as_cover_the_image_are_spread_evenly() -> None:
    assert starts(4, 4) == [0]
    assert starts(8, 4) == [0, 4]
    assert starts(9, 4) == [0, 2, 5]
    assert starts(5, 4) == [0, 1]


@given(st.integers(1, 20), st.integers(0, 100))
def test_tiles_lie_inside_the_image_and_leave_no_gap(tile: int, more: int) -> None:
    length, first = tile + more, starts(tile + more, tile)
    assert first[0] == 0 and first[-1] == length - tile
    assert len(first) == -(-length // tile)
    assert all(0 < after - before <= tile for before, after in pairwise(first))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 15), st.integers(1, 15))
def test_tiling_a_pointwise_network_is_that_network(height: int, width: int) -> None:
    batch = torch.rand(2, 3, height, width)
    first, second = Tiled(Pointwise(), (4, 6)).eval()(batch)
    assert torch.allclose(first, batch[:, :1])
    assert torch.allclose(second, 2 * batch[:, 1:2])


def test_crops_smaller_than_a_tile_are_not_trained_on() -> None:
    with pytest.raises(ValueError, match=r"a training batch of 64×64 px; .* 64×96 px, so let input_size be"):
        segmenter(tokens="tile").train()(image(64, 64))
    segmenter(tokens="tile").train()(image(64, 96).repeat(2, 1, 1, 1))


def test_overlapping_tiles_are_averaged() -> None:
    class Counter(nn.Module):
        calls = 0

        def forward(self, batch: Tensor) -> list[Tensor]:
            self.calls += 1
            return [torch.full((len(batch), 1, 4, 6), float(self.calls))]

    (mean,) = Tiled(Counter(), (4, 6))(torch.rand(1, 3, 4, 8))
    assert mean[0, 0].tolist() == [[1.0, 1, 1.5, 1.5, 1.5, 1.5, 2, 2]] * 4


def test_mirroring_goes_back_and_forth_until_it_is_enough() -> None:
    row = torch.tensor([1.0, 2, 3]).view(1, 1, 1, 3)
    assert mirror_until(row, 2, 8)[0, 0].tolist() == [[1, 2, 3, 2, 1, 2, 3, 2]] * 2
    assert mirror_until(row, 1, 3) is row
