"""The paper's numbers: as printed, each once, and beside ours only where they are about the same thing."""

from __future__ import annotations

import math

import pytest

from pipeline.reports.scores_to_tables import beside
from tasks.reports import paper

# read off the paper's tables by eye
GOLDEN = [
    (("I", "crack500", "class", "resnet50", "f1"), 0.9045),
    (("I", "crack500", "class", "resnet152", "recall"), 0.8948),
    (("II", "crack500-train", "crf", "resnet101", "ods"), 0.2874),
    (("II", "crack500-train", "pseudo", "resnet50", "ap"), 0.4371),
    (("III", "crack500-test", "full", "oed", "ods"), 0.6911),
    (("VI", "dcd", "pseudo", "oed", "ois"), 0.7605),
    (("VII", "crack500-train", "pseudo", "two_class_otsu", "ois"), 0.6128),
    (("IX", "combined-rest", "crf", "deepcrack_zou", "ap"), 0.437),
]


def value(place: tuple[str, ...], train_set: str = "") -> float | None:
    table, test_set, labels, method, metric = place
    return paper.paper_value(table, test_set=test_set, labels=labels, method=method, metric=metric, train_set=train_set)


@pytest.mark.parametrize(("place", "expected"), GOLDEN, ids=[" ".join(place) for place, _ in GOLDEN])
def test_numbers_are_as_printed(place: tuple[str, ...], expected: float) -> None:
    assert value(place) == expected


def test_what_the_paper_does_not_report_is_none() -> None:
    assert value(("I", "crack500", "class", "resnet18", "f1")) is None
    assert value(("X", "crack500", "class", "resnet50", "f1")) is None
    assert value(("I", "crack500", "class", "resnet50", "f1"), train_set="cfd") is None


def test_where_two_training_sets_are_reported_one_must_be_named() -> None:
    place = ("VIII", "dcd", "pseudo", "oed", "ods")
    assert value(place, "crack500") == 0.6843
    assert value(place, "crack500+test") == 0.6781
    with pytest.raises(ValueError, match=r"Table VIII has several training sets \(crack500, crack500\+test\)"):
        value(place)


def test_every_number_is_there_once_and_is_a_share_or_a_speed() -> None:
    tables = {table: paper.rows(table) for table in ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")}
    assert {table: len(found) for table, found in tables.items()} == {
        "I": 9, "II": 24, "III": 36, "IV": 36, "V": 36, "VI": 36, "VII": 12, "VIII": 24, "IX": 36,
    }  # fmt: skip
    every = [row for found in tables.values() for row in found]
    places = [tuple(value for name, value in row.items() if name != "value") for row in every]
    assert len(set(places)) == len(places) == 249
    assert all(isinstance(row["value"], float) and 0 < row["value"] < 1 for row in every)


def test_precision_and_recall_of_the_classifiers_give_their_f1() -> None:
    for arch in ("resnet50", "resnet101", "resnet152"):
        scores = paper.classifier_scores("crack500", arch, "test")
        assert scores["precision"] and scores["recall"]
        f1 = 2 / (1 / scores["precision"] + 1 / scores["recall"])
        assert scores["f1"] == pytest.approx(f1, abs=1e-4)


def test_table_one_stands_beside_test_patches_only() -> None:
    assert paper.classifier_scores("crack500", "resnet50", "test")["f1"] == 0.9045
    assert set(paper.classifier_scores("crack500", "resnet50", "val").values()) == {None}
    assert set(paper.classifier_scores("demo", "resnet50", "test").values()) == {None}


def test_a_classifier_row_keeps_our_numbers_and_gets_the_papers_beside_them() -> None:
    ours = {"split": "test", "f1": 0.9, "precision": 0.8, "recall": 1.0, "auc": 0.95}
    row = beside(ours, paper.classifier_scores("crack500", "resnet50", "test"))
    assert ours.items() <= row.items()
    assert [row[f"paper_{metric}"] for metric in paper.CLASSIFIER_METRICS] == [0.9045, 0.8824, 0.9278]
    without = beside(ours, paper.classifier_scores("crack500", "resnet18", "test"))
    assert all(math.isnan(without[f"paper_{metric}"]) for metric in paper.CLASSIFIER_METRICS)


def test_every_test_set_of_the_paper_has_its_number_of_images() -> None:
    sets = [("crack500", 1124), ("cfd-all", 117), ("ael-all", 58), ("dcd-all", 537)]
    places = {name: paper.place("crack500", name, "full") for name, _ in sets}
    assert [(name, place.images()) for name, place in places.items() if place] == sets
    combined = paper.place("combined", "combined", "crf")
    assert combined == paper.Place("IX", "combined", "combined-rest", "crf")
    assert combined.images() == (537 - 300) + (117 - 71) + (58 - 38)


def test_semi_supervision_is_reported_as_another_training_set() -> None:
    place = paper.place("crack500", "cfd-all", "semi")
    assert place == paper.Place("VIII", "crack500+test", "cfd", "pseudo")
    assert paper.segmenter_scores(place, "oed") == {"ods": 0.422, "ois": 0.4557, "ap": 0.3639}
    assert paper.segmenter_scores(place, "unet") == dict.fromkeys(paper.METRICS)


def test_what_the_paper_did_not_train_on_or_test_on_has_no_place() -> None:
    assert paper.place("demo", "demo", "full") is None
    assert paper.place("crack500", "combined", "full") is None
    assert paper.place("cfd", "cfd", "full") is None
