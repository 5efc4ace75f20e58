"""Dataset: one index of checked images and masks, whatever the folder looks like."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from pipeline.knobs import DatasetKnobs, FetchKnobs, TreesKnobs, as_dict
from pipeline.layouts.on_disk import SPLITS, Row
from tasks.core.cache import Draft
from tasks.core.engines.choice import workers_of
from tasks.core.errors import SettingsError, StageError
from tasks.core.settings import answers_file, data_folder
from tasks.core.stage import AnyStage, Stage
from tasks.demo_photos import DemoPhotos
from tasks.intake import photo_index
from tasks.intake.examination import Verdict
from tasks.intake.judgement import judged, reasons_unread
from tasks.intake.photo_index import Photo
from tasks.intake.sources import Combined, Drawn, Read, Source

INDEX, REJECTED, WARNINGS = "index.csv", "rejected.csv", "warnings.csv"
_TOLD = 5  # odd files on the console; all of them are in a file


class Dataset(Stage[DatasetKnobs]):
    """index.csv: id, image, mask, label, split, group, size and checksum of every photo."""

    @functools.cached_property
    def source(self) -> Source:
        if self.knobs.layout == "combined":
            return Combined(self.part_stages(), self.knobs)
        limits = self.experiment.resolve(FetchKnobs)
        if self.knobs.layout == "synthetic":
            return Drawn(self.dataset, self.sibling(DemoPhotos).entry.folder, self.knobs, limits)
        root = data_folder() / Path(self.knobs.root or self.dataset).expanduser()
        answers = answers_file(self.dataset) if self.knobs.layout == "answers" else None
        return Read(self.dataset, root, self.knobs, limits, answers, self.described())

    def described(self) -> TreesKnobs | None:
        """Where images and masks lie, where the layout has to be told."""
        return self.experiment.resolve(TreesKnobs) if self.knobs.layout == "trees" else None

    def part_stages(self) -> dict[str, Dataset]:
        """The data sets that are combined, each with the settings of its own file."""
        if not self.knobs.parts or self.dataset in self.knobs.parts:
            raise SettingsError(f"[Dataset] parts of {self.dataset}: name the other data sets that it is made of")
        return {name: self.experiment.of(name).task(Dataset) for name in self.knobs.parts}

    def upstream(self) -> Mapping[str, AnyStage]:
        if self.knobs.layout == "combined":
            return self.part_stages()
        return {"photos": self.sibling(DemoPhotos)} if self.knobs.layout == "synthetic" else {}

    def meaning(self) -> int:
        return 2 if self.knobs.layout == "classes" else 1  # 2: folders within crack and no_crack are read

    def significant_knobs(self) -> dict[str, object]:
        """Not the place of the data, whose checksums count, and not the names of parts, whose keys count."""
        described = {"trees": as_dict(self.described())} if self.knobs.layout == "trees" else {}
        mine = {name: value for name, value in super().significant_knobs().items() if name not in ("root", "parts")}
        return {**mine, **described}

    def fingerprint(self) -> str:
        return self.source.fingerprint()

    def make(self, draft: Draft) -> str:
        verdict = self.source.examined(workers_of(self.execution, networks=False), self.progress())
        list_of_bad = self.entry.folder.with_name(f".rejected-{self.dataset}.csv")
        stops, told = judged(verdict, self.knobs, self.dataset, self.source.place(), list_of_bad)
        if stops:
            raise ValueError("\n".join(stops))
        odd = [text for _, text in verdict.odd]
        more = [f"{len(odd) - _TOLD} more like these, all in {WARNINGS}"] if len(odd) > _TOLD else []
        for text in [*told, *odd[:_TOLD], *more]:
            self.say(f"warning: {text}")
        photo_index.write(draft.path(INDEX), verdict.rows)
        photo_index.write_reasons(draft.path(REJECTED), verdict.bad)
        unread = reasons_unread(verdict.unread, self.knobs)
        photo_index.write_reasons(draft.path(WARNINGS), [*verdict.odd, *unread])
        return _summary(verdict)

    @functools.cached_property
    def rows(self) -> list[Row]:
        """All rows of the index, in order."""
        return photo_index.read(self.entry.checked(INDEX))

    def photos(self, *splits: str) -> tuple[Photo, ...]:
        """All photos of the named splits, in index order."""
        return tuple(self.source.photos([row for row in self.rows if row.split in splits]))

    def photo(self, name: str, split: str) -> Photo:
        """The photo of that id in a split, or the only one whose id begins with it."""
        photos = self.photos(split)
        found = [photo for photo in photos if photo.id == name or photo.id.startswith(f"{name}-")]
        if len(found) == 1:
            return found[0]
        some = ", ".join(photo.id for photo in photos[:5])
        raise StageError(f"{len(found)} {split} images of {self.dataset} are called {name!r}; ids are such as {some}")

    def some_photos(self, split: str) -> tuple[Photo, ...]:
        """Those of a split, of which there must be some."""
        found = self.photos(split)
        if not found:
            sizes = photo_index.sizes(self.rows)
            there = ", ".join(f"{sizes[name]:,} {name}" for name in SPLITS if sizes[name])
            raise StageError(f"{self.dataset} has no {split} image; there are {there}: name one of these splits")
        return found


def _summary(verdict: Verdict) -> str:
    sizes = {split: size for split, size in photo_index.sizes(verdict.rows).items() if size or split in SPLITS}
    counts = ", ".join(f"{split} {size}" for split, size in sizes.items())
    notes = list(verdict.notes)
    notes += [f"{len(verdict.bad)} bad ones left out ({REJECTED})"] if verdict.bad else []
    notes += [f"{len(verdict.unread)} files not read ({WARNINGS})"] if verdict.unread else []
    cracked = sum(row.label == 1 for row in verdict.rows)
    return ", ".join([f"{len(verdict.rows)} images ({counts}), {cracked} with cracks", *notes])
