"""Data sets that are not on this machine are left out and named, or refused; nothing is skipped in silence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from luigi.task_register import Register

from tasks import Tables
from tasks.core.errors import SettingsError, StageError
from tests.conftest import TINY, Luigi, ran


@pytest.fixture
def abroad(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the photos of a data set called abroad belong; nothing is there."""
    monkeypatch.setenv("HAIRLINE_DATA", str(tiny / "data"))
    folders = 'recipe = "quick"\n[Dataset]\nlayout = "folders"\n'
    (tiny / "configs" / "abroad.toml").write_text(folders)
    both = 'recipe = "quick"\n[Dataset]\nlayout = "combined"\nparts = ["tiny", "abroad"]\n'
    (tiny / "configs" / "both.toml").write_text(both)
    return tiny / "data" / "abroad"


def tables(**knobs: str) -> Tables:
    Register.clear_instance_cache()
    return Tables(dataset="tiny", **knobs)


def targets(stage: Tables) -> list[str]:
    return [scores.target_dataset().dataset for scores in stage.segmentation_scores()]


def test_an_absent_test_set_is_left_out_and_named_with_what_is_missing(abroad: Path) -> None:
    stage = tables(test_sets="abroad,self")
    assert targets(stage) == ["tiny"] * 3
    assert stage.missing == {"abroad": f"no data at {abroad} (luigi --module tasks Fetch --dataset abroad)"}
    assert stage.ahead() == [f"left out, not on this machine: abroad: {stage.missing['abroad']}"]
    assert tables().ahead() == []


def test_the_key_of_the_tables_tells_which_test_sets_were_there(abroad: Path) -> None:
    without = tables(test_sets="self,abroad").key
    (abroad / "images" / "test").mkdir(parents=True)
    (abroad / "images" / "test" / "a.png").write_bytes(b"any")
    stage = tables(test_sets="self,abroad")
    assert stage.missing == {}
    assert targets(stage) == ["tiny"] * 3 + ["abroad"] * 3
    assert stage.key != without
    shutil.rmtree(abroad)
    assert tables(test_sets="self,abroad").key == without


def test_absent_data_sets_can_be_made_a_failure(abroad: Path) -> None:
    with pytest.raises(
        StageError, match=rf'not here: abroad: no data at {abroad} .*; get them, or set absent = "name"'
    ):
        tables(test_sets="self,abroad", absent="fail").upstream()


def test_when_no_test_set_is_there_it_is_an_error_in_one_sentence(abroad: Path) -> None:
    with pytest.raises(StageError, match=r"^none of the test sets of tiny is here: abroad: no data at .*; get one"):
        tables(test_sets="abroad").upstream()


def test_a_misspelt_test_set_is_no_absent_one(abroad: Path) -> None:
    with pytest.raises(SettingsError, match=r"there is no dataset 'abraod'; did you mean abroad\?"):
        tables(test_sets="self,abraod").upstream()


def test_a_combined_data_set_is_absent_when_a_part_is(abroad: Path) -> None:
    stage = tables(also_train_on="both")
    assert stage.missing == {"both": f"no data at {abroad} (luigi --module tasks Fetch --dataset abroad)"}
    assert stage.others() == []


def test_a_further_training_set_brings_its_own_tables_tested_on_itself(tiny: Path) -> None:
    (tiny / "configs" / "bridge.toml").write_text(TINY)
    stage = tables(also_train_on="bridge,tiny")
    (other,) = stage.others()
    assert other.key == Tables(dataset="bridge").key
    assert other.segmentation_scores()[0].target_dataset().dataset == "bridge"
    assert other in stage.upstream().values()
    with pytest.raises(SettingsError, match="also_train_on names data sets, but scored = false"):
        tables(also_train_on="bridge", scored="false", labels="pseudo")


def test_what_is_left_out_is_told_before_and_after_and_in_the_summary(
    abroad: Path, finished: Path, luigi_run: Luigi
) -> None:
    words = ("RunAll", "--dataset", "tiny", "--Tables-test-sets", "self,abroad")
    done = luigi_run(*words)
    assert done.returncode == 0, done.stderr
    assert ran(done) == ["Tables"]
    told = f"left out, not on this machine: abroad: no data at {abroad}"
    assert told in done.stdout
    assert done.stderr.startswith(f"RunAll         {told}"), "before anything runs"
    folder = finished / "outputs" / "tables" / "tiny"
    assert "not on this machine: abroad.\n" in (folder / "summary.md").read_text()
    assert list(json.loads((folder / "provenance.json").read_text())["left_out"]) == ["abroad"]
    plan = luigi_run("Plan", *words[1:])
    assert told in plan.stdout
    alone = luigi_run(*words[:-1], "abroad")
    assert alone.returncode != 0
    assert "error: none of the test sets of tiny is here" in alone.stderr
    assert "Traceback" not in alone.stderr
