"""Generated: training photos with exact masks that cost no answer: wholly made, or with cracks drawn into real ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.knobs import DatasetKnobs, GeneratedKnobs
from pipeline.layouts.on_disk import is_picture
from pipeline.ops.types import ImageRGB, Mask
from tasks.core import files
from tasks.core.cache import Draft
from tasks.core.engines.choice import workers_of
from tasks.core.errors import SettingsError, StageError
from tasks.core.settings import data_folder, known
from tasks.core.stage import AnyStage, Stage
from tasks.core.workers import Place
from tasks.dataset import Dataset
from tasks.intake import fingerprint, photo_decoding
from tasks.intake.photo_index import Photo

SIZES = "sizes.json"


class Generated(Stage[GeneratedKnobs]):
    """images/<number>.png and masks/<number>.png; the made ones first."""

    unit = "photos"

    @cached_property
    def whose(self) -> Dataset | None:
        """The data set whose crack-free training photos are drawn into."""
        if self.knobs.drawn and self.knobs.grounds in known("dataset"):
            return self.experiment.of(self.knobs.grounds).task(Dataset)
        return None

    @cached_property
    def folder(self) -> Path | None:
        """The folder whose photos are drawn into."""
        if not self.knobs.drawn or self.whose:
            return None
        path = data_folder() / Path(self.knobs.grounds).expanduser()
        if not path.is_dir():
            raise SettingsError(
                f"[Generated] grounds = {self.knobs.grounds!r}: there is no data set of that name, and no folder "
                f"{path}; known data sets: {', '.join(known('dataset'))}"
            )
        return path

    def owner(self) -> str:
        return "generated"

    def upstream(self) -> Mapping[str, AnyStage]:
        return {"grounds": self.whose} if self.whose else {}

    def fingerprint(self) -> str:
        return fingerprint.of_folder("generated.grounds", self.folder) if self.folder else ""

    def significant_knobs(self) -> dict[str, object]:
        """Not the name of the grounds, whose content counts."""
        return {name: value for name, value in super().significant_knobs().items() if name != "grounds"}

    @cached_property
    def rules(self) -> DatasetKnobs:
        """How its own photos are read: white is crack."""
        return dataclasses.replace(self.experiment.resolve(DatasetKnobs), mask_inverted=False, mask_threshold=128)

    def _grounds(self) -> Sequence[Path]:
        """Files of crack-free photos."""
        if self.folder:
            found = [path for path in sorted(self.folder.rglob("*")) if is_picture(path.name)]
        else:
            photos = self.whose.photos("train") if self.whose else ()
            found = [photo.image_path for photo in photos if photo.label == 0]
        if self.knobs.drawn and not found:
            raise StageError(
                f"[Generated] grounds = {self.knobs.grounds!r} has no crack-free training photo; name a data set with "
                'photos answered "no", or set drawn = 0'
            )
        return found

    def make(self, draft: Draft) -> str:
        rules = self.whose.knobs if self.whose else self.rules
        job = GeneratedJob(self.knobs, tuple(self._grounds()), rules)
        numbers = range(self.knobs.made + self.knobs.drawn)
        sizes = {}
        with self.progress() as progress:
            found = workers_of(self.execution, networks=False).map(job, numbers)
            for number, (image, mask) in enumerate(found):
                files.write_png(draft.path(f"images/{number:05d}.png"), image)
                files.write_png(draft.path(f"masks/{number:05d}.png"), mask)
                sizes[f"{number:05d}"] = mask.shape
                progress(number + 1, len(numbers))
        files.write_json(draft.path(SIZES), sizes)
        return f"{self.knobs.made} photos made, {self.knobs.drawn} drawn into, from seed {self.knobs.seed}"

    def photos(self, *splits: str) -> tuple[Photo, ...]:
        """All of them, whatever is asked for: they are there to be trained on."""
        sizes: dict[str, tuple[int, int]] = files.read_json(self.entry.checked(SIZES))
        return tuple(self._photo(name, (height, width)) for name, (height, width) in sizes.items())

    def _photo(self, name: str, shape_hw: tuple[int, int]) -> Photo:
        image, mask = (self.entry.folder / kind / f"{name}.png" for kind in ("images", "masks"))
        return Photo(name, "train", image, mask, -1, self.rules, shape_hw)


@dataclass(frozen=True)
class GeneratedJob:
    knobs: GeneratedKnobs
    grounds: tuple[Path, ...]
    rules: DatasetKnobs

    def open(self, place: Place) -> Callable[[int], tuple[ImageRGB, Mask]]:
        from pipeline.photos_to_generated import drawn_photo, made_photo

        def work(number: int) -> tuple[ImageRGB, Mask]:
            index = number - self.knobs.made
            if index < 0:
                return made_photo(self.knobs, number)
            ground = self.grounds[index % len(self.grounds)]
            return drawn_photo(self.knobs, index, photo_decoding.load_image(ground, self.rules))

        return work
