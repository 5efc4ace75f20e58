"""All photos of a run, one after another or side by side, and what is told of them in the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.knobs import ExecutionKnobs
from tasks.core import console, files
from tasks.core.cache import canonical
from tasks.core.engines.choice import workers_of
from tasks.core.errors import StageError
from tasks.core.files import Row
from tasks.core.workers import Place, place_of
from tasks.photos import parts
from tasks.photos.photo_folder import PhotoFolder
from tasks.photos.predicting import Asked, PredictJob
from tasks.photos.publishing import Found, publish
from tasks.photos.results import RUN

_TOLD = 3  # photos that could not be read; all of them are in a file


@dataclass(frozen=True)
class Run:
    """What is asked, of which photos, where and since when."""

    job: PredictJob
    photos: PhotoFolder
    title: str
    execution: ExecutionKnobs
    provenance: Row
    started: float

    def compute(self) -> None:
        """What is there already is not computed again; then everything is laid out."""
        corrections = self.job.corrections
        asked = [
            Asked(photo, canonical([files.sha256(photo.path), corrections.sha256(photo.name)]))
            for photo in self.photos.photos
        ]
        refused = self._each([each for each in asked if not self._there(each)])
        results = [parts.read(self.job.folder, each.photo.stem, each.made_from) for each in asked]
        stems = {photo.name: photo.stem for photo in self.photos.photos}
        found = Found([result for result in results if result], stems, refused)
        if not found.results:
            raise StageError(f"none of the {len(asked)} photos could be read: {next(iter(refused.values()))}")
        about = self.about(found)
        publish(self.job.folder, found, about, self.job.knobs, self.title)
        end = {"identity": self.job.folder.identity, "finished": True, "about": about, "refused": refused}
        files.write_json(self.job.folder.path / RUN, {**self.provenance, **end})
        self._say(found)

    def _there(self, asked: Asked) -> bool:
        folder, stem = self.job.folder, asked.photo.stem
        measured = parts.read(folder, stem, asked.made_from) is not None
        return measured and folder.mask(stem).exists() and folder.overlay(stem).exists()

    def _each(self, asked: Sequence[Asked]) -> dict[str, str]:
        """Photos that could not be read, with the reason."""
        refused: dict[str, str] = {}
        if len(asked) == 1:
            with console.Progress("Predict", "tiles") as progress:
                place = place_of(self.execution)
                alone = Place(place.device, threads=1).enter()
                why = self.job.opened(alone, progress, side_by_side=place.threads)(asked[0])
            return {asked[0].photo.name: why} if why else {}
        with console.Progress("Predict", "photos") as progress:
            for number, why in enumerate(workers_of(self.execution, networks=True).map(self.job, asked), start=1):
                if why:
                    refused[asked[number - 1].photo.name] = why
                progress(number, len(asked))
        return refused

    def about(self, found: Found) -> dict[str, str]:
        """What the report says of how it was made."""
        knobs, network = self.job.knobs, self.job.network
        told = {
            "network": network.called,
            "warning": network.warning,
            "photos": str(self.photos.place),
            "millimetres per pixel": (
                f"{knobs.mm_per_px:g} ± {knobs.mm_per_px_error:.0%}" if knobs.mm_per_px else "not given"
            ),
            "threshold": f"{self.job.measuring.threshold:g}",
            "made on": str(self.provenance["published"]),
            "command": str(self.provenance["command"]),
            "commit": str(self.provenance["git"]),
            "not read": "; ".join(f"{name}: {why}" for name, why in found.refused.items()),
        }
        return {name: text for name, text in told.items() if text}

    def _say(self, found: Found) -> None:
        cracked = sum(bool(result.cracks) for result in found.results)
        cracks = sum(len(result.cracks) for result in found.results)
        counts = f"{len(found.results):,} photos, {cracked:,} with cracks, {cracks:,} cracks"
        console.say("Predict", f"✓ {counts}  ({console.duration(time.monotonic() - self.started)})")
        told = list(found.refused.items())
        for name, why in told[:_TOLD]:
            console.say("Predict", f"not read: {name}: {why}")
        if len(told) > _TOLD:
            console.say("Predict", f"{len(told) - _TOLD} more could not be read, all in rejected.csv")
