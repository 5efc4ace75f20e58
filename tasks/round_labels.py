"""RoundLabels: what a network says of the photos that it was trained on becomes the labels of the next training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.knobs import RoundLabelsKnobs
from pipeline.ops.types import Grey
from tasks.core.parameters import Choice
from tasks.core.stage import AnyStage
from tasks.core.workers import Place
from tasks.image_stage import IMAGES_OF
from tasks.intake.photo_index import Photo
from tasks.labels import LabelMaps, LabelStage
from tasks.patches import AnswersByPhoto, Patches, answered
from tasks.predictions import Predictions, WholeNumberMaps
from tasks.supervision import SUPERVISIONS, Labels

BEFORE = {"2": "merged", "3": "round2"}  # the labels of the round before
NUMBER = Choice(BEFORE, "round")


class RoundLabels(LabelStage[RoundLabelsKnobs]):
    number, images_of = NUMBER, IMAGES_OF
    axis_names = ("number", "split")

    def predictions(self) -> Predictions:
        axes = {"segmenter": self.knobs.teacher, "labels": BEFORE[self.number], "target": self.images_of}
        return self.sibling(Predictions, **axes, split=self.split, flips="four" if self.knobs.flips else "")

    def before(self) -> Labels | None:
        """The labels that the teacher was trained on, where they go on counting."""
        if self.knobs.rule == "answer":
            return None
        row = SUPERVISIONS[BEFORE[self.number]]
        return row.labels(self.experiment, split=self.split, images_of=self.images_of)

    def answered(self) -> Patches | None:
        """As in MergedLabels."""
        return answered(self, kept=self.knobs.answers == "kept")

    def upstream(self) -> Mapping[str, AnyStage]:
        more: dict[str, AnyStage | None] = {"before": self.before(), "patches": self.answered()}
        read = {role: stage for role, stage in more.items() if stage}
        return {**super().upstream(), "answers": self.predictions(), **read}

    def job(self) -> RoundLabelJob:
        before, patches = self.before(), self.answered()
        answers = patches.answers() if patches else {}
        return RoundLabelJob(self.predictions().maps(), before.maps() if before else None, answers, self.knobs)

    def knows_empty(self) -> bool:
        return self.knobs.uncracked == "empty"


@dataclass(frozen=True)
class RoundLabelJob:
    answers: WholeNumberMaps
    before: LabelMaps | None
    squares: AnswersByPhoto
    knobs: RoundLabelsKnobs

    def open(self, place: Place) -> Callable[[Photo], Grey]:
        from pipeline.maps_to_merged_labels import nothing, round_label
        from pipeline.segmenter_to_predictions import as_probability

        def label(photo: Photo) -> Grey:
            if self.knobs.uncracked == "empty" and photo.label == 0:
                return nothing(photo.shape_hw)
            before = as_probability(self.before.of(photo)) if self.before else None
            return round_label(self.answers.probability(photo), before, self.squares.get(photo.id, []), self.knobs)

        return label
