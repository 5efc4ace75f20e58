"""Compare: one row per cached configuration, with only the knobs that differ as columns."""

from __future__ import annotations

from typing import Any

from tasks.core import cache, files, settings
from tasks.core.cache import Entry
from tasks.core.errors import StageError
from tasks.core.provenance import manifests
from tasks.questions.plan import shown
from tasks.questions.upkeep import Upkeep


class Compare(Upkeep):
    """One row per cached configuration, with only the knobs that differ as columns."""

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports.tables_text import aligned

        rows = self._rows()
        if not rows:
            raise StageError(
                f"nothing of {self.dataset} is scored yet; run: luigi --module tasks RunAll --dataset {self.dataset}"
            )
        table = pd.DataFrame(only_differing(rows)).fillna("")
        target = settings.outputs_folder() / "tables" / self.dataset / "compare.csv"
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_table(target, table)
        print(aligned(table, {str(name): str(name) for name in table.columns}))
        print(f"\n{len(table)} configurations: {target}", flush=True)

    def _rows(self) -> list[dict[str, Any]]:
        by_key = {
            manifest["key"]: manifest
            for folder in settings.outputs_folder().glob("[!.]*")
            if folder.is_dir()
            for manifest in manifests(folder)
        }
        scores = [m for m in by_key.values() if m["stage"] == "Scores" and m["dataset"] == self.dataset]
        return [configuration(manifest, by_key) for manifest in scores]


def configuration(scores: dict[str, Any], by_key: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a score rests on, as flat columns: results, axes, and `Stage.knob` of everything upstream."""
    entry = Entry(scores["entry"], scores["key"])
    summary = files.read_json(entry.checked("summary.json"))
    row: dict[str, Any] = {"key": scores["key"][: cache.KEY_CHARS]}
    knobs: dict[str, Any] = {}
    todo, seen = [scores], set()
    while todo:
        manifest = todo.pop()
        if manifest["key"] in seen:
            continue
        seen.add(manifest["key"])
        row |= {name: value for name, value in manifest["axes"].items() if value and name not in row}
        knobs |= {f"{manifest['stage']}.{name}": shown(value) for name, value in manifest["knobs"].items()}
        todo += [by_key[key] for key in manifest["upstream"].values() if key in by_key]
    scores = {name: float("nan") if summary[name] is None else summary[name] for name in ("ods", "ois", "ap")}
    return {**row, **scores, **knobs}


def only_differing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drops the knob columns in which all rows that have them agree."""
    knobs = sorted({name for row in rows for name in row if "." in name})
    same = {name for name in knobs if len({row[name] for row in rows if name in row}) == 1}
    ordered = sorted(
        rows,
        key=lambda row: (row.get("split", ""), row.get("segmenter", ""), row.get("labels", ""), -row["ods"]),
    )
    return [{name: value for name, value in row.items() if name not in same} for row in ordered]
