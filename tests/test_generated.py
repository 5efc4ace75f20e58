"""Generated photos: exact masks, the same from the same seed, drawn into real grounds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.drawing.grounds import GROUNDS
from pipeline.drawing.openings import OPENINGS, WIDE_OPENINGS
from pipeline.knobs import GeneratedKnobs
from pipeline.photos_to_generated import drawn_photo, made_photo, part_of

KNOBS = GeneratedKnobs(
    seed=1,
    made=8,
    drawn=4,
    grounds="somewhere",
    uncracked_share=0.25,
    width_px=96,
    height_px=80,
    smallest=0.5,
    largest=3.0,
)
GREY = np.full((90, 110, 3), 140, np.uint8)


def test_a_photo_depends_on_settings_and_number_alone() -> None:
    first, again = (made_photo(KNOBS, 3) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    others = made_photo(KNOBS, 4), made_photo(dataclasses.replace(KNOBS, seed=2), 3)
    assert all(not np.array_equal(first[0], image) for image, _ in others)


def test_photos_have_the_size_of_the_settings_and_masks_theirs() -> None:
    image, mask = made_photo(KNOBS, 0)
    assert image.shape == (80, 96, 3) and image.dtype == np.uint8
    assert mask.shape == (80, 96) and mask.dtype == np.bool_


def test_exactly_the_share_that_is_wanted_has_no_crack() -> None:
    made = [made_photo(KNOBS, index)[1].any() for index in range(8)]
    drawn = [drawn_photo(KNOBS, index, GREY)[1].any() for index in range(8)]
    assert made.count(False) >= 2 and drawn.count(False) >= 2  # a crack may also miss a small photo
    assert sum(map(bool, made)) >= 4


def test_a_deep_crack_is_darker_than_its_ground() -> None:
    darker = []
    for index in range(40):
        image, mask = drawn_photo(KNOBS, index, GREY)
        if mask.sum() > 60:
            darker.append(image[mask].mean() < image[~mask].mean())
    assert len(darker) > 15 and np.mean(darker) > 0.8


@pytest.mark.parametrize("ground", [ground for ground, _ in GROUNDS], ids=lambda ground: ground.__name__)
def test_every_ground_is_a_finite_positive_scene(ground: Any) -> None:
    scene = ground(np.random.default_rng(3), (60, 70))
    assert scene.shape == (60, 70, 3) and scene.dtype == np.float32
    assert np.isfinite(scene).all() and scene.min() > 0 and scene.std() > 0.01


@pytest.mark.parametrize("opening", [each for each, _ in (*OPENINGS, *WIDE_OPENINGS)], ids=lambda each: each.__name__)
def test_every_opening_changes_the_crack_and_leaves_alone_what_is_far_away(opening: Any) -> None:
    coverage = np.zeros((60, 70), np.float32)
    coverage[28:32, :] = 1
    scene = np.full((60, 70, 3), 0.5, np.float32)
    opening(np.random.default_rng(5), scene, coverage)
    assert np.abs(scene[29:31] - 0.5).mean() > 0.02
    assert np.abs(scene[:8] - 0.5).max() < 1e-3 and np.abs(scene[-8:] - 0.5).max() < 1e-3


@pytest.mark.parametrize("size", [(50, 60), (80, 96), (300, 500)])
def test_a_ground_is_shown_no_larger_than_a_made_photo(size: tuple[int, int]) -> None:
    photo = np.zeros((*size, 3), np.uint8)
    for seed in range(6):
        shown = part_of(np.random.default_rng(seed), photo, (80, 96)).shape[:2]
        assert shown == (min(size[0], 80), min(size[1], 96))


def test_settings_that_contradict_themselves_are_told() -> None:
    for changed, words in (
        ({"made": 0, "drawn": 0}, "at least one photo"),
        ({"grounds": ""}, "name a data set or a folder"),
        ({"smallest": 4.0}, "at most largest"),
    ):
        with pytest.raises(ValueError, match=words):
            dataclasses.replace(KNOBS, **changed)


# ---- the stage, and what is trained on it


def knobs_of(folder: Path) -> str:
    return f"Generated.made=2;Generated.drawn=2;Generated.grounds={folder};Generated.width_px=64;Generated.height_px=48"


def test_the_stage_keeps_photos_with_their_masks_and_reads_grounds_from_a_folder(tmp_path: Path) -> None:
    import luigi

    from tasks import Generated

    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((70, 70, 3), 90 + number, np.uint8))
    stage = Generated(dataset="demo", variant=knobs_of(tmp_path))
    assert luigi.build([stage], local_scheduler=True, log_level="ERROR")
    photos = stage.photos("train")
    assert [photo.shape_hw for photo in photos] == [(48, 64)] * 4
    for photo in photos:
        assert photo.image().shape == (*photo.shape_hw, 3) and photo.checked_mask().shape == photo.shape_hw
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes())
    assert Generated(dataset="demo", variant=knobs_of(tmp_path) + ";Generated.seed=1").key != stage.key


def test_grounds_that_are_nowhere_are_told_while_planning() -> None:
    from tasks import Generated
    from tasks.core.errors import SettingsError

    with pytest.raises(SettingsError, match="there is no data set of that name, and no folder"):
        _ = Generated(dataset="demo", variant="Generated.drawn=1;Generated.grounds=nowhere").key


def test_networks_of_all_data_sets_share_one_training_on_generated_photos() -> None:
    from tasks import Segmenter

    found = [Segmenter(dataset=name, recipe="quick", segmenter="cgnet", labels="generated") for name in ("cfd", "dcd")]
    assert len({stage.key for stage in found}) == 1
    assert len({stage.entry.folder for stage in found}) == 1
    assert list(found[0].above) == ["dataset"]


def test_a_start_is_part_of_the_key_of_every_kind_of_labels_but_of_generated_ones() -> None:
    from tasks import Segmenter

    axes = {"dataset": "demo", "segmenter": "unet"}
    for labels, moves in (("full", True), ("pseudo", True), ("generated", False)):
        alone, started = (
            Segmenter(**axes, labels=labels, variant=variant) for variant in ("", "Segmenter.start=generated")
        )
        assert (alone.key != started.key) is moves
        assert ("start" in started.above) is moves


def test_a_single_segmenter_cannot_start_elsewhere_than_the_others_of_its_table() -> None:
    from tasks import Segmenter
    from tasks.core.errors import SettingsError

    variant = 'Segmenter.training=own;Segmenter.own={"unet": {"start": "generated"}}'
    with pytest.raises(SettingsError, match="no training knob 'start'"):
        _ = Segmenter(dataset="demo", segmenter="unet", labels="full", variant=variant).knobs
