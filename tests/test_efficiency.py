"""What networks cost: counted by hand where a hand can count, bounded where only a clock or a kernel can tell."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.knobs import EfficiencyKnobs
from pipeline.speed import network_cost as efficiency
from pipeline.speed.network_cost import count_flops, measure, weight_bytes
from tasks import Efficiency
from tasks.core import child
from tasks.core.errors import SettingsError
from tasks.questions import memory
from tasks.reports import published
from tests.conftest import Luigi

KNOBS = EfficiencyKnobs(["unet"], width_px=20, height_px=10, rounds=3, warm_up=1, precision="float32")
CPU = torch.device("cpu")
LARGE = 64_000_000  # bytes
needs_proc = pytest.mark.skipif(not memory.CLEAR_REFS.exists(), reason="this system keeps no high-water mark")


def no_peak(work: Callable[[], object]) -> float:
    work()
    return 5e6


def test_a_convolution_is_counted_as_by_hand() -> None:
    network = nn.Conv2d(3, 8, 3, padding=1)
    found = measure(network, KNOBS, channels=3, device=CPU, host_peak=no_peak)
    assert found.parameters == 3 * 8 * 9 + 8
    assert found.gflops == 2 * 9 * 3 * 8 * 10 * 20 / 1e9, "a multiply-add counts as 2, the bias is free"
    assert found.weights_mb == 4 * found.parameters / 1e6
    assert found.peak_mb == 5


def test_only_what_is_trained_is_a_parameter_and_all_that_is_kept_is_a_weight() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    network[0].requires_grad_(False)
    assert measure(network, KNOBS, channels=3, device=CPU, host_peak=no_peak).parameters == 4 + 4
    assert weight_bytes(network) == 4 * (12 + 4 + 4 + 4 + 4) + 8, "float32, and the int64 count of batches"


def test_matrix_products_count_and_what_is_done_pixel_by_pixel_does_not() -> None:
    batch = torch.rand(5, 7)
    assert count_flops(lambda: nn.Linear(7, 3)(batch)) == 2 * 5 * 7 * 3
    assert count_flops(lambda: batch.relu() + 1) == 0


def test_times_are_positive_and_a_rate_is_their_inverse() -> None:
    found = measure(nn.Conv2d(3, 2, 3), KNOBS, channels=3, device=CPU, host_peak=no_peak)
    assert found.milliseconds > 0
    assert found.images_per_second == pytest.approx(1000 / found.milliseconds)


def test_the_time_is_the_median_of_the_rounds_and_the_warm_up_is_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([100.0, 90.0, 3.0, 1.0, 2.0, 80.0])  # counted, warm-up, three rounds, for the peak
    monkeypatch.setattr(efficiency, "forward_seconds", lambda *_: next(seconds))
    assert measure(nn.Identity(), KNOBS, channels=3, device=CPU, host_peak=no_peak).milliseconds == 2000
    assert list(seconds) == []


class Seen(nn.Module):
    """Remembers how it is called."""

    def forward(self, batch: Tensor) -> Tensor:
        self.seen = (tuple(batch.shape), self.training, torch.is_inference_mode_enabled())
        self.low = torch.mm(batch[0, 0], batch[0, 0].T).dtype
        return batch


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_network_sees_one_image_as_in_a_prediction(precision: Any) -> None:
    network = Seen()
    knobs = EfficiencyKnobs(["unet"], width_px=20, height_px=10, rounds=1, warm_up=0, precision=precision)
    measure(network, knobs, channels=3, device=CPU, host_peak=no_peak)
    assert network.seen == ((1, 3, 10, 20), False, True)
    assert network.low == getattr(torch, precision)


class Greedy(nn.Module):
    """Takes a known number of bytes, touches all of them, and gives them back."""

    def forward(self, batch: Tensor) -> Tensor:
        return torch.ones(LARGE // 4).sum() + batch.sum()


def in_child(work: Callable[[], object], path: Path) -> str:
    """The gauge makes what follows it slower, so it is tried where nothing follows."""
    child.run_in_child("gauge", lambda: path.write_text(str(work())) and None, time_limit_s=60)
    return path.read_text()


@needs_proc
def test_the_peak_of_a_network_is_at_least_its_largest_array_and_less_than_twice_that(tmp_path: Path) -> None:
    def peak() -> float:
        torch.set_num_threads(1)
        return measure(Greedy(), KNOBS, channels=3, device=CPU, host_peak=memory.peak_bytes).peak_mb

    batched_mb = 1  # the kernel counts the pages of each core in batches
    assert LARGE / 1e6 - batched_mb <= float(in_child(peak, tmp_path / "peak")) < 2 * LARGE / 1e6


@needs_proc
def test_memory_that_the_work_before_has_freed_does_not_hide_the_next_peak(tmp_path: Path) -> None:
    size = 20_000_000  # what the C library keeps when it is freed

    def peaks() -> list[float]:
        def work() -> None:
            for _ in range(3):
                bytearray(size)[::4096] = b"x" * len(range(0, size, 4096))

        work()
        return [memory.peak_bytes(work) / size for _ in range(3)]

    shares = json.loads(in_child(peaks, tmp_path / "peaks"))
    assert all(0.95 < share < 1.2 for share in shares), shares


def test_a_system_without_a_high_water_mark_has_no_peak_but_the_work_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    monkeypatch.setattr(memory, "CLEAR_REFS", tmp_path / "absent" / "clear_refs")
    monkeypatch.setattr(memory, "give_back_at_once", lambda: None)
    assert math.isnan(memory.peak_bytes(lambda: done.append(1)))
    assert done == [1]


def test_the_published_count_is_the_first_of_the_network_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"segmenter": "scnet", "variant": "4 levels", "value": "1", "source": "A", "note": ""},
        {"segmenter": "scnet", "variant": "", "value": "29.46e6", "source": "B", "note": "rounded"},
        {"segmenter": "scnet", "variant": "", "value": "3", "source": "C", "note": ""},
    ]
    monkeypatch.setattr(published, "rows", lambda metric: rows if metric == "parameters" else [])
    found = published.parameters("scnet")
    assert list(found.values()) == [29_460_000, "B", "rounded"]
    assert isinstance(found["published_parameters"], int)
    assert math.isnan(published.parameters("unet")["published_parameters"])


def test_a_misspelt_segmenter_is_answered_with_the_nearest_name(tiny: Path) -> None:
    with pytest.raises(SettingsError, match=r"^there is no segmenter 'unett'; did you mean unet\?$"):
        Efficiency(dataset="tiny", segmenters="unet,unett")
    with pytest.raises(SettingsError, match="must name at least one"):
        Efficiency(dataset="tiny", segmenters="[]")


def test_a_misspelt_segmenter_on_the_command_line_is_one_sentence(luigi_run: Luigi) -> None:
    done = luigi_run("Efficiency", "--dataset", "tiny", "--segmenters", "unett")
    assert done.returncode != 0
    assert done.stderr.strip().splitlines() == ["error: there is no segmenter 'unett'; did you mean unet?"]


def test_two_segmenters_are_two_rows_with_their_exact_counts(tiny: Path, luigi_run: Luigi) -> None:
    options = {"deepcrack_liu": {"width": 2, "encoder": "no such file"}}
    small = ("--width-px", "96", "--height-px", "64", "--rounds", "2", "--Segmenter-options", json.dumps(options))
    done = luigi_run("Efficiency", "--dataset", "tiny", "--segmenters", "cgnet,deepcrack_liu", *small)
    assert done.returncode == 0, done.stderr
    folder = tiny / "outputs" / "tables" / "tiny"
    with (folder / "efficiency.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    narrow = (
        9 * (6 + 4 + 8 + 16 + 32 + 2 * 64 + 128 + 2 * 256 + 3 * 256) + 2 * 132 + 46 + 5
    )  # VGG, norms, sides, fusion
    counts = {"cgnet": "491956", "deepcrack_liu": str(narrow)}
    assert {row["segmenter"]: row["parameters"] for row in rows} == counts
    for row in rows:
        names = ("gflops", "milliseconds", "images_per_second", "weights_mb", "peak_mb")
        assert all(float(row[name]) > 0 for name in names if row[name] != "nan"), row
        assert (row["width_px"], row["height_px"], row["threads"], row["precision"]) == ("96", "64", "1", "float32")
    assert "A multiply-add counts as 2" in done.stdout
    told = json.loads((folder / "efficiency-provenance.json").read_text())
    assert (told["recipe"], told["knobs"]["rounds"], told["execution"]["device"]) == ("quick", 2, "cpu")
