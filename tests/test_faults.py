"""Faults: whatever happens, one readable sentence, nothing lost, and the same command finishes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.core.files import snake
from tests.conftest import Luigi, environment, luigi_command, luigi_in, make_workplace, published, ran

STAGES = (
    "DemoPhotos",
    "Dataset",
    "Patches",
    "Classifier",
    "PatchMaps",
    "Cams",
    "ThresholdMaps",
    "PseudoLabels",
    "CrfSearch",
    "CrfLabels",
    "Segmenter",
    "Predictions",
    "Scores",
    "Tables",
)
IMAGE_STAGES = ("PatchMaps", "Cams", "ThresholdMaps", "PseudoLabels", "CrfSearch", "CrfLabels", "Predictions")
POINTS = [(stage, point) for stage in STAGES for point in ("start", "before-manifest", "before-rename", "after-rename")]
MID_POINTS = [(stage, "mid") for stage in IMAGE_STAGES] + [("Classifier", "epoch-1"), ("Segmenter", "epoch-1")]


def drafts(workplace: Path) -> list[Path]:
    return sorted((workplace / "outputs").glob("*/.draft-*"))


@pytest.mark.parametrize(
    "harm",
    ["truncate", "garbage manifest", "missing file"],
)
def test_a_damaged_entry_is_told_moved_aside_and_computed_anew_by_the_same_command(
    finished: Path, luigi_run: Luigi, harm: str
) -> None:
    before = published(finished)
    entry = next((finished / "outputs" / "tables").glob("tiny-*"))
    victim = entry / ("manifest.json" if harm == "garbage manifest" else "comparison.csv")
    if harm == "missing file":
        victim.unlink()
    else:
        victim.write_bytes(b"{garbage" if harm == "garbage manifest" else victim.read_bytes()[:40])
    done = luigi_run("RunAll", "--dataset", "tiny")
    assert done.returncode == 0, done.stderr
    assert "is damaged (" in done.stderr
    assert ran(done) == ["Tables"]
    assert published(finished) == before
    assert len(list(entry.parent.glob(".bad-tiny-*"))) == 1


def test_damaged_weights_are_refused_in_one_sentence_and_trained_anew_by_the_same_command(
    finished: Path, luigi_run: Luigi
) -> None:
    weights = next((finished / "outputs" / "classifier").glob("tiny-*/weights.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    words = ("Cams", "--dataset", "tiny", "--split", "test")
    refused = luigi_run(*words)
    assert refused.returncode == 30
    assert "weights.safetensors is damaged; it was moved to" in refused.stderr
    assert "Traceback" not in refused.stderr
    again = luigi_run(*words)
    assert again.returncode == 0, again.stderr
    assert ran(again) == ["Classifier", "Cams"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB, as the outputs folder of a workplace."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a small file system of its own")
    workplace = make_workplace(tmp_path / "small")
    (workplace / "outputs").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(workplace / "outputs")], check=True)
    yield workplace
    subprocess.run(["umount", str(workplace / "outputs")], check=True)


def test_a_full_disk_is_one_sentence_and_after_freeing_the_same_command_goes_on(small_disk: Path) -> None:
    ballast = small_disk / "outputs" / "ballast"
    ballast.write_bytes(bytes(2_500_000))
    words = ("Dataset", "--dataset", "tiny")
    full = luigi_in(small_disk, *words)
    assert full.returncode == 30
    assert "no space left on" in full.stderr
    assert "needed about" in full.stderr
    assert "Traceback" not in full.stderr
    assert drafts(small_disk) == []
    ballast.unlink()
    again = luigi_in(small_disk, *words)
    assert again.returncode == 0, again.stderr
    assert ran(again) == ["DemoPhotos", "Dataset"]


def test_read_only_outputs_are_told_before_any_computing(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk / "outputs")], check=True)
    done = luigi_in(small_disk, "RunAll", "--dataset", "tiny")
    assert done.returncode == 30
    assert f"error: cannot write to {small_disk / 'outputs'}/" in done.stderr
    assert "…" not in done.stderr
    assert "Traceback" not in done.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk / "outputs")], check=True)
    assert luigi_in(small_disk, "DemoPhotos", "--dataset", "tiny").returncode == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_and_goes_on_later(tiny: Path, sent: signal.Signals) -> None:
    with start(tiny) as process:
        wait_for(process, "Classifier", "…")
        process.send_signal(sent)
        told = process.communicate()[1]
    assert process.returncode in (-sent, 128 + sent)
    assert "Traceback" not in told
    assert sent == signal.SIGTERM or "the same command goes on where it stopped" in told
    assert gone(computing(tiny, "classifier"))
    assert luigi_in(tiny, "ThresholdMaps", "--dataset", "tiny").returncode == 0


def test_killing_the_main_process_kills_its_computing_child(tiny: Path) -> None:
    with start(tiny) as process:
        wait_for(process, "Classifier", "…")
        child = computing(tiny, "classifier")
        assert Path(f"/proc/{child}").exists()
        process.kill()
        process.communicate()
    assert gone(child)


def wait_for(process: subprocess.Popen[str], stage: str, sign: str) -> None:
    assert process.stderr is not None
    while not ((line := process.stderr.readline()).startswith(stage) and sign in line):
        assert line, "the run ended too early"


def computing(workplace: Path, folder: str) -> int:
    """The process that holds, or held last, the lock of a stage."""
    lock = next((workplace / "outputs" / folder).glob(".lock-*"))
    return int(lock.read_text().split()[1])


def gone(pid: int) -> bool:
    """Whether a process ends, while there is patience."""
    for _ in range(3000):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_within_five_seconds(tiny: Path, sent: signal.Signals) -> None:
    with start(tiny) as process:
        wait_for(process, "Classifier", "…")
        started = time.monotonic()
        process.send_signal(sent)
        process.communicate()
    assert time.monotonic() - started < 5
    assert gone(computing(tiny, "classifier"))


def start(workplace: Path) -> subprocess.Popen[str]:
    """RunAll in a process group of its own, which hears Ctrl-C even if whoever started the tests does not."""
    words = [luigi_command(), "--module", "tasks", "RunAll", "--dataset", "tiny"]
    return subprocess.Popen(
        words,
        env=environment(workplace),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts() -> None:
    """A shell starts what runs in its background deaf to them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(("stage", "point"), [("ThresholdMaps", "mid"), ("Dataset", "before-rename")])
def test_a_killed_stage_is_one_sentence_with_stage_and_signal_and_the_same_command_finishes(
    tiny: Path, luigi_run: Luigi, stage: str, point: str
) -> None:
    killed = luigi_run("ThresholdMaps", "--dataset", "tiny", CHAOS=f"{stage}:{point}")
    assert killed.returncode == 30
    assert f"error: {stage} tiny-" in killed.stderr
    assert "was killed by signal 9" in killed.stderr
    assert "Traceback" not in killed.stderr
    again = luigi_run("ThresholdMaps", "--dataset", "tiny")
    assert again.returncode == 0, again.stderr
    assert drafts(tiny) == []


def test_a_stage_over_its_time_limit_is_stopped_with_a_sentence(tiny: Path, luigi_run: Luigi) -> None:
    path = tiny / "configs" / "tiny.toml"
    path.write_text(path.read_text().replace("train_images = 6", "train_images = 600"))
    done = luigi_run("DemoPhotos", "--dataset", "tiny", "--Execution-time-limit-s", "1")
    assert done.returncode == 30
    assert "stopped after its time limit of 1 s" in done.stderr


WORDS = {
    "Segmenter": ("--segmenter", "unet", "--labels", "pseudo"),
    "Predictions": ("--segmenter", "unet", "--labels", "pseudo"),
    "Scores": ("--segmenter", "unet", "--labels", "pseudo"),
}


@pytest.mark.slow
def test_killed_at_every_named_point_of_every_stage_the_same_command_finishes_with_the_same_tables(
    finished: Path, undisturbed: Path
) -> None:
    for stage, point in [*POINTS, *MID_POINTS]:
        for entry in (finished / "outputs" / snake(stage)).glob("tiny-*"):
            shutil.rmtree(entry)
        words = (stage, "--dataset", "tiny", *WORDS.get(stage, ()))
        killed = luigi_in(finished, *words, CHAOS=f"{stage}:{point}")
        assert killed.returncode == 30, f"{stage}:{point} was not reached\n{killed.stderr}"
        again = luigi_in(finished, *words)
        assert again.returncode == 0, again.stderr
        assert drafts(finished) == []
    done = luigi_in(finished, "RunAll", "--dataset", "tiny")
    assert done.returncode == 0, done.stderr
    assert published(finished) == published(undisturbed)


@pytest.mark.slow
def test_killed_at_thirty_random_moments_the_same_command_finishes_with_the_same_tables(
    tiny: Path, undisturbed: Path
) -> None:
    dice = random.Random(20261121)
    kills = 0
    while kills < 30:
        process = start(tiny)
        try:
            process.communicate(timeout=dice.uniform(0.5, 6.0))
            subprocess.run(["rm", "-r", str(tiny / "outputs")], check=True)  # it finished: start from nothing again
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    done = luigi_in(tiny, "RunAll", "--dataset", "tiny")
    assert done.returncode == 0, done.stderr
    assert published(tiny) == published(undisturbed)
    assert drafts(tiny) == []


def test_a_split_without_images_is_one_sentence_with_those_that_have_some(tiny: Path, luigi_run: Luigi) -> None:
    done = luigi_run("ThresholdMaps", "--dataset", "tiny", "--split", "val", "--DemoPhotos-val-images", "0")
    assert done.returncode != 0
    assert "tiny has no val image; there are 6 train, 3 test: name one of these splits" in done.stderr
    assert "Traceback" not in done.stderr
