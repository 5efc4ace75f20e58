"""Tables over several seeds: every single row is kept, and beside them stand mean and standard deviation."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from pipeline.reports.tables_to_spread import compared_numbers, in_words, spread, together
from tasks import Tables
from tasks.core.errors import SettingsError
from tasks.core.walk import walk
from tests.conftest import Luigi, ran, resolved


def of(seed: int, full: float, weak: float) -> pd.DataFrame:
    place = {"test_set": "here", "segmenter": "unet", "arch": ""}
    rows = [{**place, "labels": labels, "ods": ods} for labels, ods in {"full": full, "merged": weak}.items()]
    return pd.DataFrame(rows)


TABLE = together({1: of(1, 0.5, 0.25), 3: of(3, 0.75, math.nan), 4: of(4, 1.0, math.nan)})
BY = ("test_set", "segmenter", "labels", "arch")


def test_every_row_of_every_seed_is_kept_with_its_seed_in_front() -> None:
    assert TABLE.columns[0] == "seed"
    assert TABLE["seed"].tolist() == [1, 1, 3, 3, 4, 4]
    assert TABLE["ods"].dropna().tolist() == [0.5, 0.25, 0.75, 1.0]


def test_a_spread_is_mean_and_standard_deviation_of_the_seeds_that_have_a_number() -> None:
    full, merged = spread(TABLE, BY, ["ods"]).to_dict("records")
    assert (full["seeds"], full["ods_n"], full["ods_mean"], full["ods_std"]) == ("1 3 4", 3, 0.75, 0.25)
    assert (merged["ods_n"], merged["ods_mean"]) == (1, 0.25)
    assert math.isnan(merged["ods_std"])


def test_one_seed_alone_is_told_without_a_spread_and_none_with_a_dash() -> None:
    nothing = pd.DataFrame([{"ods_n": 0, "ods_mean": math.nan, "ods_std": math.nan}])
    table = pd.concat([spread(TABLE, BY, ["ods"]), nothing])
    assert in_words(table, ["ods"])["ods"].tolist() == ["0.7500 ± 0.2500", "0.2500", "–"]


def test_the_papers_numbers_have_no_spread() -> None:
    table = pd.DataFrame([{"FSV_ods": 1.0, "WSV/FSV_ap": 1.0, "paper_FSV_ods": 1.0, "FSV_scores_key": "a"}])
    assert compared_numbers(table) == ["FSV_ods", "WSV/FSV_ap"]


def test_numbers_may_be_laid_over_a_named_variant(tiny: Path) -> None:
    both = "two_classes;Segmenter.seed=5;ThresholdMaps.window_px=64"
    maps = resolved("ThresholdMaps", "tiny", variant=both)
    assert (maps.classes, maps.window_px) == (2, 64)
    assert resolved("Segmenter", "tiny", variant=both).seed == 5
    with pytest.raises(SettingsError, match="there is no variant 'two_clases'"):
        resolved("Segmenter", "tiny", variant="two_clases;Segmenter.seed=5")


def test_seeds_share_all_that_is_not_trained_and_one_of_them_is_the_table_without_seeds(tiny: Path) -> None:
    usual = resolved("Segmenter", "tiny").seed
    both = Tables(dataset="tiny", seeds=f"[{usual}, 77]", labels='["full"]', classifiers="[]")
    plain = Tables(dataset="tiny", labels='["full"]', classifiers="[]")
    parts = [
        Tables(dataset="tiny", variant=part.variant, seeds="[]", labels='["full"]', classifiers="[]")
        for part in both.above.values()
        if isinstance(part, Tables)
    ]
    keys = [{stage.stage(): stage.key for stage in walk(*part.segmentation_scores())} for part in (plain, *parts)]
    usual_keys, first, second = keys
    assert first == usual_keys
    assert {name for name in first if first[name] != second[name]} == {"Segmenter", "Predictions", "Scores"}
    assert both.key != plain.key


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"seeds": "[1, 1]"}, "allowed: each seed once"),
        ({"seeds": "[-1]"}, "allowed"),
        ({"seeds": "[1]", "scored": "false", "labels": '["merged"]'}, "scored = false says that there are none"),
    ],
)
def test_a_slip_in_the_seeds_is_one_sentence(tiny: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words.replace("[", r"\[")):
        assert Tables(dataset="tiny", **given).knobs


def test_run_all_with_two_seeds_shows_the_spread_and_lays_out_single_rows_and_means(
    tiny: Path, luigi_run: Luigi
) -> None:
    words = ("--Tables-labels", '["full"]', "--Tables-classifiers", "[]", "--Tables-seeds", "[1, 2]")
    done = luigi_run("RunAll", "--dataset", "tiny", *words)
    assert done.returncode == 0, done.stderr
    assert ran(done).count("Segmenter") == 2
    assert " ± " in done.stdout
    folder = tiny / "outputs" / "tables" / "tiny"
    single, means = (pd.read_csv(folder / f"{name}.csv") for name in ("segmentation", "segmentation_seeds"))
    assert single["seed"].tolist() == [1, 2]
    assert means.loc[0, "ods_mean"] == pytest.approx(single["ods"].mean())
    assert single["segmenter_key"].nunique() == 2
    assert {path.name for path in folder.glob("curves-*.png")} == {"curves-tiny-seed1.png", "curves-tiny-seed2.png"}
    assert "Mean ± standard deviation over the seeds 1, 2" in (folder / "summary.md").read_text()
