"""No key of a shipped data set changes unless somebody means it."""

from __future__ import annotations

import itertools

import tasks
from tests.conftest import read_rows
from tests.golden_keys import DATASETS, PATH, RECIPES, lines


def test_every_key_is_as_it_was_recorded() -> None:
    """Meant to change? Raise the stage's version, say so to the users, and run `python -m tests.golden_keys`."""
    recorded, found = ({tuple(row.values())[:3]: row for row in rows} for rows in (read_rows(PATH), lines()))
    changed = [place for place in recorded.keys() | found.keys() if recorded.get(place) != found.get(place)]
    assert sorted(changed) == []


def test_the_record_has_every_stage_under_every_recipe() -> None:
    rows = read_rows(PATH)
    assert {(row["dataset"], row["recipe"]) for row in rows} == {*itertools.product(DATASETS, RECIPES)}
    stages = {stage.__name__ for stage in tasks.STAGES}
    for recipe in RECIPES:
        assert {row["stage"] for row in rows if row["recipe"] == recipe} == stages
