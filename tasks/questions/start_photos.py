"""Start: looks at a folder of photos, says what it understood, and writes a settings file for it."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import ClassVar

import luigi

from pipeline.knobs import AnswerKnobs, DatasetKnobs, PredictKnobs
from tasks.core import console, files
from tasks.core.engines.choice import workers_of
from tasks.core.errors import SettingsError
from tasks.core.parameters import name_of
from tasks.core.question import Question
from tasks.core.settings import Experiment
from tasks.core.settings_file import NAME, folders, known
from tasks.photos.photo_folder import PhotoFolder, photo_folder
from tasks.photos.sights import Sight, SightJob, layout_of, twice

RECIPE = "photos"
_SOME = 3
_NEXT = {
    "answers": "luigi --module tasks Answer --dataset {name}    # then the page asks: crack or no crack?",
    "classes": "luigi --module tasks RunAll --dataset {name}    # the folders crack and no_crack are the answers",
    "folders": "luigi --module tasks RunAll --dataset {name} --recipe quick    # there are masks to train on",
    "csv": "luigi --module tasks RunAll --dataset {name}    # labels.csv has the answers",
}


class Start(Question):
    """`luigi --module tasks Start --dataset bridge --root /photos/bridge`; the photos stay where they are."""

    new_dataset: ClassVar[bool] = True  # its settings file is what is made
    dataset = luigi.Parameter(description="a name for the photos: letters, digits, - and _", positional=False)
    root = luigi.Parameter(description="the folder of the photos", positional=False)
    recipe = name_of("a file configs/recipes/<recipe>.toml; '' = photos")

    def settle(self) -> None:
        if not NAME.fullmatch(self.dataset):
            raise SettingsError(f"--dataset {self.dataset!r}; allowed: lower-case letters, digits, - and _")
        if self.dataset in known("dataset"):
            there = next(path for folder in folders() if (path := folder / f"{self.dataset}.toml").is_file())
            raise SettingsError(f"{there} is there already and stays as it is; choose another name, or edit that file")

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment("", self.recipe or RECIPE)

    @cached_property
    def folder(self) -> PhotoFolder:
        return photo_folder(self.root, "--root")

    def ahead(self) -> list[str]:
        return [f"{len(self.folder.photos):,} photos in {self.folder.place}, each is decoded once"]

    def answer(self) -> None:
        sights = list(self._sights())
        good = [sight for sight in sights if not sight.refused]
        if not good:
            raise SettingsError(f"none of the {len(sights)} photos can be read: {sights[0].refused}")
        layout = layout_of(self.folder)
        for line in [*_told(sights, self.folder), self._how_asked(good, layout)]:
            console.say("Start", line)
        path = folders()[0] / f"{self.dataset}.toml"
        files.write_text(path, self._settings(good, layout, unreadable=len(good) < len(sights)))
        print(f"{path}\nnext: {_NEXT[layout].format(name=self.dataset)}", flush=True)

    def _sights(self) -> Sequence[Sight]:
        rules = replace(
            self.experiment.resolve(DatasetKnobs), max_pixels=self.experiment.resolve(PredictKnobs).max_pixels
        )
        seen: list[Sight] = []
        with console.Progress("Start", "photos") as progress:
            for sight in workers_of(self.execution, networks=False).map(SightJob(rules), self.folder.photos):
                seen.append(sight)
                progress(len(seen), len(self.folder.photos))
        return seen

    def _how_asked(self, good: Sequence[Sight], layout: str) -> str:
        knobs = self.experiment.resolve(AnswerKnobs)
        larger = sum(max(sight.width, sight.height) > knobs.whole_px for sight in good)
        if layout == "answers":
            return (
                f"{len(good) - larger:,} photos of at most {knobs.whole_px} px will be asked about as a whole, "
                f"{larger:,} larger ones by tiles of {knobs.tile_px} px"
            )
        if layout == "classes" and larger:
            return (
                f"{larger:,} photos are larger than {knobs.whole_px} px, from whose one answer little is learned: "
                f'with layout = "answers" in the settings file, Answer asks by tiles of {knobs.tile_px} px instead'
            )
        return f"recipe {self.experiment.recipe!r}, layout {layout!r}"

    def _settings(self, good: Sequence[Sight], layout: str, *, unreadable: bool) -> str:
        sizes = collections.Counter((sight.width, sight.height) for sight in good).most_common(_SOME)
        told = ", ".join(f"{count:,} of {width}×{height}" for (width, height), count in sizes)
        precision = "bfloat16" if console.has_fast_bfloat16() else "float32"
        lines = [
            f"# Written by Start on {date.today().isoformat()}: {len(good):,} photos, {told} px.",
            f'recipe = "{self.experiment.recipe}"',
            "",
            "[Dataset]",
            f'layout = "{layout}"',
            f"root = {_quoted(str(self.folder.place))}",
            *(['on_bad_image = "skip" # some photos cannot be read'] if unreadable else []),
            *(['on_duplicate = "warn" # some photos are there twice'] if twice(good) else []),
            "",
            "[Segmenter] # as this processor computes fastest",
            f'precision = "{precision}"',
            "",
            "[Predictions]",
            f'precision = "{precision}"',
            "",
            "[Predict]",
            "mm_per_px = 0.0 # of your photos, where you know it: widths and lengths are then in millimetres",
        ]
        return "\n".join(lines) + "\n"


def _told(sights: Sequence[Sight], folder: PhotoFolder) -> list[str]:
    good, bad = ([sight for sight in sights if bool(sight.refused) == kind] for kind in (False, True))
    turned = sum(sight.turned for sight in good)
    same, lines = twice(good), []
    sizes = sorted((sight.width, sight.height) for sight in good)
    (small, flat), (large, tall) = sizes[0], sizes[-1]
    lines.append(f"{len(good):,} photos can be read, from {small}×{flat} to {large}×{tall} px")
    lines += [f"{turned:,} are turned as their EXIF says"] if turned else []
    lines += [f"not readable: {sight.refused}" for sight in bad[:_SOME]]
    lines += [f"and {len(bad) - _SOME:,} more that are not readable"] if len(bad) > _SOME else []
    lines += [f"there twice: {' = '.join(names)}" for names in same[:_SOME]]
    lines += [f"and {len(same) - _SOME:,} more that are there twice"] if len(same) > _SOME else []
    others = folder.others
    lines += [f"{len(others):,} other files are not looked at, such as {others[0]}"] if others else []
    return lines


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
