"""Diagnosis: where the quality of the pseudo labels is lost, part by part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import models
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import StageError
from tasks.core.stage import SPLITS, Choice, Stage
from tasks.pseudo_labels import PseudoLabels
from tasks.scores import Scores

TABLE = "diagnosis.csv"


class Diagnosis(Stage):
    arch = Choice(models.CLASSIFIERS, "arch", default="")
    split = Choice(SPLITS, "split", default="train")
    axis_names = ("split",)

    def labels(self) -> PseudoLabels:
        return self.sibling(PseudoLabels, arch=self.arch, split=self.split)

    def upstream(self) -> Mapping[str, Stage]:
        scores = self.sibling(Scores, labels="pseudo", arch=self.arch, split=self.split)
        return {**self.labels().upstream(), "labels": self.labels(), "scores": scores}

    def make(self, draft: Draft) -> str:
        from pipeline.maps_to_pseudo_labels import diagnosis
        from pipeline.predictions_to_scores import score_ways

        labels = self.labels()
        photos = [photo for photo in labels.photos() if photo.mask_path]
        if not photos:
            raise StageError(f"no {self.split} image of {self.dataset} has a mask; nothing can be diagnosed")

        def ways() -> Any:
            with self.progress() as progress:
                for done, photo in enumerate(photos, start=1):
                    mask = photo.mask()
                    if mask is not None:
                        patch_map, cam, dark = labels.maps(photo.id)
                        dilation_px = self.knobs.oracle_dilation_px
                        yield mask, diagnosis(patch_map, cam, dark, mask, labels.knobs, oracle_dilation_px=dilation_px)
                    progress(done, len(photos))

        table = score_ways(ways(), empty=self.sibling(Scores, labels="pseudo").knobs.empty)
        files.write_table(draft.path(TABLE), table)
        return ", ".join(f"{row['way']} {row['ods']:.3f}" for row in table.to_dict("records"))
