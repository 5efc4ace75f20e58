"""What lies ahead is told from what was: trainings are counted, and timed where the like has been trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.reports.manifests_to_forecast import Training, forecast
from tasks import Tables
from tasks.core import console
from tasks.core.walk import walk
from tasks.reports.forecast import forecast_lines

SMALL = Training("unet", "unet of width 4", samples_per_epoch=100, epochs=2, alike="unet")
LARGE = Training("oed", "oed", samples_per_epoch=100, epochs=2, alike="oed")


def test_the_seconds_are_samples_over_the_rate_of_the_same_network() -> None:
    past = [(SMALL, 10.0), (LARGE, 400.0)]  # 20 and 0.5 samples a second
    ahead = [Training("unet", "unet of width 4", 50, 4, "unet"), LARGE]
    told = forecast(ahead, past)
    assert told.trainings == 2
    assert told.seconds == pytest.approx(200 / 20 + 200 / 0.5)
    assert told.unknown == ()


def test_one_resumed_training_among_several_does_not_spoil_the_rate() -> None:
    assert forecast([SMALL], [(SMALL, 10.0), (SMALL, 0.5), (SMALL, 12.0)]).seconds == pytest.approx(10.0)


def test_what_was_never_trained_or_cannot_be_counted_yet_is_unknown() -> None:
    uncounted = Training("unet", "unet of width 4", 0, 2, "unet")
    told = forecast([LARGE, uncounted, SMALL], [(SMALL, 10.0), (uncounted, 99.0)])
    assert told.unknown == ("oed", "unet")
    assert told.seconds == pytest.approx(10.0)


def line() -> str:
    return forecast_lines(Tables(dataset="tiny"))[0]


def test_a_fresh_machine_has_no_estimate_and_says_so(tiny: Path) -> None:
    assert line().startswith("4 trainings lie ahead (Classifier 1, Segmenter 3): no estimate yet")


def remember(
    outputs: Path, stage: str, axes: dict[str, str], seconds: float, threads: int = 1, **changed: object
) -> None:
    """A manifest of a training that took so long, otherwise as one of the tiny data set's."""
    like = next(
        part
        for part in walk(Tables(dataset="tiny"))
        if part.stage() == stage and axes.items() <= part.axes.items()
    )  # fmt: skip
    manifest = {
        "key": f"{seconds}",
        "created": "2026",
        "upstream_entries": {},
        "axes": like.axes,
        "seconds": seconds,
        "host": console.host(),
        "execution": {"device": "cpu", "threads": threads},
        "files": {},
        "knobs": {**like.significant_knobs(), **changed},
    }
    folder = outputs / stage.lower() / f"tiny-{seconds:012.0f}"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_past_trainings_of_the_same_network_on_this_machine_give_the_estimate(tiny: Path) -> None:
    remember(tiny / "outputs", "Segmenter", {"labels": "full"}, seconds=100)
    assert line().endswith(
        "about 5 min 00 s for 3 of them, going by past ones on this machine; no estimate yet for resnet18"
    )
    remember(tiny / "outputs", "Classifier", {}, seconds=60)
    assert line().endswith("about 6 min 00 s, going by past ones on this machine")


def test_a_past_training_with_other_threads_is_a_rough_guide_and_is_called_one(tiny: Path) -> None:
    remember(tiny / "outputs", "Segmenter", {"labels": "full"}, seconds=100, threads=64)
    assert "about 5 min 00 s for 3 of them, going by past ones on this machine (of unet with other threads)" in line()


def test_a_processor_that_imitates_bfloat16_is_told_what_is_faster(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Tables(dataset="tiny", variant="Segmenter.precision=bfloat16")
    monkeypatch.setattr(console, "has_fast_bfloat16", lambda: False)
    assert forecast_lines(slow)[1].endswith(
        "takes about ten times as long as float32; faster: --Segmenter-precision float32"
    )
    monkeypatch.setattr(console, "has_fast_bfloat16", lambda: True)
    assert len(forecast_lines(slow)) == 1


@pytest.mark.parametrize(
    "changed", [{"batch_size": 7}, {"crop_px": 96}, {"precision": "bfloat16"}, {"options": {"unet": {"width": 99}}}]
)
def test_a_past_training_of_another_speed_gives_no_estimate(tiny: Path, changed: dict[str, object]) -> None:
    remember(tiny / "outputs", "Segmenter", {"labels": "full"}, seconds=100, **changed)
    assert "no estimate yet" in line()


def test_more_epochs_take_longer_and_another_learning_rate_does_not(tiny: Path) -> None:
    remember(tiny / "outputs", "Segmenter", {"labels": "full"}, seconds=100, epochs=4, learning_rate=0.5)
    assert "about 2 min 30 s for 3 of them" in line()


def test_where_an_epoch_takes_all_there_is_the_index_is_counted(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.layouts.on_disk import Row
    from tasks.intake import photo_index
    from tasks.reports import forecast as task

    def record(name: str, split: str) -> Row:
        return Row(name, "a.png", split=split, label=1, width=8, height=8)

    index = tiny / "index.csv"
    photo_index.write(index, [record("a", "train"), record("b", "test"), record("c", "train")])
    folders = {"dataset": tiny}
    assert task._samples("Segmenter", {"geometry": "eightfold"}, folders) == 16
    assert task._samples("Segmenter", {"geometry": "none"}, {**folders, "added_dataset": tiny}) == 3
    assert task._samples("Segmenter", {"geometry": "none"}, {"dataset": tiny / "not yet"}) == 0
    (tiny / "counts.csv").write_text("split,images,crack,no_crack\ntrain,2,30,12\ntest,1,5,5\n")
    assert task._samples("Classifier", {}, {"patches": tiny}) == 42
