"""Ablations: one network trained several times, each time with a part left out, beside what its authors print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import luigi
from luigi.task_register import Register

from pipeline import knobs
from pipeline.knobs import AblationsKnobs
from tasks.core import files
from tasks.core.errors import SettingsError
from tasks.core.files import Row
from tasks.core.parameters import give_knobs, given, told
from tasks.core.question import PROVENANCE, Question
from tasks.reports import published
from tasks.reports.ablation import COMPLETE, Ablation, Line, ablation
from tasks.reports.forecast import forecast_lines
from tasks.reports.paper import bare
from tasks.reports.rows import keys_of, patches_told_apart
from tasks.scores import Scores


@dataclass(frozen=True)
class Trained:
    row: str
    line: Line
    seed: int
    scores: Scores


class Ablations(Question):
    """`luigi --module tasks Ablations --dataset dcd --table scnet`: outputs/tables/dcd/ablations/scnet.csv."""

    table = luigi.Parameter(description="a file configs/ablations/<table>.toml", positional=False)

    def settle(self) -> None:
        assert self.ablation.rows and self.knobs.seeds
        for section in ("Segmenter", "Classifier"):
            if "seed" in self._told(section):
                raise SettingsError(f"--{section}-seed: each row is trained once for each of --seeds; say it there")
        for section, key in self.ablation.changed():
            if key in self._told(section):
                raise SettingsError(
                    f"--{section}-{key.replace('_', '-')}: the rows of {self.table} set it themselves; leave it out, "
                    f"or copy configs/ablations/{self.table}.toml under another name and change it there"
                )

    def _told(self, section: str) -> dict[str, str]:
        """What the command line sets of a section that is a stage's."""
        is_stage = section in knobs.SECTIONS and section in Register.task_names()
        return told(Register.get_task_cls(section), knobs.SECTIONS[section]) if is_stage else {}

    @cached_property
    def ablation(self) -> Ablation:
        return ablation(self.table)

    @cached_property
    def knobs(self) -> AblationsKnobs:
        return self.experiment.resolve(AblationsKnobs, given(self, AblationsKnobs))

    @cached_property
    def trained(self) -> list[Trained]:
        return list(self._trained())

    def _trained(self) -> Iterator[Trained]:
        """By seed, so that an interrupted table has whole seeds."""
        for seed in self.knobs.seeds:
            for name, line in self.ablation.rows.items():
                seeded = f"Segmenter.seed={seed};Classifier.seed={seed}"
                experiment = self.experiment.varied(";".join(filter(None, (line.settings, seeded))))
                axes = {"segmenter": line.segmenter, "labels": line.labels, "arch": line.arch}
                yield Trained(name, line, seed, experiment.task(Scores, **axes))

    def requires(self) -> list[Scores]:
        return [each.scores for each in self.trained]

    def ahead(self) -> list[str]:
        return forecast_lines(*self.requires())

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports.tables_text import aligned, markdown
        from pipeline.reports.tables_to_spread import ABLATION_COLUMNS, SCORED, in_words, scored, spread

        folder = self.published_folder() / "ablations"
        folder.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame([self._row(each) for each in self.trained])
        by = ["ablation", "row", "segmenter", "labels", "dataset", "published_metric", "published", "published_source"]
        means = spread(table, by, scored(table))
        shown = in_words(means, SCORED)
        columns = {name: said for name, said in ABLATION_COLUMNS.items() if name in shown.columns}
        files.write_table(folder / f"{self.table}.csv", table)
        files.write_table(folder / f"{self.table}_seeds.csv", means)
        files.write_text(folder / f"{self.table}.md", markdown(shown, columns))
        files.write_json(folder / f"{self.table}-{PROVENANCE}", self.provenance())
        print(f"\n{self.table} on {self.dataset}, mean ± standard deviation over seeds\n{aligned(shown, columns)}")
        print(f"\nAll rows: {folder / f'{self.table}.csv'}", flush=True)

    def _row(self, each: Trained) -> Row:
        stage, line, what = each.scores, each.line, self.ablation
        axes = {"ablation": what.name, "row": each.row or COMPLETE, "segmenter": line.segmenter, "labels": line.labels}
        theirs = published.of_variant(line.segmenter, each.row, bare(self.dataset), what.metric)
        ours = {**stage.summary(), **patches_told_apart(stage)}
        return {"dataset": self.dataset, **axes, "seed": each.seed, **ours, **theirs, **keys_of(stage)}


give_knobs(Ablations, AblationsKnobs)
