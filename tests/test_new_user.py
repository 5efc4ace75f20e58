"""What goes wrong in the first hour: each slip is one sentence with its remedy, and none costs an hour."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import ROOT, Luigi, cold, environment, luigi_command, luigi_in, ran

PHOTOS = """
recipe = "quick"
[Dataset]
layout = "classes"
root = "{root}"
test_share = 0.5
[Patches]
stride_px = 128
[Classifier]
epochs = 1
batch_size = 8
samples_per_epoch = 16
precision = "float32"
[Segmenter]
epochs = 1
batch_size = 2
samples_per_epoch = 4
crop_px = 64
precision = "float32"
[Segmenter.options.unet]
width = 4
[Tables]
segmenters = ["unet"]
labels = ["full", "crf", "pseudo"]
[PseudoLabels]
min_crack_pixels = 0
[CrfLabels]
min_crack_pixels = 0
[Execution]
device = "cpu"
threads = 1
processes = 1
"""


def one_sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def bridge(tiny: Path) -> Path:
    """Twelve photos in two folders, with a settings file that says nothing of masks."""
    rng = np.random.default_rng(0)
    for number in range(12):
        name = ("crack", "no_crack")[number % 2]
        (tiny / "photos" / name).mkdir(parents=True, exist_ok=True)
        image = rng.integers(100, 200, (96, 100, 3), dtype=np.uint8)
        image[40:44] = 20 if name == "crack" else 150
        cv2.imwrite(str(tiny / "photos" / name / f"{number}.png"), image)
    (tiny / "configs" / "bridge.toml").write_text(PHOTOS.format(root=tiny / "photos"))
    return tiny


def test_photos_without_masks_are_labelled_and_listed_although_nobody_said_that_there_are_none(
    bridge: Path, luigi_run: Luigi
) -> None:
    done = luigi_run("RunAll", "--dataset", "bridge")
    assert done.returncode == 0, done.stderr
    told = "bridge has no masks: labels and predictions are made and listed, nothing is scored"
    assert f"RunAll         {told}" in done.stderr
    assert "Scores" not in ran(done)
    folder = bridge / "outputs" / "tables" / "bridge"
    with (folder / "masks.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    predictions = [row for row in rows if row["stage"] == "Predictions"]
    assert [(row["segmenter"], row["labels"], row["arch"], row["images_of"], row["split"]) for row in predictions] == [
        ("unet", "crf", "resnet18", "bridge", "test"),
        ("unet", "pseudo", "resnet18", "bridge", "test"),
    ]
    lines = [line for line in (folder / "summary.md").read_text().splitlines() if line.startswith("* ")]
    assert len(set(lines)) == len(lines) == len(rows)
    assert any(
        line.startswith("* Predictions of unet trained on pseudo labels by resnet18, test images of bridge: outputs/")
        for line in lines
    )
    compared = one_sentence(luigi_run("Compare", "--dataset", "bridge"), 30)
    assert "bridge has no masks" in compared
    assert f"listed in {folder}/masks.csv" in compared


def test_only_full_masks_for_photos_without_any_is_told_at_once(bridge: Path, luigi_run: Luigi) -> None:
    told = one_sentence(luigi_run("RunAll", "--dataset", "bridge", "--Tables-labels", "full"), 2)
    assert "[Tables] labels, segmenters and test_sets must each name at least one" in told


def test_a_data_set_with_a_capital_is_answered_with_the_name_to_give_its_file(tiny: Path, luigi_run: Luigi) -> None:
    (tiny / "configs" / "Bridge.toml").write_text('recipe = "quick"\n')
    told = one_sentence(luigi_run("RunAll", "--dataset", "Bridge"), 2)
    examples, _, remedy = told.partition(" (")
    assert "Bridge" not in examples.removeprefix("error: dataset 'Bridge'; ")
    assert remedy == f"rename {tiny}/configs/Bridge.toml to bridge.toml)"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("RunAll",), "error: RunAll needs --dataset; allowed: ael, ael-all, "),
        (("RunAll", "tiny"), "error: 'tiny' is neither an option nor the value of one; did you mean --dataset tiny?"),
        (("RunAll", "--dataset", "tiny", "fast"), "error: 'fast' is neither an option nor the value of one; RunAll"),
        (("RunAll", "--dataset", "dcd-all"), 'error: [Dataset] purpose of dcd-all is "testing": nothing is trained on'),
        (("ThresholdMaps", "--dataset", "tiny", "--Dataset-layout", "cfd"), "error: the data of tiny are not at "),
    ],
)
def test_like_slips_have_one_exit_code(luigi_run: Luigi, words: tuple[str, ...], sentence: str) -> None:
    assert one_sentence(luigi_run(*words), 2).startswith(sentence)


def test_without_a_task_a_short_list_says_where_to_start(luigi_run: Luigi) -> None:
    done = luigi_run()
    assert done.returncode == 2
    first, *groups = done.stderr.splitlines()
    assert first == "error: no task is named; start with: luigi --module tasks RunAll --dataset demo"
    assert groups[0].split() == ["own", "photos:", "Start,", "Answer,", "Predict,", "Export,", "RulerSheet"]
    words = {word.strip(",") for line in groups for word in line.split()}
    assert {"RunAll", "Plan", "Gc", "ThresholdMaps"} <= words
    assert not {"Execution", "Stage", "Question", "Upkeep", "ImageStage"} & words


def test_a_misspelt_module_is_answered_with_the_right_one(tiny: Path) -> None:
    done = cold([luigi_command(), "--module", "task", "RunAll", "--dataset", "tiny"], environment(tiny))
    assert done.returncode == 2
    assert done.stderr == "error: there is no module task; did you mean luigi --module tasks RunAll --dataset tiny?\n"


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def outside(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../out.png", b"x")


def absolute(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("/etc/out.png", b"x")


def linked(path: Path) -> None:
    info = zipfile.ZipInfo("link.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info, "crack/0.png")


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(100_000_000))


def overlapping(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("crack/0.png/inside.png", b"x")


@pytest.mark.parametrize("harm", [broken, outside, absolute, linked, bomb, overlapping], ids=lambda harm: harm.__name__)
def test_an_archive_that_is_refused_as_root_is_one_sentence(
    bridge: Path, luigi_run: Luigi, harm: Callable[[Path], None]
) -> None:
    path = bridge / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for photo in sorted((bridge / "photos").rglob("*.png")):
            archive.write(photo, photo.relative_to(bridge / "photos"))
    harm(path)
    for words in (("RunAll", "--dataset", "bridge"), ("Plan", "--dataset", "bridge")):
        told = one_sentence(luigi_run(*words, "--Dataset-root", str(path)), 2)
        assert told.startswith(f"error: {path}: ")
        assert told.endswith("; nothing was unpacked: get the archive again, or mend it")


def test_an_empty_text_on_the_command_line_is_one(tiny: Path, luigi_run: Luigi) -> None:
    text = 'recipe = "quick"\n[Dataset]\nlayout = "folders"\nroot = "elsewhere"\n'
    (tiny / "configs" / "mine.toml").write_text(text)
    data = {"HAIRLINE_DATA": str(tiny)}
    assert f"not at {tiny}/elsewhere" in one_sentence(luigi_run("Dataset", "--dataset", "mine", **data), 2)
    for flag in (("--Dataset-root", ""), ("--root", ""), ("--root=",)):
        told = one_sentence(luigi_run("Dataset", "--dataset", "mine", *flag, **data), 2)
        assert f"not at {tiny}/mine" in told, "the data set's name, as the settings say of an empty root"
    told = one_sentence(luigi_run("Dataset", "--dataset", "tiny", "--Patches-stride-px", ""), 2)
    assert told == "error: --Patches-stride-px ''; allowed: a whole number"


def test_a_finished_stage_says_where_it_is(finished: Path, luigi_run: Luigi) -> None:
    done = luigi_run("ThresholdMaps", "--dataset", "tiny")
    (folder,) = (finished / "outputs" / "threshold_maps").glob("tiny-*")
    assert (done.returncode, ran(done)) == (0, [])
    assert done.stderr == f"ThresholdMaps  cached: {folder}\n"
    shutil.rmtree(folder)
    again = luigi_run("ThresholdMaps", "--dataset", "tiny")
    assert (ran(again), again.stdout.strip()) == (["ThresholdMaps"], str(folder))


def test_the_help_says_in_words_what_may_be_given(luigi_run: Luigi) -> None:
    done = luigi_run("ThresholdMaps", "--help")
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert "--stride-px STRIDE_PX a whole number from 1 to 65536" in shown
    assert "--bilateral BILATERAL true or false" in shown
    assert "Annotated" not in shown


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file system read-only")
def test_inspect_without_a_place_to_write_is_one_sentence(finished: Path, luigi_run: Luigi) -> None:
    outputs = str(finished / "outputs")
    subprocess.run(["mount", "--bind", outputs, outputs], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", outputs], check=True)
    try:
        told = one_sentence(luigi_run("Inspect", "--dataset", "tiny"), 30)
    finally:
        subprocess.run(["umount", outputs], check=True)
    assert told.startswith(f"error: Inspect: cannot write to {outputs}/")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system of its own")
def test_a_full_disk_is_told_with_the_size_of_what_did_not_fit(tmp_path: Path) -> None:
    from tasks.core import cache, files

    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        for write in (
            lambda: files.write_bytes(small / "weights", bytes(45_000_000)),
            lambda: files.write_checkpoint(small / "checkpoint", {"weights": __import__("torch").zeros(11_250_000)}),
        ):
            with pytest.raises(OSError, match="No space left") as full:
                write()
            told = cache.say_os_error(full.value, small)
            assert "needed about 45.0 MB more, free 1.0 MB" in told
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\nexec "$REAL" -c "import sys; sys.version_info = (3, 10, 12); exec(sys.argv[1])" "$2"\n')
    old.chmod(0o755)
    env = {**os.environ, "REAL": sys.executable}
    done = cold(["make", "install", f"PYTHON={old}"], env, cwd=tmp_path)
    assert done.returncode == 2
    told = f"{old} is Python 3.10.12, and 3.11 or newer is needed: install one, or say make PYTHON=/path/to/python3."
    assert told in done.stderr.splitlines()[-1]
    assert not (tmp_path / ".venv").exists()


def test_the_same_photos_as_tar_are_read_too(bridge: Path) -> None:
    with tarfile.open(bridge / "photos.tar.gz", "w:gz") as archive:
        archive.add(bridge / "photos", "photos")
    words = ("Dataset", "--dataset", "bridge")
    folder = luigi_in(bridge, *words)
    assert (folder.returncode, ran(folder)) == (0, ["Dataset"]), folder.stderr
    tar = luigi_in(bridge, *words, "--root", str(bridge / "photos.tar.gz"))
    assert (tar.returncode, ran(tar)) == (0, []), "one identity, one entry"


def test_the_plan_of_an_archive_unpacks_nothing_and_writes_only_small_notes(bridge: Path, luigi_run: Luigi) -> None:
    shutil.make_archive(str(bridge / "photos"), "zip", bridge / "photos")
    (bridge / "configs" / "bridge.toml").write_text(PHOTOS.format(root=bridge / "photos.zip"))
    done = luigi_run("Plan", "--dataset", "bridge")
    assert done.returncode == 0, done.stderr
    assert "never computed" in done.stdout
    written = [path for path in (bridge / "outputs").rglob("*") if path.is_file()]
    assert {path.suffix for path in written} <= {".json", ""}
    assert sum(path.stat().st_size for path in written) < 100_000
