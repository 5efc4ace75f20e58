"""Judge: any folder of predictions under every paper's definition, with intervals, and systems in pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import luigi

from pipeline.knobs import DatasetKnobs, JudgeKnobs, ScoresKnobs, as_dict
from tasks.core import child, console
from tasks.core.engines.choice import workers_of
from tasks.core.errors import SettingsError, StageError
from tasks.core.parameters import give_knobs, given, name_of, told
from tasks.core.question import Question
from tasks.core.settings import Experiment
from tasks.core.stage import AnyStage
from tasks.core.workers import Workers
from tasks.dataset import Dataset
from tasks.reports.judged_pairs import System, of_dataset, of_folder, systems_of
from tasks.reports.judgement import PAGE, Verdict, lay_out, verdict_folder
from tasks.reports.judging import CountJob, Loading, PictureJob, ShapeJob
from tasks.scores import Scores

RECIPE = "paper"  # where no data set names one
MEANING = 1  # raised when the same settings judge something else
ResultT = TypeVar("ResultT")


class Judge(Question):
    """`luigi --module tasks Judge --predictions /results/mine,/results/theirs --masks /data/test_lab`."""

    dataset = name_of("a file configs/<dataset>.toml, against whose test masks is judged; '' = --masks")
    predictions = luigi.Parameter(description="a folder of predictions, or several with , between", positional=False)
    masks = name_of("the folder of masks; '' = those of --dataset")
    out = name_of("the folder to write; '' = outputs/answers/judged/<name of the predictions>")

    def settle(self) -> None:
        if bool(self.masks) == bool(self.dataset):
            raise SettingsError("Judge needs --masks, a folder, or --dataset, whose test masks are meant: one of them")

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment(self.dataset, self.recipe or ("" if self.dataset else RECIPE), self.variant)

    @cached_property
    def knobs(self) -> JudgeKnobs:
        return self.experiment.resolve(JudgeKnobs, given(self, JudgeKnobs))

    @cached_property
    def scores(self) -> ScoresKnobs:
        """What it has in common with `Scores`, whose numbers it gives to every digit."""
        return self.experiment.resolve(ScoresKnobs, told(Scores, ScoresKnobs))

    @cached_property
    def rules(self) -> DatasetKnobs:
        """How masks are read."""
        return self.experiment.resolve(DatasetKnobs, told(Dataset, DatasetKnobs))

    @cached_property
    def folders(self) -> dict[str, Path]:
        return systems_of(self.predictions)

    def requires(self) -> Sequence[AnyStage]:
        return [self.sibling(Dataset)] if self.dataset else []

    def ahead(self) -> list[str]:
        """Names that do not fit are told before anything runs, where the masks are there already."""
        if self.dataset:
            return [f"judges {', '.join(self.folders)}"]
        systems = self._systems()
        return [f"judges {', '.join(self.folders)}: {len(systems[0].pairs):,} pairs each"]

    def identity(self) -> dict[str, object]:
        """What the numbers depend on, but for what lies in the folders."""
        masks = self.dataset or str(Path(self.masks).expanduser().absolute())
        knobs = {"Judge": as_dict(self.knobs), "Scores": as_dict(self.scores)}
        read = {"rules": as_dict(self.rules), "index": self.sibling(Dataset).key if self.dataset else ""}
        folders = {name: str(path) for name, path in self.folders.items()}
        return {
            "read": read,
            "predictions": folders,
            "masks": masks,
            "dataset": self.dataset,
            "knobs": knobs,
            "meaning": MEANING,
        }

    def answer(self) -> None:
        folder = verdict_folder(self.out, "-vs-".join(self.folders), self.identity())
        child.run_in_child("Judge", lambda: self._judge_into(folder), self.execution.time_limit_s)
        print(f"{folder / PAGE}\n{folder}", flush=True)

    def _judge_into(self, folder: Path) -> None:
        try:
            systems = self._systems()
            verdicts = {system.name: self._verdict(system) for system in systems}
        except ValueError as error:
            raise StageError(str(error)) from error
        lay_out(folder, verdicts, self.knobs, {**self.provenance(), "identity": self.identity()})

    def _systems(self) -> list[System]:
        """Whose predictions are judged, by which pairs."""
        if self.dataset:
            return of_dataset(self.folders, self.sibling(Dataset), self.knobs)
        return of_folder(self.folders, Path(self.masks).expanduser().absolute(), self.knobs)

    def _verdict(self, system: System) -> Verdict:
        from pipeline.ops.bootstrap import weights_of
        from pipeline.ops.judged_columns import Judged
        from pipeline.ops.judged_definitions import ODS
        from pipeline.predictions_to_judgement import facts, judge, places_of

        workers = workers_of(self.execution, networks=False)
        loading = system.loading(self.rules, self.knobs, workers)
        counts = list(_shown(system, "counted", workers.map(CountJob(loading, self.scores), system.pairs)))
        places = places_of(counts, self.scores, self.knobs)
        shapes = list(_shown(system, "compared", workers.map(ShapeJob(loading, places), system.pairs)))
        named = {
            pair.name: (pair.group, Judged(count, shape))
            for pair, count, shape in zip(system.pairs, counts, shapes, strict=True)
        }
        weights = weights_of([pair.group for pair in system.pairs], self.knobs.draws, self.knobs.seed)
        judgement = judge(named, weights, self.scores, self.knobs, places)
        notes = [*system.notes, *loading.predictions.notes, *loading.masks.notes]
        for note in notes:
            console.say("Judge", note)
        known = {**facts(named, places), "missing": system.missing}
        pictures = self._pictures(system, loading, judgement.worst(self.knobs.shown), places[ODS], workers)
        return Verdict(judgement, known, places, notes, pictures)

    def _pictures(
        self, system: System, loading: Loading, names: Sequence[str], threshold: int, workers: Workers
    ) -> dict[str, bytes]:
        by_name = {pair.name: pair for pair in system.pairs}
        drawn = workers.map(PictureJob(loading, threshold), [by_name[name] for name in names])
        return dict(zip(names, drawn, strict=True))


give_knobs(Judge, JudgeKnobs)


def _shown(system: System, done: str, results: Iterator[ResultT]) -> Iterator[ResultT]:
    """The results as they come, with progress."""
    with console.Progress("Judge", f"images {done}", f"{system.name}  ") as progress:
        for number, result in enumerate(results, start=1):
            progress(number, len(system.pairs))
            yield result
