"""Training the classifier, and its patch maps."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor, nn

import models
from pipeline import classifier_to_patch_maps
from pipeline.classifier_to_patch_maps import patch_map, patch_map_to_image
from pipeline.dataset_to_patches import index_patches
from pipeline.knobs import ClassifierKnobs, PatchesKnobs, PatchMapsKnobs
from pipeline.learning.augmentation import PatchIndex, cut_patch
from pipeline.learning.cutting import OnHost
from pipeline.learning.training import Epoch, seeded
from pipeline.ops.windows import mean_of_overlaps, pad_to_windows
from pipeline.patches_to_classifier import (
    PatchFeed,
    check_weights,
    image_probabilities,
    patch_probabilities,
    train_classifier,
)
from tests.knob_values import TRAINING

CPU = torch.device("cpu")
MAPS = PatchMapsKnobs(window_px=32, stride_px=16, overlap="mean", precision="float32")
KNOBS = ClassifierKnobs(
    **{
        **TRAINING,
        "epochs": 2,
        "batch_size": 8,
        "samples_per_epoch": 48,
        "learning_rate": 0.02,
        "schedule": "onecycle",
        "weights": "none",
        "head": "linear",
    }
)


class Darkness(nn.Module):
    """A classifier one can compute by eye: the logit of crack is how dark the window is."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))

    def forward(self, batch: Tensor) -> Tensor:
        dark = self.scale * (0.5 - batch.mean(dim=(1, 2, 3)))
        return torch.stack([torch.zeros_like(dark), dark], dim=1)


def network() -> nn.Module:
    with seeded(0, CPU):
        return models.build_classifier("resnet18", head="linear", weights="none", pixels="unit")


def streets(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Grey noise with a dark vertical bar in one half of each picture, and the bars as masks."""
    rng = np.random.default_rng(0)
    images = [rng.integers(120, 200, (40, 70, 3), dtype=np.uint8) for _ in range(count)]
    masks = [np.zeros((40, 70), np.bool_) for _ in range(count)]
    for image, mask in zip(images, masks, strict=True):
        col = int(rng.integers(4, 28))
        image[:, col : col + 4], mask[:, col : col + 4] = 10, True
    return images, masks


def indexed(masks: list[np.ndarray], eightfold: bool = True) -> PatchIndex:
    return index_patches(
        [(m.shape, m, None) for m in masks], PatchesKnobs("patch", 32, 16, 1, "eightfold", 0, 1), eightfold=eightfold
    )


def train(model: nn.Module, resume: dict[str, Any] | None = None, **changes: Any) -> Iterator[Epoch]:
    images, masks = streets(4)
    knobs = replace(KNOBS, **changes)
    return train_classifier(model, images, indexed(masks), knobs, patch_px=32, device=CPU, resume=resume)


def test_a_classifier_learns_dark_bars() -> None:
    model = network()
    *_, last = train(model, epochs=12)  # with fewer, round-off decides how far it comes
    assert last.log["training_accuracy"] > 0.8
    images, masks = streets(6)
    index = indexed(masks, eightfold=False)
    answers = patch_probabilities(model, images, index, patch_px=32, device=CPU, batch_size=16)
    assert answers.dtype == np.float32
    assert answers[index.label == 1].mean() > answers[index.label == 0].mean() + 0.3


def test_a_resumed_classifier_ends_with_the_same_bits() -> None:
    first, *_, last = [epoch.state() for epoch in train(network())]
    *_, resumed = [epoch.state() for epoch in train(network(), resume=first)]
    assert all(torch.equal(weights, resumed["model"][name]) for name, weights in last["model"].items())


def test_patches_of_one_kind_only_are_refused_before_training() -> None:
    images, masks = streets(1)
    nothing = indexed([np.zeros_like(masks[0])])
    with pytest.raises(
        ValueError, match=r"the training set has 0 crack patches and 120 without; both kinds are needed"
    ):
        train_classifier(network(), images, nothing, KNOBS, patch_px=32, device=CPU, resume=None)


def test_an_epoch_feeds_as_many_different_patches_as_asked_for() -> None:
    images, masks = streets(2)
    index = indexed(masks)
    feed = PatchFeed(OnHost(images), index, 32, 20)
    batches = list(feed.batches([8, 12], np.random.default_rng(0)))
    assert [pixels.shape for pixels, _ in batches] == [(8, 32, 32, 3), (12, 32, 32, 3)]
    assert [labels.shape for _, labels in batches] == [(8,), (12,)]
    assert len({patch.tobytes() for pixels, _ in batches for patch in pixels}) == 20


def test_probabilities_come_in_the_order_of_the_index() -> None:
    images, masks = streets(3)
    index = indexed(masks)
    answers = patch_probabilities(Darkness(), images, index, patch_px=32, device=CPU, batch_size=7)  # type: ignore[arg-type]
    columns = zip(index.image, index.geometry, index.row, index.col, strict=True)
    means = [cut_patch(images[i], int(g), int(r), int(c), 32).mean() / 255 for i, g, r, c in columns]
    assert np.allclose(answers, 1 / (1 + np.exp(-4 * (0.5 - np.array(means)))), atol=1e-5)


def test_an_image_is_as_cracked_as_its_most_suspicious_patch() -> None:
    index = PatchIndex(np.array([0, 0, 1, 2, 2], np.int32), *(np.zeros(5, np.int32) for _ in range(4)))  # type: ignore[arg-type]
    answers = image_probabilities(index, np.array([0.2, 0.7, 0.1, 0.6, 0.5], np.float32))
    assert answers.tolist() == np.array([0.7, 0.1, 0.6], np.float32).tolist()


def test_weights_that_are_no_numbers_or_no_tensors_are_refused_by_name() -> None:
    check_weights({"a": torch.ones(2), "steps": torch.tensor(3)}, "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth holds numbers that are not finite, in 1 tensors \(b\); give"):
        check_weights({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])}, "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth holds 'epoch', which is no tensor; wanted: a state dict"):
        check_weights({"a": torch.ones(2), "epoch": 3}, "w.pth")


def test_no_patches_have_no_probabilities() -> None:
    answers = patch_probabilities(Darkness(), [], indexed([]), patch_px=32, device=CPU, batch_size=7)  # type: ignore[arg-type]
    assert answers.shape == (0,)


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (20, 33), (32, 32)])
def test_a_patch_map_is_the_mean_of_the_windows_over_each_cell(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    windows = sliding_window_view(pad_to_windows(image, 32, 16), (32, 32), axis=(0, 1))[::16, ::16]
    expected = 1 / (1 + np.exp(-4 * (0.5 - windows.mean(axis=(2, 3, 4)) / 255)))
    stretch = patch_map(Darkness(), image, replace(MAPS, overlap="stretch"), device=CPU)  # type: ignore[arg-type]
    assert np.allclose(stretch, expected, atol=1e-5)
    mean = patch_map(Darkness(), image, MAPS, device=CPU)  # type: ignore[arg-type]
    assert mean.dtype == stretch.dtype == np.float32
    assert np.array_equal(mean, mean_of_overlaps(stretch, 32, 16))


def test_a_patch_map_of_many_windows_does_not_depend_on_where_they_are_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = streets(1)[0][0]
    model, maps = network(), []
    for chunk in (1, 5, 64):
        monkeypatch.setattr(classifier_to_patch_maps, "CHUNK", chunk)
        maps.append(patch_map(model, image, MAPS, device=CPU))
    assert all(np.allclose(each, maps[0], atol=1e-5) for each in maps)


def test_bfloat16_gives_about_the_same_patch_map() -> None:
    image, model = streets(1)[0][0], network()
    reference = patch_map(model, image, MAPS, device=CPU)
    assert np.allclose(patch_map(model, image, replace(MAPS, precision="bfloat16"), device=CPU), reference, atol=0.05)


def test_cells_lie_over_their_own_pixels() -> None:
    grid = np.zeros((4, 6), np.float32)
    grid[1, 4] = 1
    fine = patch_map_to_image(grid, (60, 90), MAPS)  # 64×96 before the padding is cut off
    assert fine.shape == (60, 90)
    row, col = np.unravel_index(fine.argmax(), fine.shape)
    assert (16 <= row < 32, 64 <= col < 80) == (True, True)


def test_a_stretched_grid_fills_the_image() -> None:
    grid = np.array([[0, 0, 0.5]], np.float32)
    fine = patch_map_to_image(grid, (30, 90), replace(MAPS, overlap="stretch"))
    assert fine.shape == (30, 90)
    assert np.allclose(fine, fine[:1])
    assert fine[0, 75] == pytest.approx(0.5, abs=0.05)
