"""Which network is asked about new photos: the one of a data set, that of a weights file, or the starter."""

from __future__ import annotations

from dataclasses import dataclass

import models
from tasks.core import files
from tasks.core.shared_weights import SharedWeights
from tasks.core.shipped import Shipped, starter
from tasks.segmenter import Segmenter, TrainedSegmenter

_STARTER = (
    "The starter was used: a network that has never seen a real photo, let alone yours. It takes joints, shadows and "
    "edges for cracks. Take its answer for a first look; Start, Answer and RunAll make one that knows your photos."
)


@dataclass(frozen=True)
class AskedNetwork:
    """All that a worker needs, and what a report has to say of it."""

    trained: TrainedSegmenter
    called: str  # in a few words
    sha256: str  # of its weights
    warning: str = ""

    def identity(self) -> dict[str, object]:
        return {"segmenter": self.trained.segmenter, "weights_sha256": self.sha256, "called": self.called}


def the_starter() -> AskedNetwork:
    shipped = starter()
    return AskedNetwork(_loaded(shipped), f"the starter ({shipped.segmenter})", files.sha256(shipped.path), _STARTER)


def of_stage(stage: Segmenter) -> AskedNetwork:
    """A finished training."""
    if stage.supervision.shipped:
        return the_starter()
    called = f"{stage.segmenter} trained on {stage.labels} of {stage.dataset} ({stage.short_key})"
    trained = stage.trained()
    return AskedNetwork(trained, called, files.sha256(trained.weights))


def _loaded(shipped: Shipped) -> TrainedSegmenter:
    options = models.options_class(shipped.segmenter)(**shipped.options)
    return TrainedSegmenter(shipped.segmenter, options, shipped.pixels, shipped.path)


def of_weights(shared: SharedWeights) -> AskedNetwork:
    """A file that somebody exported, perhaps elsewhere."""
    trained = TrainedSegmenter(shared.segmenter, shared.options, shared.pixels, shared.path)
    known = shared.about.get("called", shared.segmenter)
    return AskedNetwork(trained, f"{shared.path.name}: {known}", files.sha256(shared.path))
