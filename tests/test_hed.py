"""HED, the edge detector whose map SCNet's authors feed, and whose encoder both DeepCracks can start from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.signal import correlate
from torch import Tensor, nn

from models.networks.hed import HED, load_published
from models.parts.wrapper import Normalise
from pipeline.images_to_edge_maps import hed_map
from pipeline.knobs import EdgeMapsKnobs
from tasks import Segmenter
from tasks.core.errors import SettingsError
from tasks.core.files import read_weights
from tasks.core.published_weights import file_of
from tests.networks import built, image, parameters, shapes_only

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    pytest.importorskip("h5py")
    try:
        return read_weights(file_of("hed"))
    except SettingsError as absent:
        pytest.skip(str(absent))


def convolved(maps: Array, weights: dict[str, Tensor], layer: str) -> Array:
    """C×H×W through a convolution of the file as the file has it: rows, columns, in, out."""
    kernel, bias = (weights[f"{layer}/vars/{part}"].double().numpy() for part in (0, 1))
    border = kernel.shape[0] // 2
    padded = np.pad(maps, ((0, 0), (border, border), (border, border)))
    found = [correlate(padded, kernel[..., out].transpose(2, 0, 1), mode="valid")[0] for out in range(kernel.shape[3])]
    return np.stack(found) + bias[:, None, None]


def halved(maps: Array) -> Array:
    height, width = maps.shape[1:]
    padded = np.pad(maps, ((0, 0), (0, height % 2), (0, width % 2)), constant_values=-np.inf)
    return np.max([padded[:, row::2, col::2] for row in (0, 1) for col in (0, 1)], axis=0)


def grown(field: Array, shape: tuple[int, int]) -> Array:
    """Bilinear, pixel centres at halves, the border repeated."""
    grid = np.meshgrid(
        *((np.arange(n) + 0.5) * k / n - 0.5 for n, k in zip(shape, field.shape, strict=True)), indexing="ij"
    )
    inside = [np.clip(axis, 0, k - 1) for axis, k in zip(grid, field.shape, strict=True)]
    return map_coordinates(field, inside, order=1)


def by_hand(rgb: Array, weights: dict[str, Tensor]) -> Array:
    """H×W×3 in [0, 1] → the probability of an edge, in double precision, without torch."""
    x = (255 * rgb[..., ::-1] - np.array([104.00699, 116.66877, 122.67892])).transpose(2, 0, 1)
    sides = []
    for block, count in enumerate((2, 2, 3, 3, 3), 1):
        x = halved(x) if sides else x
        for number in range(count):
            layer = f"conv2d_{number}" if number else "conv2d"
            x = np.maximum(convolved(x, weights, f"block{block}/layers/{layer}"), 0)
        sides.append(grown(convolved(x, weights, f"dsn{block}")[0], rgb.shape[:2]))
    return 1 / (1 + np.exp(-convolved(np.stack(sides), weights, "fuse")[0]))


@pytest.mark.parametrize("size", [(16, 24), (17, 21)])
def test_the_map_equals_an_evaluation_by_hand_to_one_in_ten_thousand(
    weights: dict[str, Tensor], size: tuple[int, int]
) -> None:
    network = HED().eval()
    load_published(network, weights)
    batch = image(*size)
    with torch.no_grad():
        found = network(batch)[0, 0].numpy()
    expected = by_hand(batch[0].permute(1, 2, 0).double().numpy(), weights)
    assert np.abs(found - expected).max() <= 1e-4
    assert expected.max() > 0.1  # it says something


def test_it_has_as_many_parameters_as_vgg16_and_six_weighings() -> None:
    with shapes_only():
        assert parameters(HED()) == 14_714_688 + sum(c + 1 for c in (64, 128, 256, 512, 512, 5))


@pytest.mark.parametrize("name", ["deepcrack_liu", "deepcrack_zou", "scnet"])
def test_a_vgg_network_starts_from_all_its_convolutions(weights: dict[str, Tensor], name: str) -> None:
    inner = built(name, width=64, encoder="hed", weights=weights, pixels="caffe").network
    down = inner.stages if name == "deepcrack_liu" else inner.down
    convolutions = [layer for layer in down.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 13
    paths = [f"block{block}/layers/conv2d" for block in (1, 5)]
    for layer, path in zip((convolutions[0], convolutions[10]), paths, strict=True):
        kernel = weights[f"{path}/vars/0"].permute(3, 2, 0, 1)
        assert torch.equal(layer.weight[:, : kernel.shape[1]], kernel)
    assert convolutions[0].in_channels == (4 if name == "scnet" else 3)


def test_its_weights_want_the_pixels_that_they_were_trained_with() -> None:
    variant = 'Segmenter.options={"deepcrack_zou": {"width": 64, "encoder": "hed"}}'
    axes = {"dataset": "demo", "segmenter": "deepcrack_zou", "labels": "full"}
    with pytest.raises(SettingsError, match=r'encoder = "hed" wants .Segmenter. pixels = "caffe"'):
        _ = Segmenter(**axes, variant=variant).key


def test_edges_are_where_its_probability_is_above_the_threshold(weights: dict[str, Tensor]) -> None:
    network = HED().eval()
    load_published(network, weights)
    rgb = (255 * image(40, 48)[0].permute(1, 2, 0)).byte().numpy()
    with torch.no_grad():
        probability = network(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255)[0, 0]
    cut = EdgeMapsKnobs("hed", "", 100, 50.0, 100.0, 1.5)
    found = hed_map(network, rgb, cut, device=torch.device("cpu"))
    assert np.array_equal(found, (probability * 255).round().numpy() > 100)
    assert 0 < found.mean() < 1


def test_caffe_pixels_are_blue_green_red_from_0_to_255_less_their_means() -> None:
    found = Normalise("caffe")(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1)).flatten()
    assert found.tolist() == pytest.approx([0 - 104.00699, 127.5 - 116.66877, 255 - 122.67892])
