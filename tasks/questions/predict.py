"""Predict: masks, overlays, lengths and widths of new photos, and a report to show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import luigi

from pipeline.knobs import DatasetKnobs, MeasuringKnobs, PredictionsKnobs, PredictKnobs, TablesKnobs, as_dict
from tasks.core import child, console, files
from tasks.core.errors import SettingsError
from tasks.core.parameters import Choice, give_knobs, given, name_of
from tasks.core.question import Question
from tasks.core.settings import Experiment
from tasks.core.shared_weights import check_fit, read_shared
from tasks.core.stage import AnyStage
from tasks.intake.corrections import corrections_of
from tasks.photos.measuring import Measuring
from tasks.photos.network import AskedNetwork, of_stage, of_weights, the_starter
from tasks.photos.photo_folder import PhotoFolder, photo_folder
from tasks.photos.predicting import PredictJob
from tasks.photos.publishing import REPORT
from tasks.photos.results import RUN, ResultsFolder, results_folder
from tasks.photos.running import Run
from tasks.predictions import for_new_photos
from tasks.reports.forecast import forecast_lines
from tasks.segmenter import SEGMENTER, Segmenter
from tasks.supervision import SUPERVISIONS

MEANING = 1  # raised when the same settings measure something else, so that nothing old is taken for new
RECIPE = "photos"  # where no data set names one


class Predict(Question):
    """`luigi --module tasks Predict --dataset bridge --images /photos/new --mm-per-px 0.35`."""

    dataset = name_of("a file configs/<dataset>.toml, whose network is asked; '' = the starter, or --weights")
    images = luigi.Parameter(description="a folder of photos, or one photo", positional=False)
    weights = name_of("a weights file from Export, of whatever machine")
    name = name_of("the folder of the results; '' = that of the photos")
    labels = Choice(SUPERVISIONS, "kind of labels", default="")
    segmenter = Choice(SEGMENTER.allowed, "segmenter", default="")

    def settle(self) -> None:
        if self.weights and self.dataset:
            raise SettingsError("--weights and --dataset both name a network; give one of them")
        if (self.labels or self.segmenter) and not self.dataset:
            raise SettingsError("--labels and --segmenter say which network of a data set is meant; give --dataset too")

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment(self.dataset, self.recipe or ("" if self.dataset else RECIPE), self.variant)

    @cached_property
    def knobs(self) -> PredictKnobs:
        return self.experiment.resolve(PredictKnobs, given(self, PredictKnobs))

    @cached_property
    def measuring(self) -> MeasuringKnobs:
        return self.experiment.resolve(MeasuringKnobs, given(Measuring(), MeasuringKnobs))

    @cached_property
    def predictions(self) -> PredictionsKnobs:
        return for_new_photos(self.experiment)

    @cached_property
    def folder(self) -> PhotoFolder:
        return photo_folder(self.images)

    def stage(self) -> Segmenter | None:
        """The training that is asked; the first of the data set's tables, unless another is named."""
        return asked_stage(self.experiment, self.labels, self.segmenter) if self.dataset else None

    def requires(self) -> Sequence[AnyStage]:
        stage = self.stage()
        return [stage] if stage else []

    def planned(self) -> Sequence[AnyStage]:
        assert self.folder.photos
        assert self.predictions  # said before anything is trained, as photos that are not there are
        return self.requires()

    def ahead(self) -> list[str]:
        others = len(self.folder.others)
        more = f"; {others:,} other files there are not looked at" if others else ""
        return [f"{len(self.folder.photos):,} photos in {self.folder.place}{more}", *forecast_lines(*self.requires())]

    def network(self) -> AskedNetwork:
        stage = self.stage()
        if self.weights:
            shared = read_shared(Path(self.weights).expanduser())
            check_fit(shared)
            return of_weights(shared)
        return of_stage(stage) if stage else the_starter()

    def answer(self) -> None:
        network, started = self.network(), time.monotonic()
        folder = self.results(network)
        console.say("Predict", f"asks {network.called}; results go to {folder.path}")
        files.write_json(folder.path / RUN, {**self.provenance(), "identity": folder.identity, "finished": False})
        rules, corrections = self.experiment.resolve(DatasetKnobs), corrections_of(self.owner())
        job = PredictJob(network, rules, self.predictions, self.measuring, self.knobs, corrections, folder)
        run = Run(job, self.folder, self.name or self.folder.place.name, self.execution, self.provenance(), started)
        child.run_in_child("Predict", run.compute, self.execution.time_limit_s)
        print(f"{folder.path / REPORT}\n{folder.path}", flush=True)

    def owner(self) -> str:
        return self.dataset or (Path(self.weights).stem if self.weights else "starter")

    def results(self, network: AskedNetwork) -> ResultsFolder:
        place = self.folder.place
        name = self.name or (place.stem if place.is_file() else place.name) or "photos"
        if Path(name).name != name or name.startswith("."):
            raise SettingsError(f"--name {name!r}; allowed: the name of a folder, without / and not beginning with .")
        shown = {name: value for name, value in as_dict(self.knobs).items() if name not in ("geojson", "coco")}
        asked = {name: value for name, value in as_dict(self.predictions).items() if name != "scales"}
        numbers = {"Predict": shown, "Measuring": as_dict(self.measuring), "Predictions": asked}
        return results_folder(
            self.owner(), name, {**network.identity(), "meaning": MEANING, "photos": str(place), "knobs": numbers}
        )


def asked_stage(experiment: Experiment, labels: str = "", segmenter: str = "") -> Segmenter:
    """The network of a data set that is asked about new photos: the first of its tables, unless another is named."""
    tables = experiment.resolve(TablesKnobs)
    axes = {"labels": labels or tables.labels[0], "segmenter": segmenter or tables.segmenters[0]}
    if SUPERVISIONS[axes["labels"]].by_classifier:
        axes["arch"] = tables.classifiers[0]
    return experiment.task(Segmenter, **axes)


give_knobs(Predict, PredictKnobs)
