"""Answers: a segmenter learns from yes and no for patches, and rehearses photos with masks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.answers_to_segmenter import SOMEWHERE, AnswerFeed, answers_loss, pool, train_on_answers
from pipeline.knobs import PredictionsKnobs, SegmenterKnobs
from pipeline.learning.augmentation import PatchIndex
from pipeline.learning.cutting import cutter
from pipeline.segmenter_to_predictions import predict
from tasks import Segmenter, Tables
from tasks.core.errors import SettingsError
from tests.conftest import Luigi, ran
from tests.knob_values import SEGMENTER
from tests.networks import CPU, built


def knobs(**changed: Any) -> SegmenterKnobs:
    return SegmenterKnobs(**{**SEGMENTER, **changed})


def index(labels: list[int]) -> PatchIndex:
    """One patch for each image, whole."""
    zeros = np.zeros(len(labels), np.int32)
    return PatchIndex(np.arange(len(labels), dtype=np.int32), zeros.astype(np.uint8), zeros, zeros, np.uint8(labels))


def plain(value: int, size: int = 4) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((size, size, 3), value, np.uint8)


def feed(labels: list[int], rehearsal: float = 0.0) -> AnswerFeed:
    """Image k is plain grey k; the only photo with a mask is white and all crack."""
    images = cutter([plain(value) for value in range(len(labels))], CPU)
    exact = (cutter([plain(255)], CPU), cutter([np.full((4, 4), 255, np.uint8)], CPU))
    return AnswerFeed(images, index(labels), exact, np.array([[4, 4]]), 4, rehearsal, 12)


def test_yes_and_no_take_turns_and_every_answer_comes_once_before_any_comes_again() -> None:
    batches = list(feed([1, 0, 1, 0, 0]).batches([4, 4], np.random.default_rng(0)))
    answers = [plane.flat[0] for _, targets in batches for plane in np.asarray(targets)]
    assert answers == [SOMEWHERE, 0] * 4
    noes = [int(image.flat[0]) for images, _ in batches for image in np.asarray(images)][1::2]
    assert sorted(noes[:3]) == [1, 3, 4]


def test_a_share_of_each_batch_is_rehearsed_and_keeps_its_masks() -> None:
    for images, targets in feed([1, 0], rehearsal=0.25).batches([4, 4, 4], np.random.default_rng(0)):
        assert np.asarray(targets).shape == (4, 1, 4, 4)
        kinds = [int(plane.flat[0]) for plane in np.asarray(targets)]
        assert kinds in ([SOMEWHERE, 0, SOMEWHERE, 255], [0, SOMEWHERE, 0, 255])
        assert int(np.asarray(images)[3].flat[0]) == 255


def test_pooled_logits_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 3.0], [1.0, -2.0]]]])
    assert pool(logits, knobs(pool="top", pool_px=2)).tolist() == [2.0]
    assert pool(logits, knobs(pool="top", pool_px=9)).tolist() == [0.5]
    by_hand = np.log(np.mean(np.exp([0.0, 3.0, 1.0, -2.0])))
    assert pool(logits, knobs(pool="logmeanexp")).item() == pytest.approx(by_hand, abs=1e-6)


def test_the_loss_by_hand() -> None:
    """A patch answered no, one answered yes and one with a mask, two pixels each."""
    logits = torch.tensor([[[[0.0, -1.0]]], [[[2.0, -2.0]]], [[[1.0, -1.0]]]])
    planes = torch.tensor([[[[0, 0]]], [[[SOMEWHERE, SOMEWHERE]]], [[[255, 0]]]], dtype=torch.uint8)

    def cost(logit: float, target: int) -> float:
        return float(np.log1p(np.exp(-logit if target else logit)))

    dense = (cost(0, 0) + cost(-1, 0) + cost(1, 1) + cost(-1, 0)) / 4
    bag = (cost(0, 0) + cost(2, 1) + cost(1, 1)) / 3
    told = answers_loss(knobs(pool="top", pool_px=1, bag_weight=0.5))({"logits": logits}, planes)
    assert told["dense"].item() == pytest.approx(dense, abs=1e-6)
    assert told["bag"].item() == pytest.approx(bag, abs=1e-6)
    assert told["loss"].item() == pytest.approx(dense + 0.5 * bag, abs=1e-6)
    assert told["training_accuracy"].item() == 1.0


def test_no_pixel_of_a_yes_is_taught_but_those_that_speak_loudest() -> None:
    logits = torch.tensor([[[[2.0, -2.0, -3.0]]]], requires_grad=True)
    planes = torch.full((1, 1, 1, 3), SOMEWHERE, dtype=torch.uint8)
    answers_loss(knobs(pool="top", pool_px=1))({"logits": logits}, planes)["loss"].backward()
    assert logits.grad is not None
    assert (logits.grad != 0).flatten().tolist() == [True, False, False]


def test_a_network_that_knows_nothing_learns_where_the_dark_line_is() -> None:
    """Local evidence: yes and no for patches, no pixel labelled, and the line stands out in a photo never seen."""
    rng, size = np.random.default_rng(0), 32

    def photo(crack: bool) -> tuple[np.ndarray[Any, Any], int]:
        image = rng.integers(120, 180, (size, size, 3)).astype(np.uint8)
        column = int(rng.integers(6, size - 6))
        if crack:
            image[:, column : column + 3] = 20
        return image, column

    labels = [k % 2 for k in range(40)]
    images = [photo(bool(label))[0] for label in labels]
    model = built("local_evidence")
    taught = knobs(
        pool="logmeanexp",
        bag_weight=1.0,
        rehearsal=0.0,
        epochs=25,
        optimiser="adamw",
        learning_rate=0.01,
        schedule="constant",
        batch_size=8,
    )
    epochs = train_on_answers(model, images, index(labels), ([], []), taught, patch_px=size, device=CPU, resume=None)
    last = [epoch.log for epoch in epochs][-1]
    assert last["training_accuracy"] > 0.9
    seen, column = photo(True)
    with torch.no_grad():
        batch = torch.from_numpy(seen).permute(2, 0, 1)[None].float() / 255
        logits = model.eval()(batch)["logits"][0, 0].numpy()
    beside = np.delete(logits, np.s_[column - 4 : column + 7], axis=1)  # 21 px wide is what an answer sees
    assert logits[:, column : column + 3].min() > 0 > np.median(beside)


def test_the_stage_rests_on_patches_and_not_on_masks(tiny: Path) -> None:
    stage = Segmenter(dataset="tiny", segmenter="local_evidence", labels="answers")
    assert set(stage.above) == {"dataset", "patches", "generated"}
    alone = Segmenter(dataset="tiny", segmenter="local_evidence", labels="answers", rehearsal="0.0")
    assert set(alone.above) == {"dataset", "patches"}


def test_how_answers_are_pooled_moves_no_other_training(tiny: Path) -> None:
    def key(labels: str, **given: str) -> str:
        return Segmenter(dataset="tiny", segmenter="unet", labels=labels, **given).key

    assert key("full") == key("full", pool="logmeanexp") == key("full", rehearsal="0.5")
    assert key("answers") != key("answers", pool="logmeanexp")


def test_a_training_of_its_own_for_one_kind_of_labels_moves_no_other(tiny: Path) -> None:
    def key(labels: str, segmenter: str, **given: str) -> str:
        return Segmenter(dataset="tiny", segmenter=segmenter, labels=labels, **given).key

    for name in ("answers", "answers unet"):
        longer = {"by_labels": f'{{"{name}": {{"epochs": 9}}}}'}
        assert key("answers", "unet", **longer) != key("answers", "unet")
        assert key("full", "unet", **longer) == key("full", "unet")
        other = key("answers", "local_evidence", **longer) != key("answers", "local_evidence")
        assert other == (name == "answers")
    with pytest.raises(SettingsError, match=r"kind of labels in \[Segmenter.by_labels\]"):
        key("full", "unet", by_labels='{"answer": {"epochs": 9}}')


def test_training_on_answers_and_scoring_it_is_one_command(tiny: Path, luigi_run: Luigi) -> None:
    axes = ("--dataset", "tiny", "--segmenter", "local_evidence", "--labels", "answers")
    done = luigi_run("Scores", *axes, "--Segmenter-rehearsal", "0.0")
    ran(done)
    assert "local_evidence · answers" in done.stderr
    assert " answers, training loss" in done.stderr


def test_a_table_does_not_compare_networks_that_start_elsewhere(tiny: Path) -> None:
    differ = {"by_labels": '{"crf": {"start": "generated"}}'}
    Segmenter(dataset="tiny", segmenter="unet", labels="full", **differ)
    with pytest.raises(SettingsError, match=r"start of unet differs .* \(pseudo from 'none', crf from 'generated'\)"):
        Tables(dataset="tiny", variant=f"Segmenter.by_labels={differ['by_labels']}")


def test_local_evidence_of_tiles_is_that_of_the_whole_photo() -> None:
    """Each answer sees 21 px, and seams lie 32 px inside their tiles: no answer sees where its tile ends."""
    whole = PredictionsKnobs("float32", 16, 1.0, [], 10**6, 128, 64)
    tiled = dataclasses.replace(whole, max_pixels=1)
    model = built("local_evidence").eval()
    photo = np.random.default_rng(1).integers(0, 256, (192, 256, 3)).astype(np.uint8)
    maps = [predict(model, photo, each, device=CPU).astype(int) for each in (whole, tiled)]
    assert np.abs(maps[0] - maps[1]).max() <= 1
    assert maps[0].std() > 0


def test_the_same_answers_teach_the_same_network() -> None:
    def taught() -> dict[str, torch.Tensor]:
        model = built("local_evidence")
        images = [plain(value, 32) for value in (10, 200, 30, 180)]
        epochs = train_on_answers(
            model, images, index([1, 0, 1, 0]), ([], []), knobs(epochs=2), patch_px=32, device=CPU, resume=None
        )
        for _ in epochs:
            pass
        return model.state_dict()

    first, second = taught(), taught()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("labels", [[1, 1], [0, 0, 0]])
def test_answers_of_one_kind_teach_nothing_and_are_refused(labels: list[int]) -> None:
    images = [plain(value) for value in range(len(labels))]
    with pytest.raises(ValueError, match=r"answered \d times yes and \d times no; both answers are needed"):
        train_on_answers(
            built("local_evidence"), images, index(labels), ([], []), knobs(), patch_px=4, device=CPU, resume=None
        )
