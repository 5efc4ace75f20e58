"""RunAll: the whole road; its tables are laid out under a path that stays the same."""

from __future__ import annotations

from pathlib import Path

from tasks.core import files
from tasks.core.files import Row
from tasks.core.question import PROVENANCE, Question
from tasks.core.walk import walk
from tasks.reports.forecast import forecast_lines
from tasks.reports.laid_out import COMPARISON, LABEL_QUALITY, SEGMENTATION, SUMMARY
from tasks.reports.seeds import SPREADS
from tasks.reports.summary import kinds
from tasks.tables import Tables

TIMINGS = "timings.csv"


class RunAll(Question):
    """Everything: `luigi --module tasks RunAll --dataset demo`."""

    def tables(self) -> Tables:
        return self.sibling(Tables)

    def requires(self) -> list[Tables]:
        return [self.tables()]

    def ahead(self) -> list[str]:
        """What is told before anything runs."""
        return [*self.tables().ahead(), *forecast_lines(self.tables())]

    def answer(self) -> None:
        folder, tables = self.published_folder(), self.tables()
        for name in set(published_before(folder)) - set(tables.published()):
            (folder / name).unlink(missing_ok=True)  # of another configuration
        for name in tables.published():
            files.write_bytes(folder / name, tables.entry.checked(name).read_bytes())
        files.write_rows(folder / TIMINGS, timings(tables))
        entry = tables.entry
        computed = {"computed": entry.manifest()["created"], "tables": entry.name, "files": tables.published()}
        files.write_json(folder / PROVENANCE, {**self.provenance(), **computed, "left_out": tables.missing})
        self._show(folder)

    def _show(self, folder: Path) -> None:
        from pipeline.reports import scores_to_tables as to_tables
        from pipeline.reports.tables_text import aligned

        if not self.tables().knobs.scored:
            print(f"\n{(folder / SUMMARY).read_text(encoding='utf-8')}")
        elif self.tables().knobs.seeds:
            _show_spread(folder)
        else:
            compared, segmentation = files.read_table(folder / COMPARISON), files.read_table(folder / SEGMENTATION)
            print(f"\n{kinds(compared)} of {self.dataset}")
            print(aligned(compared, to_tables.comparison_columns("ods", compared)))
            for note in filter(None, (to_tables.note_on_empty(segmentation), to_tables.note_on_images(segmentation))):
                print(f"  {note}")
            quality = files.read_table(folder / LABEL_QUALITY)
            if len(quality):
                print(f"\nThe labels themselves, against the masks\n{aligned(quality, to_tables.LABEL_COLUMNS)}")
            print(f"\nTables II and VII, the diagnosis, the searches: LabelTables --dataset {self.dataset}", end="")
        print(
            "\n" + "".join(f"{line}\n" for line in (*self.tables().ahead(), f"All tables: {folder}")),
            end="",
            flush=True,
        )


def _show_spread(folder: Path) -> None:
    """Mean ± standard deviation over the seeds."""
    from pipeline.reports.tables_text import aligned
    from pipeline.reports.tables_to_spread import SCORED, in_words, label_columns, segmenter_columns

    for title, name, columns in (
        ("Segmenters", SEGMENTATION, segmenter_columns),
        ("The labels themselves, against the masks", LABEL_QUALITY, label_columns),
    ):
        if (folder / SPREADS[name]).exists():
            table = in_words(files.read_table(folder / SPREADS[name]), SCORED)
            print(f"\n{title}, mean ± standard deviation over seeds\n{aligned(table, columns(table))}")


def published_before(folder: Path) -> list[str]:
    """What the run before laid out there."""
    try:
        return [str(name) for name in files.read_json(folder / PROVENANCE)["files"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def timings(tables: Tables) -> list[Row]:
    """Seconds of every stage behind the tables, as its manifest recorded them."""
    rows: list[Row] = []
    for stage in walk(tables):
        found = stage.entry.manifest() if stage.complete() else None
        facts = {name: found[name] if found else "" for name in ("seconds", "created", "host", "result")}
        rows.append({"stage": stage.stage(), **stage.axes, "key": stage.short_key, **facts})
    return rows
