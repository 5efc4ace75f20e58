"""What RunAll lays out: the paper's tables, the curves, and only the rows that had to be computed anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from tests.conftest import Luigi, luigi_in, ran, rename_data
from tests.conftest import read_rows as rows

SMALL = {"width": 4, "m": 2, "n": 2}
TWO = ("RunAll", "--dataset", "tiny", "--Tables-labels", "full", "--Tables-segmenters", "unet,cgnet")


@pytest.fixture
def crack500(finished: Path) -> Path:
    """The finished tiny workplace under the name of the paper's training set; only its tables are not made yet."""
    shutil.rmtree(finished / "outputs" / "tables")
    return rename_data(finished, "crack500")


def test_the_papers_numbers_are_laid_out_beside_ours(crack500: Path, luigi_run: Luigi) -> None:
    done = luigi_run("RunAll", "--dataset", "crack500")
    assert done.returncode == 0, done.stderr
    assert ran(done) == ["Tables"]
    folder = crack500 / "outputs" / "tables" / "crack500"
    assert [path.name for path in sorted(folder.glob("table_*"))] == ["table_III.csv"]
    found = rows(folder / "table_III.csv")
    assert len(found) == 12
    mine = [row for row in found if row["segmenter"] == "unet"]
    assert [row["paper_ods"] for row in mine] == ["0.6631", "0.5588", "0.4468"]
    for row in mine:
        assert float(row["difference_ods"]) == pytest.approx(float(row["ods"]) - float(row["paper_ods"]))
        assert (float(row["images"]), float(row["paper_images"])) == (3, 1124)
        assert row["segmenter_key"]
    assert "## Table III of the paper" in (folder / "summary.md").read_text()
    assert "crack500: 3 images here, 1124 in the paper" in done.stdout
    assert [row["paper_WSV_ods"] for row in rows(folder / "comparison.csv")] == ["0.4468"]


def test_every_row_says_how_many_masks_went_into_it(undisturbed: Path) -> None:
    folder = undisturbed / "outputs" / "tables" / "tiny"
    for name in ("segmentation.csv", "label_quality.csv"):
        used = {row["labels"]: row["masks_used"] for row in rows(folder / name)}
        assert {labels: int(count) for labels, count in used.items()}.items() <= {
            "full": 6, "crf": 3, "pseudo": 0, "threshold": 0,
        }.items()  # fmt: skip
        assert {"crf", "pseudo"} <= used.keys()


def test_there_is_a_curve_of_every_segmenter_as_numbers_and_as_a_picture(undisturbed: Path) -> None:
    folder = undisturbed / "outputs" / "tables" / "tiny"
    curves = rows(folder / "curves-tiny.csv")
    assert len(curves) == 3 * 99
    assert {row["labels"] for row in curves} == {"full", "crf", "pseudo"}
    recalls = [float(row["recall"]) for row in curves if row["labels"] == "full"]
    assert recalls == sorted(recalls, reverse=True), "a higher threshold finds less"
    picture = cv2.imread(str(folder / "curves-tiny.png"))
    assert picture is not None
    assert picture.shape[1] > 1000


def test_changing_one_segmenters_options_runs_its_rows_only_and_the_tables_keep_the_others(
    finished: Path, luigi_run: Luigi
) -> None:
    both = luigi_run(*TWO, "--Segmenter-options", json.dumps({"cgnet": SMALL}))
    assert both.returncode == 0, both.stderr
    assert ran(both) == ["Segmenter", "Predictions", "Scores", "Tables"], "the U-Net was there"
    table = finished / "outputs" / "tables" / "tiny" / "segmentation.csv"
    before = {row["segmenter"]: row for row in rows(table)}
    wider = luigi_run(*TWO, "--Segmenter-options", json.dumps({"cgnet": SMALL, "unet": {"width": 5}}))
    assert wider.returncode == 0, wider.stderr
    assert ran(wider) == ["Segmenter", "Predictions", "Scores", "Tables"]
    after = {row["segmenter"]: row for row in rows(table)}
    assert after["cgnet"] == before["cgnet"]
    assert after["unet"]["segmenter_key"] != before["unet"]["segmenter_key"]
    assert after["unet"]["ods"] != before["unet"]["ods"]


def test_files_of_another_configuration_do_not_stay_among_those_that_are_laid_out(
    finished: Path, luigi_run: Luigi
) -> None:
    folder = finished / "outputs" / "tables" / "tiny"
    (folder / "notes.txt").write_text("of the user")
    scored = {path.name for path in folder.iterdir()}
    assert {"curves-tiny.png", "segmentation.csv"} <= scored
    done = luigi_run("RunAll", "--dataset", "tiny", "--Tables-scored", "false", "--Tables-labels", "crf,pseudo")
    assert done.returncode == 0, done.stderr
    unscored = {path.name for path in folder.iterdir()}
    assert "masks.csv" in unscored
    assert not {"curves-tiny.png", "segmentation.csv", "comparison.csv"} & unscored
    assert "notes.txt" in unscored
    luigi_run("RunAll", "--dataset", "tiny")
    assert {path.name for path in folder.iterdir()} == scored


def test_the_trainings_that_lie_ahead_are_told_before_anything_runs(finished: Path) -> None:
    for stage in ("segmenter", "predictions", "scores", "tables"):
        shutil.rmtree(finished / "outputs" / stage)
    done = luigi_in(finished, "RunAll", "--dataset", "tiny", "--Segmenter-epochs", "1")
    assert done.returncode == 0, done.stderr
    first, second = done.stderr.splitlines()[:2]
    assert first.startswith("RunAll         3 trainings lie ahead (Segmenter 3): no estimate yet, nothing like unet")
    assert second.endswith("…")
    more = luigi_in(finished, "RunAll", "--dataset", "tiny")
    assert "3 trainings lie ahead (Segmenter 3): about " in more.stderr.splitlines()[0]
    shutil.rmtree(finished / "outputs" / "segmenter")
    gone = luigi_in(finished, "RunAll", "--dataset", "tiny")
    assert (gone.stderr, ran(gone)) == ("", []), "the tables are there; nothing asks for the segmenters"
