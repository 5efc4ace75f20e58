"""Trained on each data set and tested on each: the matrix, what other papers print beside it, and what is absent."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from luigi.task_register import Register

import models
from pipeline.ops.other_papers_scores import DEFINITIONS
from pipeline.reports.scores_to_cross_table import METRICS, columns, matrix, summary
from tasks import CrossTable
from tasks.core.errors import SettingsError, StageError
from tasks.reports import published
from tests.conftest import TINY, Luigi, ran
from tests.conftest import read_rows as rows


def scored(train: str, test: str, score: float, printed: float = float("nan")) -> dict[str, object]:
    """A row of cross.csv in which every metric has the same score."""
    place = {"segmenter": "unet", "labels": "full", "arch": "", "train_set": train, "test_set": test, "images": 7}
    source = "Somebody 2021" if printed == printed else ""
    return {**place, **dict.fromkeys(METRICS, score), "published_pixel_f1": printed, "published_source": source}


FOUR = pd.DataFrame(
    [
        scored("road", "road", 0.9, 0.95),
        scored("road", "wall", 0.5),
        scored("wall", "road", 0.25),
        scored("wall", "wall", 0.75),
    ]
)


def test_a_network_is_one_row_with_its_own_test_set_the_others_and_what_is_lost_there() -> None:
    found = matrix(FOUR)
    assert list(found["train_set"]) == ["road", "wall"]
    assert list(found["pixel_f1 on road"]) == [0.9, 0.25]
    assert list(found["pixel_f1 on wall"]) == [0.5, 0.75]
    assert list(found["ods own"]) == [0.9, 0.75]
    assert list(found["ods elsewhere"]) == [0.5, 0.25]
    assert list(found["ods lost"]) == pytest.approx([0.4, 0.5])
    assert found["published_pixel_f1"][0] == 0.95
    assert list(found["published_source"]) == ["Somebody 2021", ""]


def test_elsewhere_is_the_mean_over_all_test_sets_but_the_own_one() -> None:
    found = matrix(pd.DataFrame([scored("a", "a", 1.0), scored("a", "b", 0.25), scored("a", "c", 0.75)]))
    assert found["pixel_f1 elsewhere"][0] == 0.5


def test_the_published_column_is_shown_only_where_somebody_printed_a_number() -> None:
    found = matrix(FOUR)
    assert columns(found, "pixel_f1")["published_pixel_f1"] == "published, own"
    assert not any("published" in name for name in columns(found, "ods"))
    assert "arch" not in columns(found, "ods")


def test_the_summary_says_what_every_metric_is_and_who_printed_the_numbers() -> None:
    text = summary(FOUR, matrix(FOUR), ["bridge"])
    assert "not on this machine: bridge." in text
    assert "road 7, wall 7" in text
    assert "Published: Somebody 2021." in text
    for metric in METRICS:
        assert f"## {metric}\n" in text
    assert DEFINITIONS["region_f1"] in text


def test_every_published_number_is_of_a_segmenter_and_metric_that_we_have() -> None:
    for row in published.rows():
        assert row["segmenter"] in models.SEGMENTERS, row
        assert row["source"], row
        if row["metric"] == published.PARAMETERS:
            assert float(row["value"]) > 1e5, row
        else:
            assert row["metric"] in DEFINITIONS, row
            assert 0 < float(row["value"]) < 1, row


def test_the_systems_own_number_comes_before_somebody_elses() -> None:
    found = published.scores("deepcrack_liu", "dcd", "dcd", "full")
    assert found.values["pixel_f1"] == 0.865
    assert found.source == "Liu et al. 2019 (DeepCrack)"


def test_published_numbers_stand_beside_full_masks_of_the_same_sets_only() -> None:
    assert published.scores("cgnet", "dcd-train", "dcd", "full").values["miou"] == 0.8659
    for axes in (("cgnet", "dcd", "dcd", "pseudo"), ("cgnet", "cfd", "dcd", "full"), ("unet", "dcd", "dcd", "full")):
        found = published.scores(*axes)
        assert set(found.values.values()) == {None}, axes
        assert found.source == ""


@pytest.fixture
def two(tiny: Path) -> Path:
    """Two tiny data sets with different photos, and one that is not on this machine."""
    (tiny / "configs" / "other.toml").write_text(TINY.replace("[DemoPhotos]", "[DemoPhotos]\nseed = 7"))
    (tiny / "configs" / "abroad.toml").write_text('recipe = "quick"\n[Dataset]\nlayout = "folders"\n')
    return tiny


def asked(**knobs: str) -> CrossTable:
    Register.clear_instance_cache()
    return CrossTable(dataset="tiny", **knobs)


def test_every_network_is_tested_on_every_data_set_that_is_here(two: Path, luigi_run: Luigi) -> None:
    words = ("CrossTable", "--dataset", "tiny", "--CrossTable-datasets", "self,other,abroad")
    words = (*words, "--CrossTable-segmenters", "unet")
    done = luigi_run(*words, HAIRLINE_DATA=str(two / "data"))
    assert done.returncode == 0, done.stderr
    assert "left out, not on this machine: abroad: no data at" in done.stderr
    assert done.stderr.count("2 trainings lie ahead (Segmenter 2)") == 1
    folder = two / "outputs" / "tables" / "tiny" / "cross"
    found = rows(folder / "cross.csv")
    sets = [(row["train_set"], row["test_set"]) for row in found]
    assert sets == [("tiny", "tiny"), ("tiny", "other"), ("other", "tiny"), ("other", "other")]
    assert len({row["segmenter_key"] for row in found}) == 2
    assert len({row["scores_key"] for row in found}) == 4
    assert [row["train_set"] for row in rows(folder / "cross_matrix.csv")] == ["tiny", "other"]
    assert json.loads((folder / "provenance.json").read_text())["left_out"].keys() == {"abroad"}
    assert "not on this machine: abroad." in (folder / "cross.md").read_text()
    again = luigi_run(*words, HAIRLINE_DATA=str(two / "data"))
    assert again.returncode == 0, again.stderr
    assert ran(again) == []


def test_one_data_set_is_no_cross_table(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAIRLINE_DATA", str(two / "data"))
    with pytest.raises(StageError, match=r"needs two data sets; here: tiny, not here: abroad: no data at .*; name or"):
        asked(datasets="self,abroad").scores()
    with pytest.raises(StageError, match=r"\[CrossTable\] names are not here: abroad: .*; get them, or set absent"):
        asked(datasets="self,other,abroad", absent="fail").scores()


def test_wrong_names_are_one_sentence_with_the_nearest(two: Path) -> None:
    with pytest.raises(SettingsError, match=r"unett.*unet"):
        asked(datasets="self,other", segmenters="unett").scores()
    with pytest.raises(SettingsError, match="classifiers is empty, but crf and pseudo labels need one"):
        asked(datasets="self,other", labels="pseudo", classifiers="[]").scores()
