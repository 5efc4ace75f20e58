"""RunAll: the whole road; its tables are laid out under a path that stays the same."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import luigi

from tasks.core import cache, console, files, settings
from tasks.core.errors import HairlineError, StageError
from tasks.core.provenance import git_commit, package_versions
from tasks.core.stage import Experiment
from tasks.reports.forecast import forecast_line
from tasks.reports.rows import walk
from tasks.tables import COMPARISON, LABEL_QUALITY, SEGMENTATION, SUMMARY, Tables

PROVENANCE, TIMINGS = "provenance.json", "timings.csv"


class Question(Experiment):
    """A task that answers something each time it is asked; nothing of it is cached."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.answered = False

    def complete(self) -> bool:
        return self.answered

    def run(self) -> None:
        try:
            self.answer()
        except OSError as error:
            raise StageError(cache.say_os_error(error, settings.outputs_folder(), 1_000_000)) from error
        self.answered = True

    def published_folder(self) -> Path:
        """outputs/tables/<dataset>, and in it a folder of its own for each other recipe or variant."""
        folder = settings.outputs_folder() / "tables" / self.dataset
        other = "-".join(part for part in (self.recipe, self.variant) if part).replace("/", "_")
        return folder / other if other else folder

    def provenance(self) -> dict[str, Any]:
        """What a table that is laid out has to say of itself."""
        return {
            "command": shlex.join(["luigi", *sys.argv[1:]]),
            "published": datetime.now(UTC).isoformat(timespec="seconds"),
            "recipe": settings.recipe_name(self.dataset, self.recipe),
            "variant": self.variant,
            "host": console.host(),
            "packages": package_versions(),
            "git": git_commit(),
        }

    def answer(self) -> None:
        raise TypeError(f"{type(self).__name__} has no answer(); write one")


class RunAll(Question):
    """Everything: `luigi --module tasks RunAll --dataset demo`."""

    def tables(self) -> Tables:
        return self.sibling(Tables)

    def requires(self) -> list[Tables]:
        return [self.tables()]

    def answer(self) -> None:
        folder, tables = self.published_folder(), self.tables()
        folder.mkdir(parents=True, exist_ok=True)
        for name in set(published_before(folder)) - set(tables.published()):
            (folder / name).unlink(missing_ok=True)  # of another configuration
        for name in tables.published():
            files.write_bytes(folder / name, tables.entry.checked(name).read_bytes())
        files.write_table(folder / TIMINGS, timings(tables))
        entry = tables.entry
        computed = {"computed": entry.manifest()["created"], "tables": entry.name, "files": tables.published()}
        files.write_json(folder / PROVENANCE, {**self.provenance(), **computed, "left_out": tables.missing})
        self._show(folder)

    def _show(self, folder: Path) -> None:
        from pipeline.reports import scores_to_tables as to_tables
        from pipeline.reports.tables_text import aligned

        if not self.tables().knobs.scored:
            print(f"\n{(folder / SUMMARY).read_text(encoding='utf-8')}")
        else:
            compared, segmentation = files.read_table(folder / COMPARISON), files.read_table(folder / SEGMENTATION)
            print(f"\nSegmenters trained on full masks (FSV), CRF labels (CRF), pseudo labels (WSV) of {self.dataset}")
            print(aligned(compared, to_tables.comparison_columns("ods", compared)))
            for note in filter(None, (to_tables.note_on_empty(segmentation), to_tables.note_on_images(segmentation))):
                print(f"  {note}")
            self._show_labels(folder / LABEL_QUALITY)
        left_out = self.tables().left_out()
        print("\n" + "".join(f"{line}\n" for line in (left_out, f"All tables: {folder}") if line), end="", flush=True)

    def _show_labels(self, quality: Path) -> None:
        from pipeline.reports import scores_to_tables as to_tables
        from pipeline.reports.tables_text import aligned

        if quality.stat().st_size > 1:
            print("\nThe labels themselves, against the masks")
            print(aligned(files.read_table(quality), to_tables.LABEL_COLUMNS))


@RunAll.event_handler(luigi.Event.DEPENDENCY_DISCOVERED)
def _before_it_starts(question: RunAll, tables: Tables) -> None:
    """Luigi tells this while it plans, before anything runs."""
    try:
        lines = tables.left_out(), forecast_line(tables)
    except HairlineError:
        return  # Luigi comes to the same stage next, and then it is said, once
    for line in filter(None, lines):
        console.say(type(question).__name__, line)


def published_before(folder: Path) -> list[str]:
    """What the run before laid out there."""
    try:
        return [str(name) for name in files.read_json(folder / PROVENANCE)["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def timings(tables: Tables) -> Any:
    """Seconds of every stage behind the tables, as its manifest recorded them."""
    import pandas as pd

    rows = []
    for stage in walk(tables):
        manifest = stage.entry.manifest() if stage.complete() else {}
        facts = {name: manifest.get(name, "") for name in ("seconds", "created", "host", "result")}
        rows.append({"stage": stage.stage(), **stage.axes, "key": stage.short_key, **facts})
    return pd.DataFrame(rows).fillna("")
