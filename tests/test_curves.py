"""The figure of precision and recall: every curve is in it, where it belongs, in its colour."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.reports.curves_to_figure import COLOURS, DASHES, KINDS, figure, styles
from tasks.supervision import SUPERVISIONS


def curve(labels: str, precision: list[float], recall: list[float], segmenter: str = "unet") -> pd.DataFrame:
    """One curve, its F1 as it follows."""
    points = pd.DataFrame({"precision": precision, "recall": recall})
    f1 = 2 * points["precision"] * points["recall"] / (points["precision"] + points["recall"]).where(lambda s: s > 0, 1)
    return points.assign(segmenter=segmenter, labels=labels, arch="resnet50", f1_pooled=f1)


def where(picture: np.ndarray, labels: str) -> np.ndarray:
    """(row, col) of the pixels in the colour of a kind of labels, left of the legend."""
    colour = [int(COLOURS[labels][place : place + 2], 16) for place in (1, 3, 5)]
    pixels = np.argwhere((picture == colour).all(axis=2))
    return pixels[pixels[:, 1] < 0.7 * picture.shape[1]]


def middle(picture: np.ndarray, labels: str) -> np.ndarray:
    return where(picture, labels).mean(axis=0)


def test_a_point_lies_at_its_recall_and_precision() -> None:
    picture = figure(
        pd.concat(
            [
                curve("pseudo", [0.3], [0.3]),
                curve("crf", [0.8], [0.3]),
                curve("semi", [0.3], [0.8]),
            ]
        ),
        "three points",
    )
    low, high, right = (middle(picture, labels) for labels in ("pseudo", "crf", "semi"))
    assert low[0] - high[0] > 100, "more precision is higher up"
    assert low[1] == pytest.approx(high[1], abs=1)
    assert right[1] - low[1] == pytest.approx(low[0] - high[0], abs=2), "both axes have the same scale"
    assert right[0] == pytest.approx(low[0], abs=1)


def test_thresholds_without_a_hit_draw_no_line_to_the_corner() -> None:
    with_zero = figure(curve("pseudo", [0.6, 0.8, 0.0], [0.9, 0.5, 0.0]), "")
    without = figure(curve("pseudo", [0.6, 0.8], [0.9, 0.5]), "")
    assert (with_zero == without).all()


def test_a_curve_that_finds_nothing_is_named_but_not_drawn() -> None:
    picture = figure(curve("pseudo", [0.0, 0.0], [0.0, 0.0]), "")
    assert len(where(picture, "pseudo")) == 0


def test_the_same_curves_give_the_same_pixels_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    one = curve("full", [0.5, 0.9], [0.9, 0.4])
    plain = figure(one, "title")
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 25.0)
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "black")
    assert (figure(one, "title") == plain).all()
    assert plain.dtype == np.uint8
    assert plain.shape[2] == 3


def test_networks_have_dashes_of_their_own_in_the_order_of_appearance() -> None:
    found = styles(["unet", "oed", "unet", ""], DASHES)
    assert found == {"unet": DASHES[0], "oed": DASHES[1]}
    many = styles([f"net{number}" for number in range(len(DASHES) + 1)], DASHES)
    assert many[f"net{len(DASHES)}"] == DASHES[0]


def test_every_kind_of_labels_that_a_table_may_name_has_a_colour_of_its_own_and_a_name() -> None:
    assert set(SUPERVISIONS) == set(COLOURS) == set(KINDS)
    assert len(set(COLOURS.values())) == len(COLOURS)
