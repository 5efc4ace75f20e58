"""EffortCurve: what a network is worth after so many yes/no answers or masks, on one axis of minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import models
from pipeline.knobs import EffortCurveKnobs
from tasks.core import files
from tasks.core.errors import SettingsError, one_of
from tasks.core.files import Row
from tasks.core.parameters import give_knobs, given
from tasks.core.question import PROVENANCE, Question
from tasks.core.shipped import starter
from tasks.patches import Patches
from tasks.reports.forecast import forecast_lines
from tasks.reports.rows import keys_of
from tasks.scores import Scores
from tasks.supervision import GENERATED, STARTER, SUPERVISIONS

TABLE, FIGURE = "effort.csv", "effort.png"
SHOWN = ("way", "answers", "masks", "minutes", "seed", "ods", "ois", "ap")


@dataclass(frozen=True)
class Point:
    """What was given, how much of it was asked for (0: all), and the scores of what was learned from it."""

    way: str  # starter (as it comes), nothing (generated photos alone), answers, masks
    asked: int
    seed: int
    scores: Scores


class EffortCurve(Question):
    """`luigi --module tasks EffortCurve --dataset crack500`: outputs/tables/<dataset>/effort/effort.csv and .png."""

    def settle(self) -> None:
        knobs = self.knobs
        kinds = [name for name, row in SUPERVISIONS.items() if row.is_made and not row.by_classifier]
        one_of(knobs.labels, kinds, "kind of labels in [EffortCurve]")
        one_of(knobs.segmenter, models.SEGMENTERS, "segmenter in [EffortCurve]")
        if len(set(knobs.seeds)) < len(knobs.seeds):
            raise SettingsError(f"[EffortCurve] seeds = {knobs.seeds}; allowed: each seed once")

    @cached_property
    def knobs(self) -> EffortCurveKnobs:
        return self.experiment.resolve(EffortCurveKnobs, given(self, EffortCurveKnobs))

    @cached_property
    def points(self) -> list[Point]:
        return [point for seed in self.knobs.seeds for point in self._of(seed)]

    def _of(self, seed: int) -> Iterator[Point]:
        """Nobody's time first, then ever more answers, then ever more masks."""
        known = starter()
        yield Point("starter", 0, seed, self.experiment.task(Scores, segmenter=known.segmenter, labels=STARTER))
        ways = [("nothing", GENERATED, "", [0])]
        ways += [("answers", self.knobs.labels, "Patches.max_answers", self.knobs.answers)]
        ways += [("masks", "full", "Dataset.max_images", self.knobs.masks)]
        seeded = self.experiment.varied(f"Segmenter.seed={seed}")
        for way, labels, knob, numbers in ways:
            for number in numbers:
                experiment = seeded.varied(f"{knob}={number}") if knob else seeded
                scores = experiment.task(Scores, segmenter=self.knobs.segmenter, labels=labels)
                yield Point(way, number, seed, scores)

    def requires(self) -> list[Scores]:
        return [point.scores for point in self.points]

    def ahead(self) -> list[str]:
        return forecast_lines(*self.requires())

    def answer(self) -> None:
        import pandas as pd

        from pipeline.reports.effort_to_figure import figure, with_minutes
        from pipeline.reports.tables_text import aligned

        knobs, folder = self.knobs, self.published_folder() / "effort"
        folder.mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame([_row(point) for point in self.points])
        table = with_minutes(rows, answer_s=knobs.answer_s, mask_min=knobs.mask_min)
        table = table.assign(answer_s=knobs.answer_s, mask_min=knobs.mask_min)
        files.write_table(folder / TABLE, table)
        pace = f"{knobs.answer_s:g} s an answer, {knobs.mask_min:g} min a mask"
        files.write_png(folder / FIGURE, figure(table, f"{knobs.segmenter} on {self.dataset}; {pace}"))
        files.write_json(folder / PROVENANCE, self.provenance())
        print(f"\n{knobs.segmenter} on the test images of {self.dataset}; {pace}")
        print(aligned(table, {name: name for name in SHOWN}))
        print(f"\n{folder / FIGURE}\n{folder / TABLE}", flush=True)


give_knobs(EffortCurve, EffortCurveKnobs)


def _row(point: Point) -> Row:
    """How many answers or masks there really were stands in the row beside how many were asked for."""
    stage, way = point.scores, point.way
    answers = sum(map(len, stage.sibling(Patches).answers().values())) if way == "answers" else 0
    masks = stage.masks_used() if way in ("answers", "masks") else 0  # corrections are drawn too
    about = {"dataset": stage.dataset, "segmenter": stage.segmenter, "labels": stage.labels, "seed": point.seed}
    effort = {"way": way, "asked": point.asked, "answers": answers, "masks": masks}
    return {**about, **effort, **stage.summary(), **keys_of(stage)}
