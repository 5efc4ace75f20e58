"""Compare: one row per cached configuration, with only the knobs that differ as columns."""

from __future__ import annotations

import math

from tasks.core import cache, files
from tasks.core.cache import Entry, Manifest
from tasks.core.errors import StageError
from tasks.core.files import Row
from tasks.core.settings import outputs_folder
from tasks.core.walk import every_entry, rested_on
from tasks.questions.plan import shown
from tasks.questions.upkeep import Upkeep
from tasks.tables import Tables


class Compare(Upkeep):
    """One row per cached configuration, with only the knobs that differ as columns."""

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports.tables_text import aligned

        every = every_entry()
        scores = [pair for pair in every.values() if (pair[1]["stage"], pair[1]["dataset"]) == ("Scores", self.dataset)]
        if not scores:
            raise StageError(self._nothing())
        table = pd.DataFrame(only_differing([configuration(*pair, every) for pair in scores])).fillna("")
        target = outputs_folder() / "tables" / self.dataset / "compare.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_table(target, table)
        print(aligned(table, {str(name): str(name) for name in table.columns}))
        print(f"\n{len(table)} configurations: {target}", flush=True)

    def _nothing(self) -> str:
        if not self.sibling(Tables).knobs.scored:
            folder = outputs_folder() / "tables" / self.dataset
            return (
                f"{self.dataset} has no masks, or [Tables] scored = false: there is nothing to compare; labels and "
                f"predictions are listed in {folder}/masks.csv"
            )
        return f"nothing of {self.dataset} is scored yet; run: luigi --module tasks RunAll --dataset {self.dataset}"


def configuration(entry: Entry, scores: Manifest, every: dict[str, tuple[Entry, Manifest]]) -> Row:
    """What a score rests on, as flat columns: results, axes, and `Stage.knob` of everything upstream."""
    row: Row = {"key": scores["key"][: cache.KEY_CHARS]}
    knobs: Row = {}
    above = rested_on([scores["key"]], every) - {scores["key"]}
    for manifest in (scores, *(every[key][1] for key in sorted(above) if key in every)):
        row |= {name: value for name, value in manifest["axes"].items() if value and name not in row}
        knobs |= {f"{manifest['stage']}.{name}": shown(value) for name, value in manifest["knobs"].items()}
    summary = files.read_json(entry.checked("summary.json"))
    results = {name: math.nan if summary[name] is None else summary[name] for name in ("ods", "ois", "ap")}
    return {**row, **results, **knobs}


def only_differing(rows: list[Row]) -> list[Row]:
    """Drops the knob columns in which all rows that have them agree; rows by what they are, the best first."""
    knobs = sorted({name for row in rows for name in row if "." in name})
    same = {name for name in knobs if len({row[name] for row in rows if name in row}) == 1}

    def order(row: Row) -> tuple[str, str, str, float]:
        return *(str(row.get(name, "")) for name in ("split", "segmenter", "labels")), -float(str(row["ods"]))  # type: ignore[return-value]

    return [{name: value for name, value in row.items() if name not in same} for row in sorted(rows, key=order)]
