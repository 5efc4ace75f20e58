"""Diagnosis: where the quality of the pseudo labels is lost, part by part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.knobs import DiagnosisKnobs
from pipeline.ops.types import Grey, Mask
from tasks.classifier import ARCH
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.stage import AnyStage, Stage
from tasks.image_stage import TRAIN
from tasks.intake.photo_index import Photo
from tasks.pseudo_labels import PseudoLabels
from tasks.scores import Scores

TABLE = "diagnosis.csv"


class Diagnosis(Stage[DiagnosisKnobs]):
    arch, split = ARCH, TRAIN
    axis_names = ("split",)

    def labels(self) -> PseudoLabels:
        return self.sibling(PseudoLabels, arch=self.arch, split=self.split)

    def scores(self) -> Scores:
        return self.sibling(Scores, labels="pseudo", arch=self.arch, split=self.split)

    def upstream(self) -> Mapping[str, AnyStage]:
        return {**self.labels().above, "labels": self.labels(), "scores": self.scores()}

    def make(self, draft: Draft) -> str:
        from pipeline.predictions_to_scores import score_ways

        photos = [photo for photo in self.labels().photos() if photo.mask_path]
        if not photos:
            raise StageError(f"no {self.split} image of {self.dataset} has a mask; nothing can be diagnosed")
        table = score_ways(self._ways(photos), empty=self.scores().knobs.empty)
        files.write_table(draft.path(TABLE), table)
        return ", ".join(f"{row['way']} {row['ods']:.3f}" for row in files.rows_of(table))

    def _ways(self, photos: list[Photo]) -> Iterator[tuple[Mask, dict[str, Grey]]]:
        """Each mask, and the labels that single parts or an oracle would give."""
        from pipeline.maps_to_pseudo_labels import diagnosis

        sources, knobs = self.labels().sources(), self.labels().knobs
        with self.progress() as progress:
            for done, photo in enumerate(photos, start=1):
                mask, dilation_px = photo.checked_mask(), self.knobs.oracle_dilation_px
                yield mask, diagnosis(*sources.of(photo), mask, knobs, oracle_dilation_px=dilation_px)
                progress(done, len(photos))
