"""What so many answers, or so many masks, are worth: answers are drawn as a person would give them, one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset_to_patches import drawn_answers, index_patches, turned_corner
from pipeline.knobs import PatchesKnobs
from pipeline.learning.augmentation import GEOMETRIES, cut_patch, turn
from pipeline.reports.effort_to_figure import figure, with_minutes
from tasks import EffortCurve, Patches
from tasks.core.errors import SettingsError
from tests.conftest import Luigi

KNOBS = PatchesKnobs("patch", 4, 2, 1, "eightfold", max_answers=5, answers_seed=1)
IMAGE = np.arange(10 * 13).reshape(10, 13)


@pytest.mark.parametrize("geometry", range(GEOMETRIES))
def test_a_square_is_found_again_in_the_turned_image(geometry: int) -> None:
    square = IMAGE[3:7, 5:9]
    row, col = turned_corner((10, 13), (3, 5), 4, geometry)
    assert (turn(IMAGE, geometry)[row : row + 4, col : col + 4] == turn(square, geometry)).all()


def test_drawn_answers_are_so_many_patches_and_every_copy_shows_the_same_square() -> None:
    mask = np.zeros((10, 13), bool)
    mask[4, :6] = True
    rows = index_patches([((10, 13), mask, 1), ((10, 13), ~mask & False, 0)], KNOBS, eightfold=True)
    drawn = drawn_answers(rows, [(10, 13)] * 2, KNOBS, side_px=4)
    assert int((drawn.geometry == 0).sum()) == 5
    shown: dict[frozenset[int], set[int]] = {}
    for image, geometry, row, col, label in zip(*vars(drawn).values(), strict=True):
        pixels = frozenset(cut_patch(IMAGE + 1000 * image, int(geometry), int(row), int(col), 4).ravel().tolist())
        shown.setdefault(pixels, set()).add(int(label))
    assert len(shown) == 5
    assert all(len(labels) == 1 for labels in shown.values())


def test_other_seeds_draw_other_answers_and_the_same_seed_the_same() -> None:
    rows = index_patches([((10, 13), None, 1)], KNOBS, eightfold=False)
    places = [
        [tuple(pair) for pair in zip(drawn.row.tolist(), drawn.col.tolist(), strict=True)]
        for seed in (1, 1, 2)
        for drawn in [drawn_answers(rows, [(10, 13)], replace(KNOBS, answers_seed=seed), side_px=4)]
    ]
    assert places[0] == places[1] != places[2]


def test_more_answers_than_there_are_patches_are_refused_in_one_sentence() -> None:
    rows = index_patches([((8, 8), None, 1)], KNOBS, eightfold=False)
    with pytest.raises(ValueError, match=r"max_answers = 99; allowed: at most the 9 there are, or 0"):
        drawn_answers(rows, [(8, 8)], replace(KNOBS, max_answers=99), side_px=4)


def test_the_seed_of_answers_counts_only_where_answers_are_drawn(tiny: Path) -> None:
    def key(answers: int, seed: int) -> str:
        return Patches(dataset="tiny", max_answers=str(answers), answers_seed=str(seed)).key

    assert key(0, 1) == key(0, 2) == Patches(dataset="tiny").key
    assert len({key(0, 1), key(5, 1), key(5, 2), key(6, 1)}) == 4


def test_minutes_are_answers_and_masks_at_their_pace() -> None:
    rows = pd.DataFrame({"answers": [30, 0, 0], "masks": [0, 2, 0]})
    assert with_minutes(rows, answer_s=2.0, mask_min=5.0)["minutes"].tolist() == [1.0, 10.0, 0.0]


def test_the_figure_has_a_line_for_each_way_and_lines_across_for_nobodys_time() -> None:
    points = pd.DataFrame(
        [(way, minutes, 0.1 * minutes) for way in ("answers", "masks") for minutes in (1.0, 3.0, 9.0)],
        columns=["way", "minutes", "ods"],
    )
    points.loc[len(points)] = ["nothing", 0.0, 0.3]
    points.loc[len(points)] = ["starter", 0.0, 0.5]
    picture = figure(points, "title")
    assert picture.shape == (660, 1050, 3)
    blue, pink, gold = np.array([0x00, 0x72, 0xB2]), np.array([0xCC, 0x79, 0xA7]), np.array([0xE6, 0x9F, 0x00])
    assert all((np.abs(picture.astype(int) - colour).sum(2) < 30).sum() > 100 for colour in (blue, pink, gold))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": "pseudo"}, "kind of labels in \\[EffortCurve\\]"),
        ({"segmenter": "litt_unet"}, "did you mean lite_unet"),
        ({"seeds": "[]"}, "must each name at least one number"),
        ({"seeds": "[1, 1]"}, "allowed: each seed once"),
    ],
)
def test_a_slip_is_one_sentence(tiny: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        EffortCurve(dataset="tiny", **given)


@pytest.mark.slow
def test_the_curve_tells_what_was_really_given_and_what_it_cost(tiny: Path, luigi_run: Luigi) -> None:
    words = ("--segmenter", "unet", "--answers", "[4]", "--masks", "[3]", "--answer-s", "3", "--mask-min", "2")
    done = luigi_run("EffortCurve", "--dataset", "tiny", *words, "--MergedLabels-rule", "mean")
    assert done.returncode == 0, done.stderr
    folder = tiny / "outputs" / "tables" / "tiny" / "effort"
    table = pd.read_csv(folder / "effort.csv")
    assert table["way"].tolist() == ["starter", "nothing", "answers", "masks"]
    assert table["answers"].tolist() == [0, 0, 4, 0]
    assert table["masks"].tolist() == [0, 0, 0, 3]
    assert table["minutes"].tolist() == [0.0, 0.0, 0.2, 6.0]
    assert table["ods"].between(0, 1).all()
    assert (folder / "effort.png").stat().st_size > 10_000
