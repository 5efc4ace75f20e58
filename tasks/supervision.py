"""Supervision: the kinds of labels that a network can be trained on, one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.core.errors import SettingsError
from tasks.core.parameters import Choice
from tasks.core.settings import Experiment
from tasks.crf_labels import CrfLabels
from tasks.dataset import Dataset
from tasks.pseudo_labels import PseudoLabels

LabelStage = PseudoLabels | CrfLabels
GENERATED = "generated"


def _no_masks(experiment: Experiment, arch: str) -> int:
    return 0


def _all_masks(experiment: Experiment, arch: str) -> int:
    return sum(photo.mask_path is not None for photo in experiment.task(Dataset).photos("train"))


def _masks_of_the_search(experiment: Experiment, arch: str) -> int:
    return experiment.task(CrfLabels, arch=arch).search().masks_used()


@dataclass(frozen=True)
class Supervision:
    """A kind of labels: who makes them, how many masks of training images go into them, and whose images they show."""

    name: str
    stage: Callable[..., LabelStage] | None  # None: the masks are the labels, and no classifier is needed
    masks_used: Callable[[Experiment, str], int]  # beyond the yes/no labels that they give
    adds_test_images: bool = False  # pseudo labels of the test images are trained on as well
    published: bool = False  # whether the papers of other systems train on it
    needs_masks: bool = False
    of_the_data_set: bool = True  # whether anything of the data set is trained on
    by_answers: bool = False  # whether the yes/no answers themselves are learned from, without a label of any pixel
    shipped: bool = False  # whether nothing is trained at all: the weights come with the project

    @property
    def needs_classifier(self) -> bool:
        return self.stage is not None

    def labels(self, experiment: Experiment, **axes: str) -> LabelStage:
        """The stage that makes them."""
        if self.stage is None:
            raise SettingsError(f"there is no kind of made labels {self.name!r}; known: {', '.join(MADE)}")
        return experiment.task(self.stage, **axes)


_ROWS = (
    Supervision("full", None, _all_masks, published=True, needs_masks=True),
    Supervision("crf", CrfLabels, _masks_of_the_search),
    Supervision("pseudo", PseudoLabels, _no_masks),
    Supervision("semi", PseudoLabels, _no_masks, adds_test_images=True),
    Supervision("answers", None, _no_masks, by_answers=True),
    Supervision(GENERATED, None, _no_masks, of_the_data_set=False),
    Supervision("starter", None, _no_masks, of_the_data_set=False, shipped=True),
)
SUPERVISIONS = {row.name: row for row in _ROWS}
MADE = [row.name for row in _ROWS if row.needs_classifier and not row.adds_test_images]
TABLED = [row.name for row in _ROWS if not row.adds_test_images]  # what a table may ask for; semi has a knob of its own
LABELS = Choice(SUPERVISIONS, "kind of labels")
