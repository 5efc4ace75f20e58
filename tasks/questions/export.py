"""Export: a trained network as one file to share, and as ONNX for other programs, compared with torch."""

from __future__ import annotations

import json
from functools import cached_property, partial
from pathlib import Path
from typing import cast

from pipeline.knobs import ExportKnobs, MeasuringKnobs, PredictKnobs
from tasks.core import child, files
from tasks.core.errors import StageError
from tasks.core.parameters import Choice, give_knobs, given, name_of
from tasks.core.question import Question
from tasks.core.settings import outputs_folder
from tasks.core.shared_weights import write_shared
from tasks.core.stage import AnyStage
from tasks.core.workers import place_of
from tasks.dataset import Dataset
from tasks.photos.network import AskedNetwork, of_stage
from tasks.questions.predict import asked_stage
from tasks.segmenter import SEGMENTER, Segmenter
from tasks.supervision import SUPERVISIONS

_SPLITS = ("test", "val", "train")


class Export(Question):
    """`luigi --module tasks Export --dataset bridge` writes bridge.safetensors and bridge.onnx."""

    labels = Choice(SUPERVISIONS, "kind of labels", default="")
    segmenter = Choice(SEGMENTER.allowed, "segmenter", default="")
    out = name_of("the folder to write to; '' = outputs/answers/<dataset>")

    @cached_property
    def knobs(self) -> ExportKnobs:
        return self.experiment.resolve(ExportKnobs, given(self, ExportKnobs))

    @cached_property
    def stage(self) -> Segmenter:
        return asked_stage(self.experiment, self.labels, self.segmenter)

    def requires(self) -> list[AnyStage]:
        return [self.stage]

    def answer(self) -> None:
        network = of_stage(self.stage)
        folder = Path(self.out).expanduser().absolute() if self.out else outputs_folder() / "answers" / self.dataset
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / f"{self.dataset}.safetensors"
        trained, state = network.trained, files.read_weights(network.trained.weights)
        write_shared(weights, state, trained.segmenter, trained.options, trained.pixels, self.about(network))
        print(f"{weights}  {weights.stat().st_size:,} bytes: Predict --weights {weights.name}", flush=True)
        if self.knobs.onnx:
            child.run_in_child("Export", partial(self._onnx, network, folder), self.execution.time_limit_s)

    def about(self, network: AskedNetwork) -> dict[str, str]:
        facts = self.provenance()
        rows = self.sibling(Dataset).rows
        trained = sum(row.split == "train" for row in rows)
        return {
            "called": network.called,
            "trained_on": f"{trained:,} photos of {self.dataset}",
            "threshold": f"{self.experiment.resolve(MeasuringKnobs).threshold:g}",
            "licence_of_the_data": self.knobs.licence,
            "recipe": str(facts["recipe"]),
            "made_on": str(facts["published"]),
            "commit": str(facts["git"]),
            "settings": json.dumps(self.stage.significant_knobs(), sort_keys=True),
        }

    def _onnx(self, network: AskedNetwork, folder: Path) -> None:
        from models.exporting import deepness_metadata, to_onnx
        from models.parts.wrapper import PaddedSegmenter
        from pipeline.speed.onnx_agreement import agreement

        knobs, mm_per_px = self.knobs, self.experiment.resolve(PredictKnobs).mm_per_px
        threshold = self.experiment.resolve(MeasuringKnobs).threshold
        place_of(self.execution).enter()
        model = cast(PaddedSegmenter, network.trained.model())
        metadata = deepness_metadata(mm_per_px, knobs.tile_px, knobs.overlap_percent, threshold)
        try:
            content = to_onnx(model, metadata, tile_px=knobs.tile_px)
            photos = [photo for split in _SPLITS for photo in self.sibling(Dataset).photos(split)][: knobs.compared]
            told = agreement(content, model, (photo.image() for photo in photos), threshold)
        except ValueError as error:
            raise StageError(f"{network.trained.segmenter}: {error}") from None
        if told.same < knobs.least_same:
            raise StageError(
                f"{network.trained.segmenter}: only {told.same:.3%} of the pixels have the same mask as with torch; "
                f"at least {knobs.least_same:.3%} are wanted ([Export] least_same), so nothing was written"
            )
        path = folder / f"{self.dataset}.onnx"
        files.write_bytes(path, content)
        fixed = to_onnx(model, metadata, tile_px=knobs.tile_px, any_size=False)  # Deepness loads no file of any size
        files.write_bytes(folder / f"{self.dataset}-deepness.onnx", fixed)
        print(f"{path}  {path.stat().st_size:,} bytes, {told.in_words()}", flush=True)


give_knobs(Export, ExportKnobs)
