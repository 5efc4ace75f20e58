"""The benchmark: fair pairs, medians, and a table that comes out."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.speed.labels import agreement, sized, times_faster
from pipeline.speed.training import bare_speeds, compare
from tasks.bench import __main__ as bench
from tasks.bench import labels as bench_labels
from tasks.bench import training as bench_training
from tasks.core.settings import Experiment
from tests.test_training import KNOBS


def test_both_loops_are_timed_in_turn_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def speeds(name: str, values: list[float]) -> itertools.chain[float]:
        return itertools.chain.from_iterable((order.append(name) or [value]) for value in values)

    result = compare(speeds("ours", [1, 90, 45, 80]), speeds("bare", [999, 100, 50, 100]), 3)
    assert order == ["ours", "bare"] * 4
    assert (result.ours, result.bare) == (80, 100)


def test_a_machine_busy_for_a_while_does_not_decide_the_ratio() -> None:
    result = compare(iter([1, 95, 9.5, 95]), iter([1, 100, 10, 100]), 3)
    assert result.ratio == pytest.approx(0.95)


def test_the_bare_loop_trains() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    batch, targets = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1])
    losses: list[float] = []

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        value = F.cross_entropy(logits, labels)
        losses.append(value.item())
        return {"loss": value}

    speeds = bare_speeds(net, batch, targets, loss, KNOBS, steps=5)
    assert all(next(speeds) > 0 for _ in range(3))
    assert len(losses) == 15
    assert losses[-1] < losses[0]


def test_the_table_names_nets_sizes_and_ratios(
    tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_training, "PHOTOS", 2)
    words = ["--dataset", "tiny", "--rounds", "1", "--steps", "1", "--threads", "1", "--photos", "0"]
    monkeypatch.setattr("sys.argv", ["bench", *words])
    bench.main()
    _, header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["hairline", "bare", "loop", "ratio"]
    assert [row.split(",")[:2] for row in rows] == [["resnet18", " 8 × 128 px"], ["unet", " 2 × 64 px"]]
    assert all(float(row.split()[-1]) > 0 for row in rows)


@pytest.mark.slow
def test_the_labels_are_timed_stage_by_stage_in_both_precisions(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_labels, "SIZE_HW", (256, 320))
    monkeypatch.setattr(bench_labels, "PASSES", 1)
    lines = list(bench_labels.report(Experiment("tiny", "quick"), "resnet18", 2, torch.device("cpu")))
    assert lines[0] == "pseudo labels, resnet18, 2 images of 320×256, one thread"
    assert [line.split()[0] for line in lines[2:4]] == ["float32", "bfloat16"]
    assert all(float(line.split()[1]) > 0 and "ThresholdMaps" in line for line in lines[2:4])
    assert "of pixels, mean IoU" in lines[4]


@pytest.mark.slow
def test_the_networks_that_answers_teach_are_timed_at_the_sizes_at_which_they_are_asked(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_labels, "SIZE_HW", (64, 96))
    thin = Experiment(
        "tiny", "best", 'MergeWeights.sources=["starter", "starter at 0.5 2"];Predictions.precision=float32'
    )
    header, *rows = bench_labels.answers_report(thin, 2, torch.device("cpu"))
    assert header.startswith("labels by answers (recipe best, variant MergeWeights.sources=")
    rates = {row[:24].strip(): float(row[24:]) for row in rows}
    assert list(rates) == ["cgnet", "cgnet at 0.5 2", "local_evidence", "all that is merged"]
    assert rates["all that is merged"] < rates["cgnet at 0.5 2"] < rates["cgnet"]


def test_agreement_counts_pixels_and_compares_masks() -> None:
    first, second = np.array([[255, 255, 0, 0]], np.uint8), np.array([[255, 0, 0, 100]], np.uint8)
    assert agreement([first], [second]) == {"same_pixels": 0.75, "mean_iou": 0.5}
    nothing = np.zeros((1, 4), np.uint8)
    assert agreement([nothing], [nothing]) == {"same_pixels": 1.0, "mean_iou": 1.0}


def test_the_slower_way_takes_more_times_as_long() -> None:
    grey = np.zeros((4, 4), np.uint8)
    ratio = times_faster(lambda _: sum(range(20_000)), lambda _: sum(range(400_000)), [grey] * 5)
    assert 5 < ratio < 80


def test_images_are_mirrored_or_cut_to_the_size_of_the_benchmark() -> None:
    row = np.array([[1, 2, 3]])
    assert sized(np.repeat(row, 2, axis=0), (3, 5)).tolist() == [[1, 2, 3, 2, 1]] * 3
    assert sized(np.ones((9, 9)), (3, 5)).shape == (3, 5)
