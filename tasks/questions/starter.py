"""Starter: the small network that comes with the project, made anew from generated photos, and a card of what it is."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

from pipeline.knobs import StarterKnobs
from tasks.core import files
from tasks.core.errors import SettingsError
from tasks.core.parameters import give_knobs, given, name_of
from tasks.core.question import Question
from tasks.core.shipped import CARD, FOLDER, WEIGHTS, Shipped
from tasks.core.stage import AnyStage
from tasks.dataset import Dataset
from tasks.generated import Generated
from tasks.reports import absent
from tasks.scores import Scores
from tasks.segmenter import Segmenter, TrainedSegmenter
from tasks.supervision import GENERATED

_COMPARED = 20  # generated photos on which half precision is compared with full
_LIMITS = (
    "It has never seen a real photo. It takes for cracks what is dark, thin and long: joints, edges of slabs, shadows "
    "of branches, gaps between coarse stones; and it misses cracks wider than about 40 px. Its answer is a first look, "
    "no measurement."
)


class Starter(Question):
    """`luigi --module tasks Starter --dataset crack500 --recipe starter`; scored on the benchmarks that are here."""

    out = name_of("the folder for the weights and the card; '' = that of the project")

    def settle(self) -> None:
        if self.variant:
            raise SettingsError("Starter takes no variant; say its numbers in the recipe")

    @cached_property
    def knobs(self) -> StarterKnobs:
        return self.experiment.resolve(StarterKnobs, given(self, StarterKnobs))

    def segmenter_stage(self) -> Segmenter:
        return self.sibling(Segmenter, segmenter=self.knobs.segmenter, labels=GENERATED)

    @cached_property
    def missing(self) -> dict[str, str]:
        datasets = {name: self.experiment.of(name).task(Dataset) for name in self.knobs.test_sets}
        return absent.absent(datasets, "Starter", "name")

    def scores(self) -> list[Scores]:
        axes = {"segmenter": self.knobs.segmenter, "labels": GENERATED}
        there = [name for name in self.knobs.test_sets if name not in self.missing]
        return [self.sibling(Scores, **axes, target=name) for name in there]

    def requires(self) -> list[AnyStage]:
        return [self.segmenter_stage(), *self.scores()]

    def answer(self) -> None:
        from pipeline.learning.halving import halved, largest_difference

        folder = Path(self.out).expanduser() if self.out else FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        trained, options = self.segmenter_stage().trained(), self.segmenter_stage().knobs.options[self.knobs.segmenter]
        shipped = Shipped(trained.segmenter, options, self.segmenter_stage().knobs.pixels, folder / WEIGHTS)
        files.write_weights(shipped.path, halved(files.read_weights(trained.weights)), shipped.about())
        half = TrainedSegmenter(trained.segmenter, trained.options, trained.pixels, shipped.path)
        photos = self.sibling(Generated).photos("train")[:_COMPARED]
        moved = largest_difference(trained.model(), half.model(), (photo.image() for photo in photos))
        files.write_text(folder / CARD, self._card(shipped, moved))
        print(f"\n{(folder / CARD).read_text(encoding='utf-8')}\nWritten: {folder}", flush=True)

    def _card(self, shipped: Shipped, moved: float) -> str:
        stage, made = self.segmenter_stage(), self.sibling(Generated)
        facts = {
            **self.provenance(),
            "generated": {"key": made.short_key, **made.significant_knobs()},
            "segmenter": {"key": stage.short_key, **stage.significant_knobs()},
        }
        lines = [
            f"# The starter: {shipped.segmenter}, trained on generated photos alone\n",
            f"{shipped.path.stat().st_size:,} bytes in half precision, sha256 `{files.sha256(shipped.path)}`. Half "
            f"precision moves a probability by at most {moved:.4f} (the first {_COMPARED} generated photos).\n",
            "| test images of | images | ODS | at | OIS | AP |\n| --- | --- | --- | --- | --- | --- |",
            *map(_row, self.scores()),
            f"\n{_LIMITS}\n",
            f"```json\n{json.dumps(facts, indent=1, sort_keys=True)}\n```\n",
        ]
        return "\n".join([*lines, *(f"Not here: {name}, {why}.\n" for name, why in self.missing.items())])


def _row(stage: Scores) -> str:
    found = stage.summary()
    numbers = (f"{found[name]:.4f}" for name in ("ods", "ods_threshold", "ois", "ap"))
    return f"| {stage.target} | {found['images']} | {' | '.join(numbers)} |"


give_knobs(Starter, StarterKnobs)
