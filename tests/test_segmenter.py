"""Training the segmenter, and its predictions."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.knobs import PredictionsKnobs, SegmenterKnobs
from pipeline.labels_to_segmenter import CropFeed, train_segmenter
from pipeline.learning.augmentation import turn
from pipeline.learning.cutting import OnHost
from pipeline.learning.losses import segmenter_loss
from pipeline.learning.training import Epoch, seeded
from pipeline.segmenter_to_predictions import as_probability, logits_of, predict, predict_lean
from tests.knob_values import SEGMENTER
from tests.networks import built

CPU = torch.device("cpu")
KNOBS = SegmenterKnobs(
    **{
        **SEGMENTER,
        "epochs": 2,
        "samples_per_epoch": 16,
        "optimiser": "adamw",
        "learning_rate": 0.01,
        "schedule": "constant",
    }
)
PREDICTIONS = PredictionsKnobs("float32", 8, 1.0, [], 10**9, 64, 32)


class Red(nn.Module):
    """A segmenter one can compute by eye: probability of crack = the red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, batch: Tensor) -> dict[str, Any]:
        return {"logits": self.scale * batch[:, :1].logit(), "aux": []}


def network() -> nn.Module:
    with seeded(0, CPU):
        return built("unet", width=4, norm="batch", pixels="unit")


def streets() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Grey noise with a dark bar, of several sizes, one smaller than a crop; labels 255 on the bar."""
    rng = np.random.default_rng(0)
    images = [rng.integers(120, 200, (*size, 3), dtype=np.uint8) for size in ((40, 70), (50, 33), (20, 30))]
    labels = [np.zeros(image.shape[:2], np.uint8) for image in images]
    for image, label in zip(images, labels, strict=True):
        image[8:12], label[8:12] = 10, 255
    return images, labels


def train(model: nn.Module, resume: dict[str, Any] | None = None, **changes: Any) -> Iterator[Epoch]:
    return train_segmenter(model, *streets(), replace(KNOBS, **changes), sides=[], device=CPU, resume=resume)


def test_a_segmenter_learns_dark_bars() -> None:
    model = network()
    list(train(model, epochs=6))
    image, label = (each[0] for each in streets())
    answer = predict(model, image, PREDICTIONS, device=CPU)
    assert answer.shape == label.shape
    assert answer[label == 255].mean() > 2 * answer[label == 0].mean()


def test_a_resumed_segmenter_ends_with_the_same_bits() -> None:
    first, last = [epoch.state() for epoch in train(network())]
    (resumed,) = [epoch.state() for epoch in train(network(), resume=first)]
    assert all(torch.equal(weights, resumed["model"][name]) for name, weights in last["model"].items())


def test_zero_samples_per_epoch_means_every_image_in_every_geometry_once() -> None:
    seen: list[int] = []
    for geometry, expected in (("eightfold", 24), ("none", 3)):
        arguments = {"sides": [], "device": CPU, "resume": None, "progress": lambda done, total: seen.append(total)}
        knobs = replace(KNOBS, samples_per_epoch=0, epochs=1, batch_size=3, crop_px=32, geometry=geometry)  # type: ignore[arg-type]
        list(train_segmenter(network(), *streets(), knobs, **arguments))
        assert seen[-1] == expected


def feed_of(
    images: list[np.ndarray], labels: list[np.ndarray], crop_px: int, geometries: int, samples: int
) -> CropFeed:
    shapes = np.array([label.shape for label in labels])
    return CropFeed(OnHost(images), OnHost(labels), shapes, crop_px, geometries, samples)


def test_image_and_label_are_cropped_alike() -> None:
    rng = np.random.default_rng(2)
    labels = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((40, 70), (20, 30))]
    images = [np.repeat(label[..., np.newaxis], 3, axis=2) for label in labels]
    ((pixels, targets),) = feed_of(images, labels, 32, 8, 16).batches([16], np.random.default_rng(0))
    assert (pixels.shape, targets.shape) == ((16, 32, 32, 3), (16, 1, 32, 32))
    assert np.array_equal(pixels[..., 0], targets[:, 0])
    assert len({target.tobytes() for target in targets}) == 16


def test_a_crop_as_large_as_the_image_is_the_turned_image() -> None:
    label = np.arange(16, dtype=np.uint8).reshape(4, 4)
    feed = feed_of([np.zeros((4, 4, 3), np.uint8)], [label], 4, 8, 8)
    ((_, targets),) = feed.batches([8], np.random.default_rng(0))
    assert {target.tobytes() for target in targets} == {turn(label, code).tobytes() for code in range(8)}


def test_every_place_of_an_image_is_cropped() -> None:
    label = np.arange(25, dtype=np.uint8).reshape(5, 5)
    feed = feed_of([np.zeros((5, 5, 3), np.uint8)], [label], 3, 1, 200)
    ((_, targets),) = feed.batches([200], np.random.default_rng(0))
    assert set(targets[:, 0, 0, 0].tolist()) == {0, 1, 2, 5, 6, 7, 10, 11, 12}


def test_side_outputs_count_by_their_weights_against_soft_targets() -> None:
    targets = torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8)
    main, side = torch.tensor([[[[0.0, 1.0, 2.0]]]]), torch.tensor([[[[-1.0, 0.0, 1.0]]]])
    soft = torch.tensor([[[[0.0, 0.2, 1.0]]]])
    expected = [F.binary_cross_entropy_with_logits(each, soft) for each in (main, side)]
    loss = segmenter_loss(KNOBS, [0.5])(1)({"logits": main, "aux": [side]}, targets)["loss"]
    assert torch.allclose(loss, expected[0] + 0.5 * expected[1])


def test_own_tables_replace_the_common_training_only_when_asked() -> None:
    knobs = replace(
        KNOBS, own={"unet": {"learning_rate": 0.5, "loss": "dice"}}, options={"unet": {"width": 4}, "a": {}}
    )
    assert knobs.of("unet").learning_rate == KNOBS.learning_rate
    own = replace(knobs, training="own").of("unet")
    assert (own.learning_rate, own.loss, own.epochs) == (0.5, "dice", KNOBS.epochs)
    assert own.options == {"unet": {"width": 4}}


def test_a_training_of_its_own_that_no_table_describes_is_refused_and_an_empty_one_is_the_common_training() -> None:
    own = replace(KNOBS, training="own", own={"unet": {}})
    assert own.of("unet") == KNOBS.of("unet")
    with pytest.raises(ValueError, match=r"no table \[Segmenter.own.oed\]; write it .* or take training = 'common'"):
        own.of("oed")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"own": {"unet": {"learning_rates": 1.0}}}, "no training knob 'learning_rates'"),
        ({"own": {"unet": {"epochs": 0}}}, "own.unet: epochs = 0; allowed"),
        ({"own": {"unet": {"loss": "dise"}}}, "did you mean dice"),
        ({"loss": "bce+"}, "allowed: terms"),
        ({"sides": {"oed": {"weight": 1}}}, "sides.oed: weight; allowed"),
    ],
)
def test_a_slip_in_the_training_is_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(KNOBS, **changes)


def test_images_and_labels_must_belong_together() -> None:
    images, labels = streets()
    with pytest.raises(ValueError, match="3 images and 2 labels"):
        train_segmenter(network(), images, labels[:2], KNOBS, sides=[], device=CPU, resume=None)
    with pytest.raises(ValueError, match="0 images and 0 labels"):
        train_segmenter(network(), [], [], KNOBS, sides=[], device=CPU, resume=None)
    with pytest.raises(ValueError, match=r"image \d is .* sizes must agree"):
        list(train_segmenter(network(), images, labels[::-1], KNOBS, sides=[], device=CPU, resume=None))


@pytest.mark.parametrize(("bits", "kind", "top"), [(8, np.uint8, 255), (16, np.uint16, 65_535)])
def test_probabilities_become_whole_numbers(bits: int, kind: type, top: int) -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, :, 0] = [0, 51, 102, 255]
    answer = predict(Red(), image, replace(PREDICTIONS, bits=bits), device=CPU)  # type: ignore[arg-type]
    assert answer.dtype == kind
    assert answer.tolist() == [[0, top // 5, 2 * top // 5, top]]


def test_predictions_have_the_size_of_their_image_and_come_again_the_same() -> None:
    model, knobs = network(), replace(PREDICTIONS, bits=16)
    image = streets()[0][1]
    first = predict(model, image, knobs, device=CPU)
    assert first.shape == (50, 33)
    assert np.array_equal(predict(model, image, knobs, device=CPU), first)


def test_bfloat16_gives_about_the_same_prediction() -> None:
    model, image = network(), streets()[0][0]
    reference, half = (
        predict(model, image, replace(PREDICTIONS, precision=precision), device=CPU).astype(int)  # type: ignore[arg-type]
        for precision in ("float32", "bfloat16")
    )
    assert np.abs(reference - half).max() < 13


def test_tiles_give_what_the_whole_image_gives_and_the_more_they_overlap_the_more_so() -> None:
    model = network().eval()
    image = np.random.default_rng(5).integers(0, 256, (256, 352, 3), dtype=np.uint8)
    whole = logits_of(model, image, PREDICTIONS, device=CPU)

    def farthest(overlap_px: int) -> float:
        knobs = replace(PREDICTIONS, max_pixels=1, tile_px=192, overlap_px=overlap_px)
        return float(np.abs(logits_of(model, image, knobs, device=CPU) - whole).max())

    assert farthest(128) < 0.03 * whole.std()
    assert farthest(128) < farthest(64) / 2


def test_one_tile_is_the_whole_image() -> None:
    model, image = network().eval(), np.random.default_rng(5).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    whole = logits_of(model, image, PREDICTIONS, device=CPU)
    tiled = logits_of(model, image, replace(PREDICTIONS, max_pixels=1, tile_px=128, overlap_px=32), device=CPU)
    assert np.array_equal(whole, tiled)


def test_a_prediction_at_twice_the_size_comes_back_at_the_size_of_the_image() -> None:
    image = np.full((5, 7, 3), 102, np.uint8)
    answer = predict(Red(), image, replace(PREDICTIONS, scale=2.0), device=CPU)
    assert answer.shape == (5, 7)
    assert (answer == 102).all()


class Sized(Red):
    """Says of every pixel the logit 1 at twice the size, 0 at its own, and 100 at half: surer than anybody can be."""

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        said = {8: 0.0, 16: 1.0, 4: 100.0}[images.shape[-1]]
        return {"logits": torch.full_like(images[:, :1], said)}


def test_at_several_scales_the_mean_is_taken_of_what_is_said_at_each_as_logits() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    asked = {"scale": 2.0, "bits": 16}  # the scales are in its place
    answer = predict(Sized(), image, replace(PREDICTIONS, **asked, scales=[1.0, 2.0]), device=CPU)
    assert as_probability(answer).ravel().tolist() == pytest.approx([1 / (1 + np.exp(-0.5))] * 32, abs=1e-5)
    surest = predict(Sized(), image, replace(PREDICTIONS, **asked, scales=[0.5, 1.0]), device=CPU)
    assert as_probability(surest).ravel().tolist() == pytest.approx([1 / (1 + 511**-0.5)] * 32, abs=1e-5)


def test_one_scale_alone_and_turned_copies_of_it_are_what_they_were() -> None:
    model, image = network().eval(), np.random.default_rng(5).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for flips in (False, True):
        alone = predict(model, image, replace(PREDICTIONS, scale=0.5), device=CPU, flips=flips)
        listed = predict(model, image, replace(PREDICTIONS, scales=[0.5]), device=CPU, flips=flips)
        assert np.array_equal(alone, listed)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_whole_numbers_stand_for_probabilities(dtype: Any, top: int) -> None:
    assert as_probability(np.array([[0, top]], dtype)).tolist() == [[0.0, 1.0]]


def test_the_lean_prediction_is_the_plain_one_to_the_bit_whole_in_tiles_and_side_by_side() -> None:
    model = built("unet").eval()
    image = np.random.default_rng(3).integers(0, 256, (150, 210, 3), dtype=np.uint8)
    told: list[tuple[int, int]] = []
    for knobs in (PREDICTIONS, replace(PREDICTIONS, max_pixels=1, tile_px=96, overlap_px=32)):
        plain = predict(model, image, knobs, device=CPU)
        assert np.array_equal(predict_lean(model, image, knobs, device=CPU), plain)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        alone = predict(model, image, knobs, device=CPU)
        beside = predict_lean(
            model, image, knobs, device=CPU, side_by_side=3, told=lambda done, total: told.append((done, total))
        )
        torch.set_num_threads(threads)
        assert np.array_equal(beside, alone)
    assert told == [(number, 6) for number in range(1, 7)]
