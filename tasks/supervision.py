"""Supervision: the kinds of labels that a network can be trained on, one row each.

A row names the stage that makes its labels: labels may come from a network that was trained on other labels, so that no
file could import all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from luigi.task_register import Register

from tasks.core.errors import SettingsError
from tasks.core.parameters import Choice
from tasks.core.settings import Experiment
from tasks.dataset import Dataset
from tasks.labels import LabelStage

GENERATED, STARTER = "generated", "starter"
Labels = LabelStage[Any]  # of whatever knobs


@dataclass(frozen=True)
class Supervision:
    """A kind of labels: who makes them, and whose images they show."""

    name: str
    stage: str = ""  # "": nobody does; the masks are the labels, or nothing of the data set is
    by_classifier: bool = False  # whether they rest on a classifier, which is named then
    round: str = ""  # of labels that a network gives: which round
    adds_test_images: bool = False  # pseudo labels of the test images are trained on as well
    published: bool = False  # whether the papers of other systems train on it
    needs_masks: bool = False
    of_the_data_set: bool = True  # whether anything of the data set is trained on
    by_answers: bool = False  # whether the yes/no answers themselves are learned from, without a label of any pixel
    shipped: bool = False  # whether nothing is trained at all: the weights come with the project

    @property
    def is_made(self) -> bool:
        return bool(self.stage)

    def labels(self, experiment: Experiment, **axes: str) -> Labels:
        """The stage that makes them."""
        if not self.stage:
            raise SettingsError(f"there is no kind of made labels {self.name!r}; known: {', '.join(MADE)}")
        mine = axes if self.by_classifier else {name: value for name, value in axes.items() if name != "arch"}
        made: Labels = experiment.task(
            Register.get_task_cls(self.stage), **mine, **({"number": self.round} if self.round else {})
        )
        return made

    def masks_used(self, experiment: Experiment, arch: str) -> int:
        """How many masks of training images go into them, beyond the yes/no labels that they give."""
        if self.needs_masks:
            return sum(photo.mask_path is not None for photo in experiment.task(Dataset).photos("train"))
        if not self.stage:
            return 0
        made = self.labels(experiment, arch=arch)
        return made.masks_used() + len(made.drawn())


_ROWS = (
    Supervision("full", published=True, needs_masks=True),
    Supervision("crf", "CrfLabels", by_classifier=True),
    Supervision("pseudo", "PseudoLabels", by_classifier=True),
    Supervision("semi", "PseudoLabels", by_classifier=True, adds_test_images=True),
    Supervision("answers", by_answers=True),
    Supervision("merged", "MergedLabels"),
    Supervision("round2", "RoundLabels", round="2"),
    Supervision("round3", "RoundLabels", round="3"),
    Supervision(GENERATED, of_the_data_set=False),
    Supervision(STARTER, of_the_data_set=False, shipped=True),
)
SUPERVISIONS = {row.name: row for row in _ROWS}
MADE = [row.name for row in _ROWS if row.is_made and not row.adds_test_images]
BY_CLASSIFIER = [name for name in MADE if SUPERVISIONS[name].by_classifier]
TABLED = [row.name for row in _ROWS if not row.adds_test_images]  # what a table may ask for; semi has a knob of its own
LABELS = Choice(SUPERVISIONS, "kind of labels")
