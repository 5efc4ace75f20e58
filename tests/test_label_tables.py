"""Tables II and VII, the diagnosis and the tuning: cached stages are reused, tuned rows are marked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.knobs import PseudoLabelsKnobs, TuneLabelsKnobs
from pipeline.maps_to_pseudo_labels import cleaned, diagnosis, localization, pseudo_label
from pipeline.reports.scores_to_tables import beside, rate
from pipeline.searches import labels as label_search
from tasks import LabelTables
from tasks.core.errors import SettingsError
from tests.conftest import Luigi, ran, resolved


def knobs(**changed: object) -> PseudoLabelsKnobs:
    """Plain fusion: nothing smoothed, nothing eroded."""
    import dataclasses

    plain = PseudoLabelsKnobs(
        cam_weight=0.5,
        localization_threshold=0.5,
        morphology=False,
        kernel_px=3,
        erosion_iterations=0,
        closing_iterations=0,
        bilateral=False,
        bilateral_diameter_px=5,
        bilateral_sigma_colour=120.0,
        bilateral_sigma_space=120.0,
        min_crack_pixels=0,
        target="soft",
        binary_threshold=0.5,
        uncracked="paper",
    )
    return dataclasses.replace(plain, **changed)  # type: ignore[arg-type]


PATCH_MAP = np.array([[1.0, 0.8], [0.2, 0.6]], np.float32)
CAM = np.array([[1.0, 0.4], [0.2, 0.4]], np.float32)
DARK = np.array([[True, True], [True, False]])


def test_a_label_is_the_mean_of_both_maps_where_it_exceeds_the_threshold_and_the_pixel_is_dark() -> None:
    assert localization(PATCH_MAP, CAM, knobs()).tolist() == [[1.0, pytest.approx(0.6)], [0.0, 0.0]]
    assert pseudo_label(PATCH_MAP, CAM, DARK, knobs()).tolist() == [[255, 153], [0, 0]]


def test_a_binary_target_is_cut_at_its_threshold() -> None:
    binary = pseudo_label(PATCH_MAP, CAM, DARK, knobs(target="binary", binary_threshold=0.7))
    assert binary.tolist() == [[255, 0], [0, 0]]


def test_closing_a_label_only_adds_confidence() -> None:
    confidence = np.random.default_rng(1).random((20, 20)).astype(np.float32)
    plain = cleaned(confidence, knobs())
    assert (cleaned(confidence, knobs(morphology=True, closing_iterations=1)) >= plain).all()


def test_the_diagnosis_shows_what_each_part_alone_would_give() -> None:
    mask = np.array([[True, False], [False, False]])
    ways = diagnosis(PATCH_MAP, CAM, DARK, mask, knobs(), oracle_dilation_px=1)
    assert ways["threshold_alone"].tolist() == [[255, 255], [255, 0]]
    assert ways["localization_alone"].tolist() == [[255, 153], [0, 0]]
    assert ways["oracle_localization"].tolist() == [[255, 255], [255, 0]]
    assert ways["patch_map_only"].tolist() == [[255, 204], [0, 0]]
    assert ways["cam_only"].tolist() == [[255, 0], [0, 0]]
    assert (ways["complete"] == pseudo_label(PATCH_MAP, CAM, DARK, knobs())).all()


TUNE = TuneLabelsKnobs(
    images=2,
    seed=1,
    windows_px=[32, 64],
    cam_weights=[0.0, 1.0],
    localization_thresholds=[0.5],
    erosion_iterations=[0],
)


def test_the_search_tries_every_combination_and_puts_the_best_first() -> None:
    assert len(label_search.combinations(TUNE)) == 4
    mask = np.array([[True, False]])
    right, wrong = np.array([[255, 0]], np.uint8), np.array([[0, 255]], np.uint8)
    options = label_search.combinations(TUNE)
    labels = {choice: right if choice == options[2] else wrong for choice in options}
    rows = label_search.search([(mask, labels)], "zero")
    assert (rows[0]["window_px"], rows[0]["cam_weight"], rows[0]["ods"]) == (64, 0.0, 1.0)
    assert [row["ods"] for row in rows[1:]] == [0.0, 0.0, 0.0]
    assert [row["window_px"] for row in rows[1:]] == [32, 32, 64], "ties keep the order of the settings"


def test_the_images_of_the_search_are_drawn_with_the_seed_and_kept_in_order() -> None:
    names = [f"{number:02d}" for number in range(30)]
    drawn = label_search.draw(names, TUNE)
    assert drawn == sorted(drawn) == label_search.draw(names, TUNE)
    assert len(set(drawn)) == 2
    assert label_search.draw(names[:1], TUNE) == ["00"]


def test_the_papers_numbers_stand_beside_ours_with_the_difference() -> None:
    row = beside({"ods": 0.5, "ois": 0.6}, {"ods": 0.4, "ois": None})
    assert row["paper_ods"] == 0.4
    assert row["difference_ods"] == pytest.approx(0.1)
    assert np.isnan(row["paper_ois"])
    assert np.isnan(row["difference_ois"])


def test_a_rate_without_seconds_is_nan() -> None:
    assert rate(10, [2.0, 3.0]) == 2.0
    assert np.isnan(rate(10, []))


def test_a_variant_can_be_spelt_out_and_its_slips_are_told(tiny: Path) -> None:
    variant = "ThresholdMaps.window_px=64;PseudoLabels.cam_weight=1"
    assert resolved("ThresholdMaps", "tiny", "", variant).window_px == 64
    with pytest.raises(SettingsError, match=r"did you mean ThresholdMaps\?"):
        resolved("ThresholdMaps", "tiny", "", "ThresholdMap.window_px=64")
    with pytest.raises(SettingsError, match=r"did you mean window_px\?"):
        resolved("ThresholdMaps", "tiny", "", "ThresholdMaps.windowpx=64")


def test_ablations_reuse_every_stage_that_they_do_not_change_and_tuned_rows_are_marked(
    finished: Path, luigi_run: Luigi
) -> None:
    done = luigi_run("LabelTables", "--dataset", "tiny")
    assert done.returncode == 0, done.stderr
    assert set(ran(done)) == {"ThresholdMaps", "PseudoLabels", "Scores", "Diagnosis"}
    folder = finished / "outputs" / "tables" / "tiny" / "labels-train"
    ablations = pd.read_csv(folder / "table_VII.csv")
    assert list(ablations["variant"]) == ["no_bilateral", "no_morphology", "two_class_otsu", "complete"]
    assert ablations["pseudo_labels_key"].nunique() == 4
    quality = pd.read_csv(folder / "table_II.csv")
    assert list(quality["tuned_on_masks"]) == [0, 0, 0]
    assert dict(zip(quality["labels"], quality["masks_used"], strict=True)) == {"threshold": 0, "crf": 3, "pseudo": 0}
    assert json.loads((folder / "provenance.json").read_text())["recipe"] == "quick"
    assert (quality["images_per_second"] > 0).all()
    assert luigi_run("TuneLabels", "--dataset", "tiny").returncode == 0
    again = luigi_run("LabelTables", "--dataset", "tiny")
    assert again.returncode == 0, again.stderr
    assert "Classifier" not in ran(again)
    tuned = pd.read_csv(folder / "table_II.csv")
    assert list(tuned["tuned_on_masks"]) == [0, 0, 0, 6]
    assert list(tuned["masks_used"]) == [0, 3, 0, 6]


def test_label_tables_of_a_variant_are_refused_since_their_ablations_would_be_of_something_else(tiny: Path) -> None:
    with pytest.raises(SettingsError, match=r"--variant 'two_classes'.*--Stage-knob value, or in a recipe"):
        LabelTables(dataset="tiny", variant="two_classes")
