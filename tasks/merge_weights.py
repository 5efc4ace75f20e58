"""MergeWeights: how much each network's word counts in merged labels, by the yes/no answers of training patches."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import models
from pipeline.knobs import MergeWeightsKnobs
from pipeline.knobs.ranges import check, in_words
from pipeline.knobs.training import Scale
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, one_of
from tasks.core.shipped import starter
from tasks.core.stage import AnyStage, Stage
from tasks.dataset import Dataset
from tasks.intake.photo_index import Photo
from tasks.patches import AnswersByPhoto, Patches
from tasks.predictions import Predictions
from tasks.supervision import SUPERVISIONS

WEIGHTS = "weights.json"


class Source(NamedTuple):
    """A network that is asked about photos, and at which times their size."""

    labels: str
    segmenter: str
    scales: list[float]  # []: as [Predictions] says


def source_of(text: str) -> Source:
    """What is meant by "answers cgnet", "starter" or "generated lite_unet at 0.7 1.4"."""
    where = "source of [MergeWeights] sources"
    network, _, scales = text.partition(" at ")
    if network == "starter":
        network = f"starter {starter().segmenter}"
    labels, _, segmenter = network.partition(" ")
    one_of(labels, SUPERVISIONS, f"kind of labels in a {where}")
    row = SUPERVISIONS[labels]
    if row.is_made or row.needs_masks:
        raise SettingsError(f"a {where} is {text!r}; allowed: answers, generated or starter, then a network's name")
    one_of(segmenter, models.SEGMENTERS, f"segmenter in a {where}")
    try:
        return Source(labels, segmenter, [check(Scale, float(scale)) for scale in scales.split()])
    except ValueError:
        allowed = f'after "at" {in_words(Scale)}, or several, as in "starter at 1 2.5"'
        raise SettingsError(f"a {where} is {text!r}; allowed: {allowed}") from None


class MergeWeights(Stage[MergeWeightsKnobs]):
    def upstream(self) -> Mapping[str, AnyStage]:
        return {"patches": self.sibling(Patches), **self.predictions(split="train")}

    def predictions(self, *, split: str, target: str = "") -> dict[str, Predictions]:
        """Of each source, the answers of its network about the photos of a split."""
        return {text: self._predictions(text, split, target) for text in self.knobs.sources}

    def _predictions(self, text: str, split: str, target: str) -> Predictions:
        source = source_of(text)
        scales = {"scales": json.dumps(source.scales)} if source.scales else {}
        axes = {"segmenter": source.segmenter, "labels": source.labels, "target": target, "split": split, **scales}
        stage = self.sibling(Predictions, **axes, flips="four" if self.knobs.flips else "")
        if source.scales and stage.knobs.scales != source.scales:  # a variant is stronger than what a stage is given
            raise SettingsError(f"the variant sets Predictions.scales, and the source {text!r} its own; name them once")
        return stage

    def make(self, draft: Draft) -> str:
        from pipeline.maps_to_merge_weights import fitted

        squares = self.sibling(Patches).answers()
        answers = [yes for asked in squares.values() for *_, yes in asked]
        found, cost = fitted(self._pooled(squares), answers)
        weights = dict(zip(self.knobs.sources, found.tolist(), strict=True))
        files.write_json(draft.path(WEIGHTS), {"weights": weights, "cross_entropy": cost, "answers": len(answers)})
        return ", ".join(f"{name} {weight:.3f}" for name, weight in weights.items())

    def _pooled(self, squares: AnswersByPhoto) -> Iterator[NDArray[np.float64]]:
        from pipeline.maps_to_merge_weights import pooled_logits

        maps, photos = [each.maps() for each in self.predictions(split="train").values()], self._photos()
        with self.progress() as progress:
            for number, photo in enumerate(photos):
                answers = [each.probability(photo) for each in maps]
                yield pooled_logits(answers, squares[photo.id], self.knobs.pool_px)
                progress(number + 1, len(photos))

    def _photos(self) -> tuple[Photo, ...]:
        return self.sibling(Dataset).photos("train")

    @functools.cached_property
    def weights(self) -> list[float]:
        """In the order of the sources."""
        loaded: dict[str, float] = files.read_json(self.entry.checked(WEIGHTS))["weights"]
        return [loaded[name] for name in self.knobs.sources]
