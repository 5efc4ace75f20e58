"""The search for the CRF's parameters: what it tries, what it calls best, and that it survives being killed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.cams_to_crf_labels import crf_label, unary_map
from pipeline.knobs import CrfSearchKnobs, DatasetKnobs
from pipeline.ops.crf import CrfParameters, dense_crf
from pipeline.searches import crf as crf_search
from tasks import CrfLabels, CrfSearch, Dataset
from tasks.core.settings import Experiment
from tasks.core.walk import walk
from tasks.crf_search import Unaries
from tasks.intake.photo_index import Photo
from tasks.labels import LabelMaps
from tests.conftest import TINY, Luigi, made, ran

DEFAULT = CrfParameters(3.0, 3.0, 80.0, 13.0, 10.0, 5)
KNOBS = CrfSearchKnobs(
    unary="cam",
    cam_weight=0.5,
    unary_scale=1.0,
    unary_clip=0.05,
    **DEFAULT._asdict(),
    search=True,
    images=2,
    seed=1,
    gaussian_sxys_px=[1.0, 3.0],
    gaussian_compats=[3.0],
    bilateral_sxys_px=[20.0, 80.0],
    bilateral_srgbs=[5.0],
    bilateral_compats=[10.0],
    grid_iterations=[5],
    refine_iterations=[1, 5],
    refine_best=2,
    method="plain",
    coarse_scale=1.0,
    coarse_best=1,
)


def knobs(**changed: object) -> CrfSearchKnobs:
    return dataclasses.replace(KNOBS, **changed)  # type: ignore[arg-type]


def row(parameters: CrfParameters, mean_iou: float, scale: float = 1.0) -> dict[str, object]:
    return {"found_by": "full", "scale": scale, **parameters._asdict(), "mean_iou": mean_iou}


def test_the_grid_is_every_combination_and_the_default() -> None:
    assert crf_search.grid(KNOBS) == [
        CrfParameters(1.0, 3.0, 20.0, 5.0, 10.0, 5),
        CrfParameters(1.0, 3.0, 80.0, 5.0, 10.0, 5),
        CrfParameters(3.0, 3.0, 20.0, 5.0, 10.0, 5),
        CrfParameters(3.0, 3.0, 80.0, 5.0, 10.0, 5),
        DEFAULT,
    ]
    assert crf_search.grid(knobs(bilateral_srgbs=[5.0, 13.0])).count(DEFAULT) == 1


def test_a_grid_without_any_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"bilateral_srgbs = \[\]; allowed: a list of at least one number"):
        knobs(bilateral_srgbs=[])


def test_mean_iou_is_that_of_crack_and_background() -> None:
    # of 10 pixels 4 are crack; 3 are called crack, 2 of them rightly
    found = crf_search.ious(hits=2, predicted=3, crack=4, pixels=10)
    assert found == {"mean_iou": (2 / 5 + 5 / 8) / 2, "crack_iou": 2 / 5, "background_iou": 5 / 8}


def test_a_class_without_any_pixel_is_left_out_of_the_mean() -> None:
    no_crack = crf_search.ious(hits=0, predicted=0, crack=0, pixels=10)
    assert (no_crack["mean_iou"], no_crack["background_iou"]) == (1.0, 1.0)
    assert np.isnan(no_crack["crack_iou"])
    all_crack = crf_search.ious(hits=10, predicted=10, crack=10, pixels=10)
    assert (all_crack["mean_iou"], all_crack["crack_iou"]) == (1.0, 1.0)
    assert np.isnan(all_crack["background_iou"])


def test_pixels_are_pooled_over_the_images_before_anything_is_divided() -> None:
    small = np.array([[1, 1, 1, 4]])  # hits, predicted, crack, pixels: perfect
    large = np.array([[0, 6, 0, 96]])
    (pooled,) = crf_search.rows_of([DEFAULT], small + large, found_by="full", scale=1.0)
    assert pooled["crack_iou"] == 1 / 7
    assert pooled["mean_iou"] == pytest.approx((1 / 7 + 93 / 99) / 2)


def test_the_best_mean_iou_wins_and_ties_go_to_smaller_compats_then_to_smaller_widths() -> None:
    order = [
        row(CrfParameters(9.0, 9.0, 99.0, 9.0, 9.0, 9), 0.8),
        row(CrfParameters(5.0, 1.0, 80.0, 9.0, 3.0, 5), 0.7),  # the weakest Gaussian
        row(CrfParameters(5.0, 3.0, 80.0, 9.0, 3.0, 5), 0.7),  # the weaker bilateral kernel
        row(CrfParameters(1.0, 3.0, 80.0, 9.0, 5.0, 5), 0.7),  # the narrower Gaussian
        row(CrfParameters(3.0, 3.0, 20.0, 9.0, 5.0, 5), 0.7),  # the narrower bilateral kernel
        row(CrfParameters(3.0, 3.0, 50.0, 5.0, 5.0, 5), 0.7),
        row(CrfParameters(3.0, 3.0, 50.0, 9.0, 5.0, 1), 0.7),
        row(CrfParameters(3.0, 3.0, 50.0, 9.0, 5.0, 5), 0.7),
        row(CrfParameters(1.0, 1.0, 20.0, 5.0, 3.0, 5), 0.9, scale=0.5),  # says nothing of full size
    ]
    for seed in range(5):
        shuffled = [order[index] for index in np.random.default_rng(seed).permutation(len(order))]
        assert crf_search.ranked(shuffled) == order
    table = crf_search.as_table(order[::-1], masks_used=7)
    assert table["rank"].tolist() == list(range(1, 10))
    assert table["mean_iou"].tolist() == [0.8] + [0.7] * 7 + [0.9]
    assert set(table["masks_used"]) == {7}
    assert set(table["searched"]) == {True}


def test_after_a_coarse_pass_its_best_and_the_default_are_looked_at_in_full_size() -> None:
    sets = crf_search.grid(KNOBS)
    coarse = [row(parameters, 0.5 + place / 100, 0.5) for place, parameters in enumerate(sets[:4])]
    assert crf_search.kept(coarse, KNOBS) == [sets[3], DEFAULT]
    assert crf_search.kept([*coarse, row(DEFAULT, 0.9, 0.5)], KNOBS) == [DEFAULT]


def test_the_best_are_tried_with_the_other_numbers_of_iterations_once() -> None:
    sets = crf_search.grid(KNOBS)
    rows = [row(parameters, 0.5 + place / 100) for place, parameters in enumerate(sets)]
    assert crf_search.refined(rows, KNOBS) == [one._replace(iterations=1) for one in (DEFAULT, sets[3])]
    assert crf_search.refined(rows, knobs(refine_iterations=[])) == []


IMAGE_RGB = np.full((4, 6, 3), 120, np.uint8)
CAM = np.array([[0.9, 0.9, 0, 0, 0, 0], [0.9, 0.9, 0, 0, 0, 0], [0] * 6, [0] * 6], np.float32)
MASK = np.array([[1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1], [0] * 6, [0] * 6], bool)


@pytest.mark.parametrize("method", ["plain", "packed"])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_pixels_are_counted_against_the_mask_at_any_scale(method: str, scale: float) -> None:
    map_alone = DEFAULT._replace(iterations=0)
    weak = DEFAULT._replace(gaussian_compat=0.0, bilateral_compat=0.0)
    counts = crf_search.counts_of(IMAGE_RGB, CAM, MASK, [map_alone, weak], knobs(method=method), scale)
    assert counts.tolist() == [[2, 4, 3, 24], [2, 4, 3, 24]]


def test_the_unary_is_the_cam_or_the_mean_of_both_maps() -> None:
    patch_map = np.full((4, 6), 0.5, np.float32)
    assert unary_map(CAM, None, KNOBS) is CAM
    assert unary_map(CAM, patch_map, knobs(cam_weight=0.25)).ravel()[[0, 5]].tolist() == pytest.approx([0.6, 0.375])


def test_a_label_is_0_or_255() -> None:
    label = crf_label(IMAGE_RGB, CAM, DEFAULT._replace(iterations=0)._asdict(), KNOBS)
    assert label.dtype == np.uint8
    assert (label == 255 * (CAM > 0.5)).all()


def searches(workplace: Path) -> set[Path]:
    return set((workplace / "outputs" / "crf_search").glob("[!.]*"))


def files_of(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return {name: record["sha256"] for name, record in manifest["files"].items()}


def test_the_whole_search_is_on_record_and_its_best_is_handed_on(undisturbed: Path) -> None:
    (folder,) = searches(undisturbed)
    table = pd.read_csv(folder / "search.csv")
    assert table["found_by"].value_counts().to_dict() == {"full": 4 + 1, "refined": 1}
    assert (table["masks_used"] == 3).all()
    assert table["searched"].all()
    assert table["mean_iou"].is_monotonic_decreasing
    parameters = list(CrfParameters._fields)
    assert table[parameters].to_numpy().tolist().count(list(DEFAULT)) == 1
    best = json.loads((folder / "best.json").read_text())
    assert [best[name] for name in parameters] == table.loc[0, parameters].tolist()
    assert (best["searched"], best["masks_used"], best["mean_iou"]) == (True, 3, table.loc[0, "mean_iou"])
    names = pd.read_csv(folder / "images.csv")["id"].tolist()
    assert {f"full/{name}.npy" for name in names} <= files_of(folder).keys()
    assert len(names) == 3


def test_the_labels_are_made_with_the_best_parameters(finished: Path) -> None:
    labels = CrfLabels(dataset="tiny", arch="resnet18")
    search, photo = labels.search(), labels.photos()[0]
    cam = search.cams(split="train").maps().of(photo)
    expected = dense_crf(photo.image(), cam, CrfParameters(**search.best()), unary_scale=1.0, unary_clip=0.05)
    assert (labels.maps().of(photo) == 255 * expected).all()
    assert search.masks_used() == 3


def test_a_killed_search_goes_on_with_the_images_that_are_missing_and_ends_the_same(
    finished: Path, luigi_run: Luigi
) -> None:
    (folder,) = searches(finished)
    before = files_of(folder)
    shutil.rmtree(folder)
    killed = luigi_run("CrfSearch", "--dataset", "tiny", CHAOS="CrfSearch:mid")
    assert killed.returncode == 30
    (done_before,) = folder.with_name(f".draft-{folder.name}").glob("full/*.npy")
    written_at = done_before.stat().st_mtime_ns
    again = luigi_run("CrfSearch", "--dataset", "tiny", "--Execution-processes", "2")
    assert again.returncode == 0, again.stderr
    assert ran(again) == ["CrfSearch"]
    assert files_of(folder) == before
    assert (folder / "full" / done_before.name).stat().st_mtime_ns == written_at


def test_a_coarse_search_of_the_merged_maps_is_marked_as_such_and_its_best_has_full_size(
    finished: Path, luigi_run: Luigi
) -> None:
    before = searches(finished)
    words = ("--CrfSearch-unary", "merged", "--CrfSearch-coarse-scale", "0.5", "--CrfSearch-coarse-best", "2")
    done = luigi_run("CrfLabels", "--dataset", "tiny", *words)
    assert done.returncode == 0, done.stderr
    assert ran(done) == ["CrfSearch", "CrfLabels"]
    (folder,) = searches(finished) - before
    table = pd.read_csv(folder / "search.csv")
    passes = table.groupby("found_by")["scale"].agg(["unique", "size"])
    assert set(passes.index) >= {"coarse", "full"}
    assert [list(scales) for scales in passes["unique"]] == [
        [0.5 if name == "coarse" else 1.0] for name in passes.index
    ]
    assert passes.loc["coarse", "size"] == 5
    assert passes.loc["full", "size"] <= 3
    assert table.loc[0, "scale"] == 1.0


def test_started_from_evidence_the_rival_asks_no_classifier_and_takes_the_merged_label_as_it_is(
    tiny: Path, tmp_path: Path
) -> None:
    settings = tiny / "configs" / "tiny.toml"
    settings.write_text(settings.read_text().replace('unary = "cam"', 'unary = "evidence"'))
    stages = walk(CrfLabels(dataset="tiny", arch="resnet18"))
    names = {type(stage).__name__ for stage in stages}
    assert "MergedLabels" in names and not names & {"Classifier", "Cams", "PatchMaps"}
    unaries = Unaries(None, None, LabelMaps(tmp_path), knobs(unary="evidence"))
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 51]], np.uint8))
    photo = Photo("a", "train", tmp_path / "a.jpg", None, 1, Experiment("tiny").resolve(DatasetKnobs), (1, 2))
    assert unaries.of(photo).tolist() == [[0.0, pytest.approx(0.2)]]


def test_without_a_search_the_default_makes_the_labels_and_no_mask_is_used(finished: Path, luigi_run: Luigi) -> None:
    before = searches(finished)
    done = luigi_run("CrfLabels", "--dataset", "tiny", "--CrfSearch-search", "false")
    assert done.returncode == 0, done.stderr
    assert ran(done) == ["CrfSearch", "CrfLabels"]
    (folder,) = searches(finished) - before
    assert_default_without_masks(folder)
    assert (
        "not searched (search = false), the library's default: gaussian 3 3, bilateral 80 13 10, 5 iter" in done.stderr
    )


def assert_default_without_masks(folder: Path) -> None:
    table = pd.read_csv(folder / "search.csv")
    assert table[[*CrfParameters._fields, "masks_used"]].to_numpy().tolist() == [[*DEFAULT, 0]]
    assert not table["searched"].any()
    assert table["mean_iou"].isna().all()
    assert (folder / "images.csv").read_text() == "id\n"


def test_photos_without_masks_leave_the_default(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [dataclasses.replace(photo, mask_path=None) for photo in Dataset(dataset="tiny").photos("train")]
    monkeypatch.setattr(Dataset, "photos", lambda *_: tuple(photos))
    search = made(CrfSearch(dataset="tiny", arch="resnet18", seed="7"))
    assert_default_without_masks(search.entry.folder)
    assert (search.best(), search.masks_used()) == (DEFAULT._asdict(), 0)
    assert "not searched (no training image has a mask)" in search.entry.manifest()["result"]


@pytest.mark.slow
def test_labels_of_photos_without_any_mask_are_made_from_end_to_end(tiny: Path, luigi_run: Luigi) -> None:
    rng = np.random.default_rng(0)
    for number in range(12):
        path = tiny / "photos" / ("crack", "no_crack")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(100, 200, (130, 140, 3), dtype=np.uint8))
    kinds = f'layout = "classes"\nroot = "{tiny / "photos"}"\ntest_share = 0.5'
    (tiny / "configs" / "kinds.toml").write_text(TINY.replace('layout = "synthetic"', kinds))
    done = luigi_run("CrfLabels", "--dataset", "kinds")
    assert done.returncode == 0, done.stderr
    assert "not searched (no training image has a mask), the library's default" in done.stderr
    (folder,) = searches(tiny)
    assert_default_without_masks(folder)
