"""The two networks called DeepCrack, and VGG-16 as their encoder."""

import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg as torchvision_vgg

from models.networks.deepcrack_zou import enlarge_and_mix
from models.parts import vgg
from pipeline.learning.training import seeded
from tests.networks import CPU, built, cut_off, image, noise, shape_of, what_enters, what_leaves


def liu(**changed: Any) -> Any:
    return built("deepcrack_liu", **changed)


def zou(**changed: Any) -> Any:
    return built("deepcrack_zou", **changed)


@functools.cache
def reference_vgg(*, batch_norm: bool) -> nn.Sequential:
    """torchvision's VGG-16 without its classifier, with statistics and biases that are not the initial ones."""
    with seeded(3, CPU):
        features: nn.Sequential = torchvision_vgg.make_layers(torchvision_vgg.cfgs["D"], batch_norm=batch_norm)
        for name, tensor in features.state_dict().items():
            if name.endswith(("bias", "running_mean")):
                tensor.uniform_(-0.1, 0.1)
    return features.eval()


def weights_of(features: nn.Sequential) -> dict[str, Tensor]:
    classifier = {"classifier.0.weight": torch.zeros(1)}
    return {**{f"features.{name}": tensor for name, tensor in features.state_dict().items()}, **classifier}


# ---- Liu


def test_the_five_stages_of_liu_lie_four_poolings_apart() -> None:
    network = liu().eval()
    with torch.no_grad(), what_leaves(*network.network.stages) as stages:
        network(image())
    assert [tuple(x.shape[1:]) for x in stages] == [(4, 64, 96), (8, 32, 48), (16, 16, 24), (32, 8, 12), (32, 4, 6)]


def test_liu_has_five_side_outputs_and_no_bias() -> None:
    network = liu(norm="instance")
    assert len(network.eval()(image(32, 32))["aux"]) == 5
    assert not [name for name, _ in network.named_parameters() if name.endswith("bias")]


def test_the_side_outputs_of_liu_are_enlarged_corner_to_corner() -> None:
    network = liu().eval()
    side = network.network.sides[2]  # at a quarter of the size
    side.register_forward_hook(lambda _, __, out: torch.arange(float(out.shape[-1])).expand(out.shape))
    third = network(image(32, 64))["aux"][2]
    assert torch.allclose(third[0, 0, 5], torch.linspace(0, 15, 64), atol=1e-5)


def test_the_main_output_of_liu_weighs_the_sides_from_fine_to_coarse() -> None:
    network = liu().eval()
    network.network.fuse.weight.data = torch.tensor([1.0, 2, 3, 4, 5]).view(1, 5, 1, 1)
    with torch.no_grad():
        output = network(image(64, 64))
    expected = sum(weight * side for weight, side in enumerate(output["aux"], start=1))
    assert torch.allclose(output["logits"], expected, rtol=1e-4, atol=1e-9)


def test_liu_can_test_with_the_statistics_of_each_single_image() -> None:
    """As training does with a batch of one image, whatever else is tested beside it; it leaves no trace."""
    network, images = liu(bn_test_mode="batch").eval(), noise(2, 3, 64, 64)
    images[1] *= 0.3
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        tested = network(images)["logits"]
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
        alone = torch.cat([network.train()(image[None])["logits"] for image in images])
    assert torch.allclose(tested, alone, rtol=1e-3, atol=1e-3 * float(alone.std()))


def test_testing_with_running_statistics_depends_on_what_was_seen_in_training() -> None:
    for mode, same in (("running", False), ("batch", True)):
        network = liu(bn_test_mode=mode)
        with torch.no_grad():
            first = network.eval()(image())["logits"]
            network.train()(noise(2, 3, 64, 64, seed=2))
            assert torch.equal(network.eval()(image())["logits"], first) == same


def test_both_test_modes_share_their_weights() -> None:
    running, batch = liu(), liu(bn_test_mode="batch")
    batch.load_state_dict(running.state_dict())


# ---- Zou


def test_the_decoder_of_zou_returns_each_value_to_the_pixel_it_came_from() -> None:
    network = zou().eval()
    with torch.no_grad(), what_leaves(network.network.down[4]) as down, what_enters(network.network.up[4]) as up:
        network(image(64, 64))
    (encoded,), (decoded,) = down, up
    assert torch.equal(F.max_pool2d(decoded, 2), F.max_pool2d(encoded, 2))
    filled = decoded != 0
    assert torch.equal(decoded[filled], encoded[filled])
    assert F.avg_pool2d(filled.float(), 2).max() <= 0.25


def test_the_five_scales_of_zou_lie_five_poolings_deep() -> None:
    network = zou().eval()
    with torch.no_grad(), what_leaves(*network.network.down) as down, what_leaves(*network.network.up) as up:
        network(image())
    assert [tuple(x.shape[1:]) for x in down] == [(4, 64, 96), (8, 32, 48), (16, 16, 24), (32, 8, 12), (32, 4, 6)]
    assert [tuple(x.shape[1:]) for x in up] == [
        (32, 4, 6),
        (16, 8, 12),
        (8, 16, 24),
        (4, 32, 48),
        (4, 64, 96),
    ]  # from deep to flat


def test_the_fusions_of_the_published_zou_are_as_wide_as_published() -> None:
    network = shape_of("deepcrack_zou", width=64).network
    assert [fusion.mix.in_channels for fusion in network.fusions] == [128, 192, 384, 768, 1024]
    assert [fusion.mix.out_channels for fusion in network.fusions] == [64] * 5
    assert [fusion.times for fusion in network.fusions] == [1, 2, 4, 8, 16]


@pytest.mark.parametrize("times", [2, 4, 8, 16])
def test_mixing_before_enlarging_equals_mixing_after(times: int) -> None:
    with seeded(times, CPU):
        mix, x = nn.Conv2d(6, 5, 3, padding=1).double(), torch.randn(2, 6, 3, 4).double().requires_grad_()
    wanted = mix(F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False))
    given = enlarge_and_mix(x, mix, times)
    assert torch.allclose(given, wanted, rtol=0, atol=1e-13)
    tensors = [x, mix.weight, mix.bias]
    pairs = zip(
        torch.autograd.grad(given.square().sum(), tensors),
        torch.autograd.grad(wanted.square().sum(), tensors),
        strict=True,
    )
    assert all(torch.allclose(one, other, rtol=1e-10, atol=1e-10) for one, other in pairs)


@pytest.mark.parametrize("fusion", ["code", "paper"])
def test_the_main_output_of_zou_sees_the_scales_from_coarse_to_fine(fusion: str) -> None:
    network = zou(fusion=fusion).eval()
    last = network.network.last
    for place in range(5):
        last.weight.data.zero_()
        last.weight.data[0, place, last.kernel_size[0] // 2, last.kernel_size[0] // 2] = 1
        with torch.no_grad():
            output = network(image(32, 64))
        assert torch.allclose(output["logits"], output["aux"][4 - place], atol=1e-6)


def test_the_paper_fusion_enlarges_a_logit_with_pixel_centres_kept() -> None:
    fusion = zou(fusion="paper").network.fusions[1]
    fusion.judge.weight.data.fill_(1 / 12)
    fusion.judge.bias.data.zero_()
    x = torch.tensor([0.0, 4.0]).expand(1, 12, 2, 2)
    assert torch.allclose(fusion(x)[0, 0, 1], torch.tensor([0.0, 1.0, 3.0, 4.0]))


def test_zou_without_normalisation_keeps_its_signal_alive() -> None:
    with torch.no_grad():
        assert all(each.std() > 1e-3 for each in zou(width=8)(image(64, 64))["aux"])


# ---- VGG-16


@pytest.mark.parametrize(("name", "batch_norm"), [("deepcrack_liu", True), ("deepcrack_zou", False)])
def test_given_weights_compute_what_torchvision_computes(name: str, batch_norm: bool) -> None:
    """Although the layers of Liu have no bias: it is in the statistics."""
    reference = reference_vgg(batch_norm=batch_norm)
    network = built(name, width=64, weights=weights_of(reference)).eval().network
    x = image(32, 64)
    with torch.no_grad():
        expected = reference(x)
        for stage in network.stages if name == "deepcrack_liu" else network.down:
            x = F.max_pool2d(stage(x), 2)
    assert expected.std() > 0
    assert torch.allclose(x, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize(("name", "options"), [("deepcrack_liu", {}), ("deepcrack_zou", {"norm": "batch"})])
def test_weights_without_batch_norm_leave_it_at_its_start(name: str, options: dict) -> None:
    weights = weights_of(reference_vgg(batch_norm=False))
    network = built(name, width=64, weights=weights, **options).network
    first = (network.stages if name == "deepcrack_liu" else network.down)[0][0]
    assert torch.equal(first[0].weight, weights["features.0.weight"])
    assert first[0].bias is None or torch.equal(first[0].bias, weights["features.0.bias"])
    assert (first[1].running_mean == 0).all() and (first[1].running_var == 1).all()


def test_given_weights_stay_as_they_were() -> None:
    weights = weights_of(reference_vgg(batch_norm=True))
    before = weights["features.1.running_mean"].clone()
    liu(width=64, weights=weights)
    assert torch.equal(weights["features.1.running_mean"], before)
    assert "features.0.bias" in weights


def test_weights_that_do_not_fit_say_why() -> None:
    plain = {f"{first}.weight": torch.zeros(1) for first, _ in vgg.torchvision_names(normed=False)}
    with pytest.raises(ValueError, match=r"features.0.weight is \(1,\), not \(4, 3, 3, 3\).*vgg16"):
        liu(weights=plain)
    normed = weights_of(reference_vgg(batch_norm=True))
    with pytest.raises(ValueError, match=r'features.1.bias is unknown.*norm = "batch", vgg16_bn'):
        shape_of("deepcrack_zou", width=64, weights=normed)
    with pytest.raises(ValueError, match=r"is missing.*wanted: a state dict of torchvision's vgg16"):
        zou(weights={"conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize(
    ("name", "norm", "arch"),
    [
        ("deepcrack_liu", "batch", "vgg16_bn"),
        ("deepcrack_liu", "instance", "vgg16"),
        ("deepcrack_zou", "none", "vgg16"),
        ("deepcrack_zou", "batch", "vgg16_bn"),
    ],
)
def test_without_network_imagenet_weights_say_what_to_do(
    name: str, norm: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch)
    with pytest.raises(ValueError, match=rf'weights of {arch} from .*no network.*encoder = "<path .*encoder = "none"'):
        shape_of(name, width=64, norm=norm, encoder="imagenet")
