"""The whole road on a tiny data set: what runs, what is reused, what a user can ask."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Luigi, cold, environment, luigi_command, luigi_in, make_workplace, published, ran

ALL_STAGES = 23
BELOW_PSEUDO = ["PseudoLabels", "Scores", "Segmenter", "Predictions", "Scores", "Tables"]


def entries(workplace: Path) -> dict[str, dict[str, str]]:
    """Every cached entry, with the checksums of its files."""
    manifests = (workplace / "outputs").glob("*/[!.]*/manifest.json")
    loaded = {str(path.parent.relative_to(workplace)): json.loads(path.read_text()) for path in manifests}
    return {
        name: {file: record["sha256"] for file, record in manifest["files"].items()}
        for name, manifest in loaded.items()
    }


def test_everything_is_computed_once_and_the_tables_are_laid_out(undisturbed: Path) -> None:
    assert len(entries(undisturbed)) == ALL_STAGES
    names = {path.name for path in (undisturbed / "outputs" / "tables" / "tiny").iterdir()}
    assert {"comparison.csv", "label_quality.csv", "segmentation.csv", "timings.csv", "provenance.json"} <= names
    header = published(undisturbed)["comparison.csv"].decode().splitlines()[0]
    assert {"FSV_ods", "CRF_ods", "WSV_ods", "WSV-CRF_ods", "WSV/FSV_ods"} <= set(header.split(","))


def test_every_row_names_the_keys_of_the_stages_that_made_it(undisturbed: Path) -> None:
    header, *rows = published(undisturbed)["segmentation.csv"].decode().splitlines()
    cached = {name.rsplit("-", 1)[1] for name in entries(undisturbed)}
    columns = header.split(",")
    for row in rows:
        keys = [value for name, value in zip(columns, row.split(","), strict=True) if name.endswith("_key") and value]
        assert len(keys) >= 4
        assert set(keys) <= cached


def test_every_number_behind_the_tables_is_in_them(undisturbed: Path) -> None:
    text = published(undisturbed)["settings.csv"].decode()
    assert "PseudoLabels" in text
    assert ",erosion_iterations,4\n" in text
    assert ",learning_rate,0.02\n" in text


def test_a_second_run_computes_nothing(finished: Path, luigi_run: Luigi) -> None:
    done = luigi_run("RunAll", "--dataset", "tiny")
    assert (done.returncode, ran(done)) == (0, [])
    assert "WSV/FSV ODS" in done.stdout
    assert "All tables: " in done.stdout


def test_one_knob_runs_its_stage_and_what_lies_below_and_going_back_runs_nothing(
    finished: Path, luigi_run: Luigi
) -> None:
    before = published(finished)
    changed = luigi_run("RunAll", "--dataset", "tiny", "--PseudoLabels-erosion-iterations", "2")
    assert changed.returncode == 0, changed.stderr
    assert ran(changed) == BELOW_PSEUDO
    assert published(finished)["label_quality.csv"] != before["label_quality.csv"]
    back = luigi_run("RunAll", "--dataset", "tiny")
    assert ran(back) == []
    assert published(finished) == before


def test_one_stage_runs_only_what_it_needs(tiny: Path, luigi_run: Luigi) -> None:
    done = luigi_run("ThresholdMaps", "--dataset", "tiny")
    assert done.returncode == 0, done.stderr
    assert ran(done) == ["DemoPhotos", "Dataset", "ThresholdMaps"]


def test_the_command_works_from_another_folder_and_without_pythonpath(finished: Path, tmp_path: Path) -> None:
    env = {name: value for name, value in environment(finished).items() if name != "PYTHONPATH"}
    done = cold([luigi_command(), "--module", "tasks", "RunAll", "--dataset", "tiny"], env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_second_run_is_back_within_five_seconds_as_a_user_starts_it(finished: Path) -> None:
    command = [luigi_command(), "--module", "tasks", "RunAll", "--dataset", "tiny"]
    started = time.monotonic()
    assert cold(command, environment(finished)).returncode == 0
    assert time.monotonic() - started < 5


def test_a_variant_has_tables_of_its_own_and_reuses_all_that_it_does_not_change(
    finished: Path, luigi_run: Luigi
) -> None:
    before = published(finished)
    done = luigi_run("RunAll", "--dataset", "tiny", "--variant", "two_classes")
    assert done.returncode == 0, done.stderr
    assert sorted(set(ran(done))) == ["Predictions", "PseudoLabels", "Scores", "Segmenter", "Tables", "ThresholdMaps"]
    assert (finished / "outputs" / "tables" / "tiny" / "two_classes" / "comparison.csv").exists()
    assert published(finished) == before


def test_inspect_draws_every_map_of_one_image(finished: Path, luigi_run: Luigi) -> None:
    import cv2

    target = finished / "sheet.png"
    done = luigi_run("Inspect", "--dataset", "tiny", "--out", str(target))
    assert done.returncode == 0, done.stderr
    sheet = cv2.imread(str(target))
    assert sheet is not None
    assert sheet.shape[1] > 4 * 280
    assert sheet.std() > 30


@pytest.mark.slow
def test_the_same_key_gives_the_same_bytes_with_one_worker_or_three(undisturbed: Path, tmp_path: Path) -> None:
    other = make_workplace(tmp_path / "other")
    done = luigi_in(other, "RunAll", "--dataset", "tiny", "--workers", "3", "--Execution-processes", "2")
    assert done.returncode == 0, done.stderr
    assert published(other) == published(undisturbed)
    assert entries(other) == entries(undisturbed)


def test_two_runs_at_once_both_succeed_and_compute_each_stage_once(undisturbed: Path, tmp_path: Path) -> None:
    other = make_workplace(tmp_path / "other")
    words = [luigi_command(), "--module", "tasks", "RunAll", "--dataset", "tiny"]
    both = [
        subprocess.Popen(
            words, env=environment(other), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    computed = [line.split()[1] for text in told for line in text.splitlines() if "✓" in line]
    assert len(computed) == len(set(computed)) == ALL_STAGES
    assert published(other) == published(undisturbed)


@pytest.mark.parametrize("stage", ["Classifier", "Segmenter"])
def test_training_goes_on_from_the_last_finished_epoch_and_ends_with_the_same_weights(
    undisturbed: Path, tmp_path: Path, stage: str
) -> None:
    other = make_workplace(tmp_path / "other")
    words = ["Classifier"] if stage == "Classifier" else ["Segmenter", "--segmenter", "unet", "--labels", "full"]
    killed = luigi_in(other, *words, "--dataset", "tiny", CHAOS=f"{stage}:epoch-1")
    assert killed.returncode == 30
    assert "killed by signal 9" in killed.stderr
    again = luigi_in(other, *words, "--dataset", "tiny")
    assert again.returncode == 0, again.stderr
    assert "goes on after epoch 1 of 2" in again.stderr
    expected = entries(undisturbed)
    for name, checksums in entries(other).items():
        assert expected[name] == checksums
