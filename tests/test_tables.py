"""Rows of scores become the tables: ours beside the paper's, in the paper's order, nothing lost on the way."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import models
from pipeline.knobs import ScoresKnobs
from pipeline.predictions_to_scores import score_maps
from pipeline.reports.scores_to_tables import (
    beside,
    comparison,
    comparison_columns,
    label_quality,
    note_on_images,
    paper_tables,
)
from pipeline.reports.tables_text import markdown
from tasks import Scores, Tables
from tasks.core import files
from tasks.core.errors import SettingsError
from tasks.reports import paper, summary
from tasks.scores import as_json


def row(
    labels: str, ods: float, *, train: str = "crack500", test: str = "cfd-all", segmenter: str = "unet"
) -> dict[str, Any]:
    """A row of segmentation.csv; OIS and AP follow from ODS, so that they can be told apart."""
    ours = {"train_set": train, "test_set": test, "labels": labels, "segmenter": segmenter, "images": 117}
    ours |= {
        "arch": "" if labels in ("full", "generated") else "resnet50",
        "ods": ods,
        "ois": ods + 0.01,
        "ap": ods / 2,
    }
    ours |= {"empty": "zero", "empty_images": 0, "masks_used": 0, "scores_key": f"{labels}-{segmenter}-{test}"}
    place = paper.place(train, test, labels)
    return {**beside(ours, paper.segmenter_scores(place, segmenter)), **paper.about(place)}


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))


def test_a_comparison_has_the_three_kinds_their_differences_and_the_papers_beside() -> None:
    compared = comparison(table(row("full", 0.5), row("crf", 0.2), row("pseudo", 0.4)))
    assert len(compared) == 1
    found = compared.iloc[0]
    assert (found["FSV_ods"], found["CRF_ods"], found["WSV_ods"]) == (0.5, 0.2, 0.4)
    assert found["WSV-CRF_ods"] == pytest.approx(0.2)
    assert found["WSV/FSV_ods"] == pytest.approx(0.8)
    assert (found["paper_FSV_ods"], found["paper_CRF_ods"], found["paper_WSV_ods"]) == (0.1846, 0.0909, 0.1841)
    assert found["paper_WSV-CRF_ods"] == pytest.approx(0.0932)
    assert found["paper_WSV/FSV_ois"] == pytest.approx(0.1953 / 0.2699)
    assert found["WSV_scores_key"] == "pseudo-unet-cfd-all"


def test_generated_photos_stand_beside_every_classifiers_labels_where_somebody_asked_for_them() -> None:
    asked = comparison(table(row("full", 0.5), row("pseudo", 0.4), row("generated", 0.3)))
    assert len(asked) == 1
    assert asked.iloc[0]["GEN_ods"] == 0.3
    assert asked.iloc[0]["WSV-GEN_ods"] == pytest.approx(0.1)
    assert math.isnan(asked.iloc[0]["paper_GEN_ods"])
    assert "GEN ODS" in comparison_columns("ods", asked).values()
    alone = comparison(table(row("generated", 0.3)))
    assert (alone.iloc[0]["arch"], alone.iloc[0]["GEN_ods"]) == ("", 0.3)
    taught = comparison(table(row("full", 0.5), row("round2", 0.45)))
    assert taught.iloc[0]["ROUND2/FSV_ods"] == pytest.approx(0.9)
    assert list(comparison_columns("ods", taught).values())[3:5] == ["FSV ODS", "ROUND2 ODS"], (
        "nothing was trained on CRF"
    )
    without = comparison(table(row("full", 0.5), row("pseudo", 0.4)))
    assert not [name for name in without.columns if "GEN" in str(name)]
    assert "generated photos" in summary.kinds(asked) and "generated" not in summary.kinds(without)


def test_a_kind_that_was_not_trained_leaves_its_cells_empty() -> None:
    compared = comparison(table(row("full", 0.0), row("pseudo", 0.4)))
    assert math.isnan(compared["CRF_ods"][0])
    assert math.isnan(compared["WSV-CRF_ods"][0])
    assert math.isnan(compared["WSV/FSV_ods"][0]), "0.4 / 0"


def test_full_masks_without_any_labels_to_stand_beside_are_not_lost() -> None:
    compared = comparison(table(row("full", 0.5), row("pseudo", 0.4), row("full", 0.7, segmenter="oed")))
    assert list(zip(compared["segmenter"], compared["arch"], strict=True)) == [("unet", "resnet50"), ("oed", "")]
    assert list(compared["FSV_ods"]) == [0.5, 0.7]


def test_semi_supervised_rows_do_not_stand_in_for_weakly_supervised_ones() -> None:
    compared = comparison(table(row("semi", 0.9), row("pseudo", 0.4)))
    assert list(compared["WSV_ods"]) == [0.4]


def test_the_papers_columns_are_shown_only_where_it_has_numbers() -> None:
    ours = comparison(table(row("pseudo", 0.4, train="demo", test="demo")))
    assert [name for name in comparison_columns("ods", ours) if "paper" in name] == []
    theirs = comparison(table(row("pseudo", 0.4)))
    assert [name for name in comparison_columns("ods", theirs) if "paper" in name] == [
        "paper_FSV_ods",
        "paper_CRF_ods",
        "paper_WSV_ods",
    ]


def papers(*rows: dict[str, Any]) -> dict[str, Any]:
    return paper_tables(table(*rows), paper.segmenter_tables())


def test_a_table_of_the_paper_keeps_its_order_and_shows_what_we_have_not_trained() -> None:
    found = papers(row("pseudo", 0.3, segmenter="oed"), row("full", 0.2))
    assert list(found) == ["IV"]
    assert list(found["IV"]["segmenter"]) == ["unet", "deepcrack_liu", "deepcrack_zou", "oed"] * 3
    assert list(found["IV"]["labels"]) == ["full"] * 4 + ["crf"] * 4 + ["pseudo"] * 4
    assert [value for value in found["IV"]["ods"] if value == value] == [0.2, 0.3]
    assert found["IV"]["paper_ods"].tolist()[-1] == 0.4022
    assert found["IV"]["difference_ods"].tolist()[-1] == pytest.approx(0.3 - 0.4022)
    assert found["IV"]["scores_key"].tolist()[:2] == ["full-unet-cfd-all", ""]


def test_a_segmenter_that_the_paper_has_not_comes_last_and_without_its_numbers() -> None:
    found = papers(row("pseudo", 0.3, segmenter="cgnet"), row("full", 0.2))["IV"]
    assert len(found) == 13
    assert found["segmenter"].tolist()[-1] == "cgnet"
    assert math.isnan(found["paper_ods"].tolist()[-1])


def test_each_test_set_goes_to_its_table_and_other_data_sets_to_none() -> None:
    found = papers(
        row("full", 0.1, test="crack500"),
        row("full", 0.2),
        row("full", 0.3, test="ael-all"),
        row("full", 0.4, test="dcd-all"),
        row("full", 0.5, train="combined", test="combined"),
        row("full", 0.6, train="demo", test="demo"),
        row("full", 0.7, train="dcd", test="cfd-all"),
    )
    assert {number: [value for value in rows["ods"] if value == value] for number, rows in found.items()} == {
        "III": [0.1], "IV": [0.2], "V": [0.3], "VI": [0.4], "IX": [0.5],
    }  # fmt: skip


def test_the_table_of_semi_supervision_has_each_segmenter_with_and_without_the_test_images() -> None:
    with_test_images = row("semi", 0.45, segmenter="oed")
    found = papers(
        row("pseudo", 0.4, segmenter="oed"), with_test_images, row("pseudo", 0.3), row("full", 0.5, segmenter="oed")
    )["VIII"]
    ours = found[found["ods"].notna()]
    assert list(ours["labels"]) == ["pseudo", "semi"], "no U-Net, which was not trained semi-supervised"
    assert list(ours["paper_train_set"]) == ["crack500", "crack500+test"]
    assert list(ours["paper_ods"]) == [0.4022, 0.422]
    assert list(ours["ods"]) == [0.4, 0.45]
    assert len(found) == 8


def test_two_classifiers_are_two_rows_in_one_place_of_the_paper() -> None:
    second = {**row("pseudo", 0.5), "arch": "resnet18"}
    found = papers(row("pseudo", 0.4), second)["IV"]
    assert list(found[found["ods"].notna()]["arch"]) == ["resnet50", "resnet18"]
    assert len(found) == 13


def test_a_test_set_of_another_size_than_the_papers_is_told() -> None:
    same, other = row("full", 0.2), {**row("full", 0.4, test="dcd-all"), "images": 300}
    assert note_on_images(table(same, other)) == "dcd-all: 300 images here, 537 in the paper"
    assert note_on_images(table(same)) == ""
    assert note_on_images(table(row("full", 0.2, train="demo", test="demo"))) == ""


def test_the_labels_of_several_data_sets_are_sorted_within_each() -> None:
    rows = [("b", "crf", 0.2), ("a", "pseudo", 0.1), ("b", "pseudo", 0.5), ("a", "crf", 0.3)]
    made = [{"dataset": name, "labels": kind, "arch": "r", "split": "train", "ods": ods} for name, kind, ods in rows]
    assert list(label_quality(made)["ods"]) == [0.3, 0.1, 0.5, 0.2]


def test_a_markdown_cell_without_a_number_is_a_dash() -> None:
    found = markdown(table({"a": float("nan"), "b": "", "c": 0.5, "d": 3}), {"a": "A", "b": "B", "c": "C", "d": "D"})
    assert found.splitlines() == ["| A | B | C | D |", "| --- | --- | --- | --- |", "| – | – | 0.5000 | 3 |"]


def test_the_summary_names_what_is_absent_and_holds_every_table() -> None:
    segmentation = table({**row("full", 0.5), "macro_f1": 0.25}, {**row("pseudo", 0.4), "macro_f1": 0.2})
    text = summary.scored(
        "crack500",
        comparison(segmentation),
        segmentation,
        pd.DataFrame(),
        paper_tables(segmentation, paper.segmenter_tables()),
        ["ael-all", "dcd-all"],
    )
    assert "not on this machine: ael-all, dcd-all." in text
    assert "## Table IV of the paper" in text
    assert "| crack500 | cfd | oed | pseudo | – | – | 0.4022 |" in text
    assert "* `macro_f1`: " in text
    assert "`dice`" not in text, "no definition of what is not shown"


SCORES = ScoresKnobs(
    empty="skip", fixed_threshold=0.5, region_px=2, region_crack_share=0.05, region_hit_share=0.5, referee=False
)


def test_the_metrics_of_other_papers_stand_beside_ods_under_their_own_names() -> None:
    mask = np.array([[True, False], [False, False]])
    found, by_image, _ = score_maps([("a", np.array([[255, 255], [0, 0]], np.uint8), mask)], SCORES)
    assert found["ods"] == pytest.approx(2 / 3)
    assert (found["iou"], found["dice"], found["miou"]) == (
        0.5,
        pytest.approx(2 / 3),
        pytest.approx((1 / 2 + 2 / 3) / 2),
    )
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert found["region_f1"] == 1.0
    assert by_image["iou"].tolist() == [0.5]


def test_a_score_that_is_no_number_survives_being_written(tiny: Path) -> None:
    empty, _, _ = score_maps([("a", np.zeros((2, 2), np.uint8), np.zeros((2, 2), bool))], SCORES)
    assert math.isnan(empty["ods"])
    stage = Scores(dataset="tiny", labels="threshold", split="train")
    stage.entry.folder.mkdir(parents=True)
    files.write_json(stage.entry.folder / "summary.json", as_json(empty))
    record = files.record(stage.entry.folder / "summary.json")
    files.write_json(stage.entry.manifest_path, {"files": {"summary.json": record}})
    read = stage.summary()
    assert list(read)[:3] == ["ods", "ois", "ap"]
    assert math.isnan(read["ods"])
    assert (read["images"], read["empty"]) == (1, "skip")


def test_all_stands_for_every_segmenter_in_order_and_both_ways_of_writing_it_have_one_key(tiny: Path) -> None:
    every, semi = Tables(dataset="tiny", segmenters='["all"]'), Tables(dataset="tiny", segmenters="oed", semi="all")
    names = [stage.segmenter for stage in every.segmentation_scores()]
    assert list(dict.fromkeys(names)) == list(models.SEGMENTERS)
    assert len(names) == 3 * len(models.SEGMENTERS)
    assert every.key == Tables(dataset="tiny", segmenters=",".join(models.SEGMENTERS)).key
    assert [stage.labels for stage in semi.segmentation_scores()] == ["full", "crf", "pseudo", "semi"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"segmenters": "all,unet"}, r'\[Tables\] segmenters names unet beside "all"; allowed: \["all"\], or names'),
        ({"semi": "oed,all"}, r'\[Tables\] semi names oed beside "all"'),
        ({"segmenters": "unt"}, r"there is no segmenter 'unt'; did you mean unet\?"),
        ({"segmenters": "[]"}, "segmenters and test_sets must each name at least one"),
    ],
)
def test_a_slip_in_the_names_of_segmenters_is_one_sentence(tiny: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Tables(dataset="tiny", **given)
