"""Refinements: predictions sharpened by a dense CRF or a guided filter; not there when [Refinements] says "none"."""

from __future__ import annotations

from collections.abc import Mapping

from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.stage import Experiment, Stage
from tasks.predictions import Predictions, SegmenterMaps


class Refinements(SegmenterMaps):
    """The axes are those of the predictions that are refined."""

    resumable = True

    def predictions(self) -> Predictions:
        axes = {name: str(getattr(self, name)) for name in ("segmenter", "labels", "arch", "target", "split")}
        return self.sibling(Predictions, **axes)

    def upstream(self) -> Mapping[str, Stage]:
        return {"predictions": self.predictions(), "target": self.target_dataset()}

    def make(self, draft: Draft) -> str:
        from pipeline.predictions_to_refinements import refined

        photos = {photo.id: photo for photo in self.target_dataset().some_photos(self.split)}

        def work(name: str) -> None:
            files.write_png(
                draft.path(f"{name}.png"),
                refined(photos[name].image(), self.predictions().probability(name), self.knobs),
            )

        self.for_each(list(photos), lambda name: f"{name}.png", draft, work)
        return f"{len(photos)} maps"


def final_maps(stage: Experiment, **axes: str) -> Predictions | Refinements:
    """The predictions as they are scored: refined, if the settings say so."""
    refined = stage.sibling(Refinements, **axes)
    return refined.predictions() if refined.knobs.method == "none" else refined
