"""The cache in a user's hands: what would run and why, what moves together, what can go."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import TINY, Luigi, ran, rename_data
from tests.test_flow import ALL_STAGES, entries


def reasons(plan: str) -> dict[str, str]:
    """What a plan says of each entry, by stage and axes, without the entry's name."""
    lines = [line.split(None, 3) for line in plan.splitlines() if line[:6] in ("RUN   ", "cached", "gone  ")]
    return {f"{stage} {' '.join(rest)}": status for status, stage, _, *rest in lines}


def test_plan_says_what_would_run_and_why_and_runs_nothing(finished: Path, luigi_run: Luigi) -> None:
    before = entries(finished)
    done = luigi_run("Plan", "--dataset", "tiny", "--ThresholdMaps-stride-px", "4")
    lines = {" ".join(line.split()[:2]): line for line in done.stdout.splitlines()}
    assert "stride_px: 8 -> 4" in lines["RUN ThresholdMaps"]
    assert "upstream ThresholdMaps changed" in lines["RUN PseudoLabels"]
    assert "cached Classifier" in lines
    assert "cached Cams" in lines
    assert entries(finished) == before


def test_plan_of_an_empty_cache_says_never_computed(tiny: Path, luigi_run: Luigi) -> None:
    done = luigi_run("Plan", "--dataset", "tiny")
    assert done.stdout.count("never computed") == ALL_STAGES
    assert f"0 cached, {ALL_STAGES} to run" in done.stdout


def test_compare_shows_only_the_knobs_that_differ(finished: Path, luigi_run: Luigi) -> None:
    luigi_run(
        "Scores", "--dataset", "tiny", "--labels", "pseudo", "--split", "train", "--PseudoLabels-cam-weight", "0.3"
    )
    done = luigi_run("Compare", "--dataset", "tiny")
    header = (finished / "outputs" / "tables" / "tiny" / "compare.csv").read_text().splitlines()[0].split(",")
    assert done.returncode == 0, done.stderr
    assert [name for name in header if "." in name] == ["PseudoLabels.cam_weight"]


def test_invalidate_moves_a_stage_and_what_rests_on_it_and_undo_moves_them_back(
    finished: Path, luigi_run: Luigi
) -> None:
    before = entries(finished)
    done = luigi_run("Invalidate", "--dataset", "tiny", "--stage", "PseudoLabels")
    assert done.returncode == 0, done.stderr
    gone = {name.split("/")[1] for name in before.keys() - entries(finished).keys()}
    assert gone == {"pseudo_labels", "scores", "segmenter", "predictions", "tables"}
    assert ran(luigi_run("Invalidate", "--dataset", "tiny", "--undo")) == []
    assert entries(finished) == before


def test_verify_finds_a_flipped_bit_and_the_same_command_mends_it(finished: Path, luigi_run: Luigi) -> None:
    assert luigi_run("Verify", "--dataset", "tiny").returncode == 0
    path = next((finished / "outputs" / "tables").glob("tiny-*/comparison.csv"))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    done = luigi_run("Verify", "--dataset", "tiny")
    assert done.returncode != 0
    assert "comparison.csv has another checksum; moved to .bad-" in done.stderr
    again = luigi_run("RunAll", "--dataset", "tiny")
    assert (again.returncode, ran(again)) == (0, ["Tables"])


def test_adding_a_segmenter_changes_the_reason_of_no_other_and_the_tables_name_what_is_new(
    finished: Path, luigi_run: Luigi
) -> None:
    before = reasons(luigi_run("Plan", "--dataset", "tiny").stdout)
    done = luigi_run("Plan", "--dataset", "tiny", "--Tables-segmenters", "cgnet,unet")
    after = reasons(done.stdout)
    assert {name for name, status in before.items() if status == "cached" and not name.startswith("Tables")} == {
        name for name, status in after.items() if status == "cached"
    }
    (tables,) = [line for line in done.stdout.splitlines() if line.startswith("RUN     Tables")]
    new = ", ".join(f"cgnet {labels} on itself" for labels in ("full", "crf resnet18", "pseudo resnet18"))
    assert tables.endswith(f'segmenters: ["unet"] -> ["cgnet","unet"]; new: {new}')


def test_what_is_gone_above_a_finished_stage_is_not_said_to_run(finished: Path, luigi_run: Luigi) -> None:
    shutil.rmtree(finished / "outputs" / "segmenter")
    done = luigi_run("Plan", "--dataset", "tiny")
    told = f"{ALL_STAGES - 3} cached, 0 to run, 3 gone that nothing asks for, since what rests on them is there"
    assert told in done.stdout
    assert ran(luigi_run("RunAll", "--dataset", "tiny")) == []


def test_what_was_only_invalidated_is_said_to_be(finished: Path, luigi_run: Luigi) -> None:
    luigi_run("ThresholdMaps", "--dataset", "tiny", "--window-px", "48")
    luigi_run("Invalidate", "--dataset", "tiny", "--stage", "ThresholdMaps")
    plan = luigi_run("Plan", "--dataset", "tiny").stdout
    (line,) = [line for line in plan.splitlines() if line.startswith("RUN     ThresholdMaps")]
    assert line.endswith("  was invalidated")


def test_predictions_of_another_data_set_are_no_predecessors_of_ones_own(finished: Path, luigi_run: Luigi) -> None:
    other = TINY.replace("[DemoPhotos]", "[DemoPhotos]\nseed = 9")
    (finished / "configs" / "bridge.toml").write_text(other)
    words = ("--segmenter", "unet", "--labels", "full")
    assert luigi_run("Predictions", "--dataset", "tiny", *words, "--target", "bridge").returncode == 0
    for entry in (finished / "outputs" / "predictions").glob("tiny-*"):
        found = json.loads((entry / "manifest.json").read_text())
        if found["upstream_entries"]["target"].startswith("dataset/tiny-"):
            shutil.rmtree(entry)
    for folder in ("scores", "tables"):
        shutil.rmtree(finished / "outputs" / folder)
    plan = luigi_run("Plan", "--dataset", "tiny").stdout
    assert plan.count("RUN     Predictions") == 3
    assert "Dataset changed" not in plan


def test_invalidating_a_stage_moves_all_that_rests_on_it_whatever_knobs_made_it(
    finished: Path, luigi_run: Luigi
) -> None:
    before = entries(finished)
    other = luigi_run("RunAll", "--dataset", "tiny", "--PseudoLabels-erosion-iterations", "2")
    assert other.returncode == 0, other.stderr
    with_other = entries(finished)
    done = luigi_run("Invalidate", "--dataset", "tiny", "--stage", "ThresholdMaps")
    assert done.returncode == 0, done.stderr
    left = {name.split("/")[1] for name in entries(finished)}
    assert "pseudo_labels" not in left
    assert "tables" not in left
    again = luigi_run("Plan", "--dataset", "tiny", "--PseudoLabels-erosion-iterations", "2")
    (line,) = [line for line in again.stdout.splitlines() if "PseudoLabels" in line]
    assert line.startswith("RUN")
    luigi_run("Invalidate", "--dataset", "tiny", "--undo")
    assert entries(finished) == with_other
    assert with_other.keys() > before.keys()


def test_gc_spares_what_is_young_names_what_made_the_rest_and_removes_it_only_when_told(
    finished: Path, luigi_run: Luigi
) -> None:
    shutil.rmtree(finished / "outputs" / ".decoded")
    before = entries(finished)
    luigi_run("ThresholdMaps", "--dataset", "tiny", "--stride-px", "16")
    (finished / "outputs" / "cams" / ".draft-tiny-000000000000").mkdir()
    with_old = entries(finished)
    young = luigi_run("Gc", "--dataset", "tiny")
    assert young.returncode == 0, young.stderr
    assert "1 are spared, for they are younger than" in young.stdout
    assert "would go: 1 of tiny" in young.stdout, "the draft"
    old = luigi_run("Gc", "--dataset", "tiny", "--keep-days", "0")
    assert "would go: 2 of tiny" in old.stdout
    assert "by: ThresholdMaps --dataset tiny --stride-px 16" in old.stdout
    assert "note:" not in young.stdout + old.stdout
    assert entries(finished) == with_old, "nobody was there to be asked"
    removed = luigi_run("Gc", "--dataset", "tiny", "--keep-days", "0", "--apply")
    assert "removed 2 of tiny" in removed.stdout
    assert entries(finished) == before
    assert not (finished / "outputs" / "cams" / ".draft-tiny-000000000000").exists()


@pytest.mark.slow
def test_gc_keeps_what_any_recipe_or_variant_names_and_what_another_data_set_rests_on(
    finished: Path, luigi_run: Luigi
) -> None:
    assert luigi_run("ThresholdMaps", "--dataset", "tiny", "--variant", "two_classes").returncode == 0
    assert luigi_run("LabelTables", "--dataset", "tiny").returncode == 0
    keys = ("Gc", "--dataset", "tiny", "--keep-days", "0")
    shutil.rmtree(finished / "outputs" / ".decoded")
    assert "would go: 0 of tiny" in luigi_run(*keys).stdout
    (finished / "configs" / "bridge.toml").write_text(TINY.replace("[DemoPhotos]", "[DemoPhotos]\nseed = 9"))
    words = ("--segmenter", "unet", "--labels", "full", "--target", "tiny", "--DemoPhotos-seed", "9")
    assert luigi_run("Predictions", "--dataset", "bridge", *words).returncode == 0
    listed = luigi_run(*keys).stdout
    assert "would go: 0 of tiny" in listed, listed


def test_gc_offers_pixels_that_nobody_has_read_for_long(finished: Path, luigi_run: Luigi) -> None:
    pixels = list((finished / "outputs" / ".decoded").glob("[!.]*.pixels"))
    assert len(pixels) > 3
    assert "would go: 0 of tiny" in luigi_run("Gc", "--dataset", "tiny").stdout
    removed = luigi_run("Gc", "--dataset", "tiny", "--keep-days", "0", "--apply")
    assert removed.returncode == 0, removed.stderr
    assert not list((finished / "outputs" / ".decoded").glob("[!.]*.pixels"))
    assert not list((finished / "outputs" / ".decoded").glob("*.sha256"))


def test_gc_never_takes_a_data_set_for_another_whose_name_begins_alike(finished: Path, luigi_run: Luigi) -> None:
    rename_data(finished, "tiny-two")
    shutil.rmtree(finished / "outputs" / "logs")
    for name in ("cams/.draft-tiny-two-000000000000", ".trash/000001/cams/tiny-two-000000000000"):
        (finished / "outputs" / name).mkdir(parents=True)
    for path in (finished / "outputs" / ".decoded").glob("[!.]*"):
        path.rename(path.with_name(path.name.replace("-tiny-", "-tiny-two-")))
    before = {path for path in (finished / "outputs").rglob("*") if not path.name.startswith(".lock")}
    done = luigi_run("Gc", "--dataset", "tiny", "--keep-days", "0", "--apply")
    assert done.returncode == 0, done.stderr
    assert {path for path in (finished / "outputs").rglob("*") if not path.name.startswith(".lock")} == before
