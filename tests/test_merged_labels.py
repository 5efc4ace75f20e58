"""Merged labels and rounds: what networks say of photos becomes labels, by rules that a reader can check."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from luigi.task_register import Register

from pipeline.knobs import MergedLabelsKnobs, RoundLabelsKnobs
from pipeline.maps_to_merge_weights import fitted, pooled_logits
from pipeline.maps_to_merged_labels import as_label, merged, merged_label, round_label
from pipeline.ops.weighing import true_to_answers
from tasks import MergedLabels, MergeWeights, PseudoLabels, RoundLabels, Segmenter
from tasks.core import settings
from tasks.core.errors import SettingsError
from tasks.core.workers import Place
from tasks.pseudo_labels import PseudoLabelJob
from tests.conftest import TINY, Luigi, ran, read_rows, resolved

HALF, ALL = np.float32([[0.0, 0.25, 1.0]]), np.float32([[0.5, 1.0, 1.0]])
KNOBS = MergedLabelsKnobs(
    rule="mean",
    threshold_weight=0.0,
    gain=1.0,
    cut=0.0,
    extent="thin",
    widen_px=1,
    answers="ignored",
    sure=0.8,
    pool_px=1,
    uncracked="empty",
    min_crack_pixels=1,
)
ROUND = RoundLabelsKnobs(
    teacher="unet",
    rule="answer",
    gain=1.0,
    cut=0.0,
    answers="kept",
    sure=0.8,
    pool_px=1,
    flips=False,
    uncracked="empty",
    min_crack_pixels=1,
)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("mean", [0.25, 0.625, 1.0]),
        ("geometric", [0.0, 0.5, 1.0]),
        ("product", [0.0, 0.25, 1.0]),
        ("max", [0.5, 1.0, 1.0]),
    ],
)
def test_two_maps_merge_by_each_rule(rule: Any, found: list[float]) -> None:
    assert merged([HALF, ALL], rule, []).tolist() == [found]
    assert merged([HALF, ALL], rule, []).dtype == np.float32


def test_one_map_is_itself_by_every_rule() -> None:
    for rule in ("mean", "geometric", "product", "max"):
        assert np.array_equal(merged([HALF], rule, []), HALF)


def test_a_label_is_made_sure_and_then_cut() -> None:
    assert as_label(np.float32([0.1, 0.2, 0.6]), gain=2.0, cut=0.3).tolist() == [0, 102, 255]


def test_pixels_that_are_not_dark_count_less_by_the_weight() -> None:
    dark = np.array([[True, True, False]])
    label = merged_label([ALL], dark, [], dataclasses.replace(KNOBS, threshold_weight=0.6), [])
    assert label.tolist() == [[128, 255, 102]]


def test_a_wide_convention_widens_on_both_sides_and_thin_leaves_as_it_is() -> None:
    line = np.zeros((3, 7), np.float32)
    line[:, 3] = 1
    assert (merged_label([line], None, [], KNOBS, []) > 0).sum() == 3
    wide = merged_label([line], None, [], dataclasses.replace(KNOBS, extent="wide", widen_px=2), [])
    assert np.flatnonzero(wide[0]).tolist() == [1, 2, 3, 4, 5]


def test_a_round_takes_the_answer_alone_or_with_the_label_before() -> None:
    assert round_label(HALF, None, [], ROUND).tolist() == [[0, 64, 255]]
    assert round_label(HALF, ALL, [], dataclasses.replace(ROUND, rule="mean")).tolist() == [[64, 159, 255]]
    assert round_label(HALF, ALL, [], dataclasses.replace(ROUND, rule="geometric")).tolist() == [[0, 128, 255]]


def test_maps_count_by_their_weights() -> None:
    """σ((3·logit(0.8) + 1·logit(0.5)) / 4) = σ(¾·log 4) = 2√2 / (2√2 + 1); of weight 0 a map is not heard."""
    sure, unsure = np.full((1, 1), 0.8, np.float32), np.full((1, 1), 0.5, np.float32)
    by_hand = 2 * np.sqrt(2) / (2 * np.sqrt(2) + 1)
    assert merged([sure, unsure], "answers", [3, 1]).item() == pytest.approx(by_hand, abs=1e-6)
    assert merged([sure, unsure], "answers", [0.2, 0]).item() == pytest.approx(0.8, abs=1e-6)
    assert merged([sure, unsure], "answers", [0, 0]).item() == pytest.approx(2 / 3, abs=1e-6)


def test_a_patch_scores_by_its_highest_logits() -> None:
    image = np.float32([[0.5, 0.5, 0.8, 0.2], [0.5, 0.5, 0.5, 0.5]])
    scores = pooled_logits([image], [(0, 0, 2, False), (0, 2, 2, True)], pool_px=2)
    assert scores.ravel().tolist() == pytest.approx([0.0, np.log(4) / 2], abs=1e-6)


def test_the_answers_silence_a_network_that_tells_nothing_of_them() -> None:
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 2, 400).astype(np.uint8)
    told = answers * 4.0 - 2 + rng.normal(size=400)
    noise, against = rng.normal(size=400), -told
    weights, cost = fitted([np.stack([told, noise, against], axis=1)], (answers > 0).tolist())
    assert weights[0] > 5 * weights[1]
    assert weights[2] == 0
    assert cost < np.log(2) / 2


def test_a_label_is_true_to_its_answers() -> None:
    """Three patches of two pixels: "no", "yes" that says enough, "yes" that says too little: 0.5 → 0.8, 0.2 → 0.5."""
    said = np.float32([[0.9, 0.3, 0.8, 0.2, 0.5, 0.2]])
    squares = [(0, 0, 2, False), (0, 2, 2, True), (0, 4, 2, True)]
    found = true_to_answers(said, squares, pool_px=1, sure=0.8)
    assert found.tolist() == [pytest.approx([0, 0, 0.8, 0.2, 0.8, 0.5], abs=1e-6)]


def test_a_pixel_that_one_patch_says_no_to_is_no_crack_and_what_several_miss_is_averaged() -> None:
    said = np.full((1, 3), 0.5, np.float32)
    overlapping = true_to_answers(said, [(0, 0, 2, True), (0, 1, 2, False)], pool_px=2, sure=0.8)
    assert overlapping.tolist() == [pytest.approx([0.8, 0, 0], abs=1e-6)]
    said[0, 0] = 0.8
    both = true_to_answers(said, [(0, 0, 2, True), (0, 1, 2, True)], pool_px=1, sure=0.8)
    assert both[0, 1] == pytest.approx(2 / 3, abs=1e-6), (
        "half of logit(0.8) is missing: one patch misses it, one does not"
    )


def test_only_training_photos_are_labelled_with_their_answers(tiny: Path) -> None:
    axes = {"dataset": "tiny"}
    assert "patches" in MergedLabels(**axes, split="train").above
    assert "patches" not in MergedLabels(**axes, split="test").above
    assert "patches" not in MergedLabels(**axes, split="train", answers="ignored").above
    assert "patches" not in MergedLabels(**axes, split="train", images_of="demo").above


def with_sources(tiny: Path, sources: str) -> None:
    text = TINY.replace('sources = ["generated unet"]', f"sources = {sources}")
    (tiny / "configs" / "tiny.toml").write_text(text)
    settings.forget()
    Register.clear_instance_cache()


def test_a_source_that_is_no_network_without_masks_is_refused(tiny: Path) -> None:
    for sources, told in {
        '["full unet"]': "allowed: answers, generated or starter",
        '["pseudo unet"]': "allowed: answers, generated or starter",
        '["answer unet"]': "there is no kind of labels in a source",
        '["answers unett"]': "there is no segmenter in a source",
        '["starter at twice"]': 'allowed: after "at" a number from 0.01 to 16',
        '["starter at 17"]': "'starter at 17'; allowed: after",
    }.items():
        with_sources(tiny, sources)
        with pytest.raises(SettingsError, match=told):
            [stage.key for stage in MergedLabels(dataset="tiny", split="train").predictions().values()]


def test_the_second_round_rests_on_a_network_trained_on_merged_labels(tiny: Path) -> None:
    with_sources(tiny, '["starter"]')
    second = RoundLabels(dataset="tiny", number="2", split="train")
    teacher = second.predictions().segmenter_stage()
    assert (teacher.segmenter, teacher.labels) == ("unet", "merged")
    third = RoundLabels(dataset="tiny", number="3", split="train")
    assert third.predictions().segmenter_stage().labels == "round2"
    assert second.key != third.key


def test_networks_are_asked_about_mirror_images_only_where_somebody_wants_it(tiny: Path) -> None:
    with_sources(tiny, '["starter"]')
    plain = MergedLabels(dataset="tiny", split="train")
    (stage,) = plain.predictions().values()
    assert stage.flips == ""
    asked = MergeWeights(dataset="tiny", flips="true")
    assert asked.key != plain.merge_weights().key
    assert asked.predictions(split="train")["starter"].flips == "four"


def test_each_source_is_asked_at_the_sizes_that_its_text_names_and_keeps_its_key_without(tiny: Path) -> None:
    with_sources(tiny, '["starter", "starter at 0.5 2"]')
    plain, scaled = MergeWeights(dataset="tiny").predictions(split="train").values()
    assert (plain.knobs.scales, scaled.knobs.scales) == ([], [0.5, 2.0])
    assert "scales" not in plain.significant_knobs()
    assert plain.key != scaled.key
    assert plain.segmenter_stage() is scaled.segmenter_stage()
    both = MergeWeights(dataset="tiny", variant="Predictions.scales=[2.0]")
    with pytest.raises(SettingsError, match=r"the source 'starter at 0\.5 2' its own; name them once"):
        both.predictions(split="train")


@pytest.mark.parametrize(
    ("variant", "scales"), [("", [[], []]), ("thin", [[0.71, 1.41], [1.0, 2.0]]), ("wide", [[0.5, 1.0]] * 2)]
)
def test_the_recipe_best_knows_thin_cracks_and_wide_ones(variant: str, scales: list[list[float]]) -> None:
    sources = MergeWeights(dataset="demo", recipe="best", variant=variant).predictions(split="train").values()
    assert [(stage.segmenter, stage.labels) for stage in sources] == [("lite_unet", "generated"), ("cgnet", "answers")]
    assert [stage.knobs.scales for stage in sources] == scales


def test_from_starter_to_the_second_round_in_one_command(tiny: Path, luigi_run: Luigi) -> None:
    with_sources(tiny, '["starter", "answers local_evidence"]')
    axes = ("--dataset", "tiny", "--segmenter", "unet", "--labels", "round2")
    done = luigi_run("Scores", *axes, "--Segmenter-rehearsal", "0.0")
    ran(done)
    for line in ("cgnet · starter", "local_evidence · answers", "MergedLabels", "unet · merged", "RoundLabels"):
        assert line in done.stderr


@pytest.mark.slow
def test_what_each_source_and_each_rule_is_worth_is_a_table(tiny: Path, luigi_run: Luigi) -> None:
    with_sources(tiny, '["starter", "answers local_evidence at 1 2"]')
    rules = ("--classifiers", "[]", "--merge-rules", '["answers", "max"]')
    ran(luigi_run("LabelTables", "--dataset", "tiny", *rules, "--Segmenter-rehearsal", "0.0"))
    rows = read_rows(tiny / "outputs" / "tables" / "tiny" / "labels-train" / "merging.csv")
    ways = ["starter", "answers local_evidence at 1 2", "merged by answers", "merged by max", "round2"]
    assert [row["way"] for row in rows] == ways
    assert {row["masks_used"] for row in rows} == {"0"}
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    assert [bool(row["merge_weights_key"]) for row in rows] == [False, False, True, False, True]
    assert [bool(row["round_labels_key"]) for row in rows] == [False] * 4 + [True]


def test_a_network_that_starts_from_the_starter_must_be_built_like_it(tiny: Path) -> None:
    stage = Segmenter(dataset="tiny", segmenter="cgnet", labels="answers", start="starter")
    with pytest.raises(SettingsError, match="allowed: those of the starter"):
        stage.upstream()


@pytest.mark.parametrize(("uncracked", "found"), [("paper", 255), ("empty", 0)])
def test_a_photo_answered_no_has_an_empty_label_where_that_is_asked_for(uncracked: str, found: int) -> None:
    photo = SimpleNamespace(label=0, shape_hw=(1, 1))
    sure = np.ones((1, 1), np.float32)
    sources = SimpleNamespace(of=lambda photo: (sure, sure, sure > 0))
    given = {"uncracked": uncracked, "morphology": "false", "bilateral": "false"}
    knobs = resolved("PseudoLabels", "demo", "quick", "", given)
    job = PseudoLabelJob(cast(Any, sources), knobs)
    assert job.open(Place())(cast(Any, photo)).tolist() == [[found]]


def test_labels_made_before_empty_ones_could_be_asked_for_stay_valid(tiny: Path) -> None:
    plain = PseudoLabels(dataset="tiny", arch="resnet18", split="train")
    assert "uncracked" not in plain.significant_knobs()
    assert PseudoLabels(dataset="tiny", arch="resnet18", split="train", uncracked="empty").key != plain.key
