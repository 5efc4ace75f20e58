"""The keys of every stage of the shipped data sets: `python -m tests.golden_keys` writes them to golden_keys.csv.

An outputs folder is worth days of computing. A key that changes by accident throws it away, so each is pinned: one line
for each stage of each data set under each recipe, with how many entries it has and one checksum over their keys. The
data are stand-ins, one small file each, since only their checksums go into a key.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATH = Path(__file__).with_name("golden_keys.csv")
DATASETS = ("demo", "crack500", "cfd", "dcd")
RECIPES = ("quick", "brief", "paper")
DATA = ("crack500", "cfd", "deepcrack", "ael")  # the folders that their settings name
WITH_EDGES = 'EdgeMaps.source=canny;Segmenter.options={"scnet": {"edges": "input"}}'
COLUMNS = ("dataset", "recipe", "stage", "entries", "checksum")


@contextmanager
def stand_ins() -> Iterator[None]:
    """Nothing but the project's own settings, and a small file where the photos of each data set would lie."""
    from tasks.core import settings

    with tempfile.TemporaryDirectory() as folder:
        for name in DATA:
            (Path(folder) / name).mkdir()
            (Path(folder) / name / "stand-in.txt").write_text(name)
        before = dict(os.environ)
        os.environ |= {"HAIRLINE_DATA": folder, "HAIRLINE_OUTPUTS": str(Path(folder) / "outputs")}
        os.environ.pop("HAIRLINE_CONFIGS", None)
        settings.forget()
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            settings.forget()


def keys_of(dataset: str, recipe: str) -> dict[str, set[str]]:
    """Stage → all its keys: every network on every kind of labels, the tables of labels, edges and refinements."""
    from luigi.task_register import Register

    import tasks
    from tasks.core.walk import walk

    Register.clear_instance_cache()
    axes = {"dataset": dataset, "recipe": recipe}
    named = {"segmenter": "unet", "labels": "full"}
    roots = [
        tasks.Tables(**axes, segmenters='["all"]', semi='["all"]'),
        *tasks.LabelTables(**axes).requires(),
        tasks.TuneLabels(**axes, arch="resnet18"),
        tasks.Scores(**axes, **named, variant="Refinements.method=crf"),
        tasks.Predictions(**axes, segmenter="scnet", labels="full", variant=WITH_EDGES),
        tasks.Scores(**axes, segmenter="lite_unet", labels="round2"),
    ]
    found: dict[str, set[str]] = {}
    for stage in (part for root in roots for part in walk(root)):
        found.setdefault(stage.stage(), set()).add(stage.key)
    return found


def lines() -> list[dict[str, str]]:
    """The lines of the file."""
    with stand_ins():
        return [
            {"dataset": dataset, "recipe": recipe, "stage": stage, "entries": str(len(keys)), "checksum": _digest(keys)}
            for dataset in DATASETS
            for recipe in RECIPES
            for stage, keys in sorted(keys_of(dataset, recipe).items())
        ]


def _digest(keys: set[str]) -> str:
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()[:16]


def as_text(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


if __name__ == "__main__":
    PATH.write_text(as_text(lines()))
