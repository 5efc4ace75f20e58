"""Dataset: one index of checked images and masks, whatever the folder looks like."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import knobs
from pipeline.layouts import csv_table as layouts_csv
from pipeline.layouts import on_disk as layouts
from pipeline.layouts import splits as layouts_splits
from pipeline.layouts.on_disk import Found, Row
from tasks.core import child, settings
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError, StageError
from tasks.core.stage import SPLITS, Experiment, Stage
from tasks.demo_photos import DemoPhotos
from tasks.intake import fingerprint, gate, photo_index
from tasks.intake.examination import Verdict, examine
from tasks.intake.photo_index import Photo, Record

__all__ = ["INDEX", "REJECTED", "WARNINGS", "Dataset", "Photo", "target_of"]

INDEX = "index.csv"
REJECTED = "rejected.csv"
WARNINGS = "warnings.csv"
_CHUNK = 32  # images that a worker process checks at a time
_LISTED = 40  # bad files in a message; all of them are in a file
_TOLD = 5  # odd files on the console; all of them are in a file


class Dataset(Stage):
    """index.csv: id, image, mask, label, split, group, size and checksum of every photo."""

    def upstream(self) -> Mapping[str, Stage]:
        if self.knobs.layout == "combined":
            return dict(self.part_stages())
        return {"photos": self.sibling(DemoPhotos)} if self.knobs.layout == "synthetic" else {}

    def part_stages(self) -> dict[str, Dataset]:
        """The data sets that are combined, each with the settings of its own file."""
        if not self.knobs.parts or self.dataset in self.knobs.parts:
            raise SettingsError(f"[Dataset] parts of {self.dataset}: name the other data sets that it is made of")
        return {name: self.sibling(Dataset, dataset=name, variant="") for name in self.knobs.parts}

    def photos_root(self) -> Path:
        """The folder that paths in the index start from; an archive is unpacked at the first call."""
        if self.knobs.layout == "synthetic":
            return self.sibling(DemoPhotos).photos_root()
        root = settings.data_folder() / Path(self.knobs.root or self.dataset).expanduser()
        if not root.is_file():
            return root
        from tasks.intake import archive

        limits = settings.resolve("Fetch", self.dataset, self.recipe, self.variant, {})
        return archive.unpacked_within(root, settings.outputs_folder() / ".unpacked", limits)

    def significant_knobs(self) -> dict[str, Any]:
        """Not the place of the data, whose checksums count, and not the names of parts, whose keys count."""
        return {name: value for name, value in super().significant_knobs().items() if name not in ("root", "parts")}

    def fingerprint(self) -> str:
        if self.knobs.layout in ("synthetic", "combined"):
            return ""
        return fingerprint.of_folder(self.dataset, self.photos_root())

    def make(self, draft: Draft) -> str:
        verdict, note = self._of_parts() if self.knobs.layout == "combined" else self._of_files()
        self._refuse(verdict.bad)
        self._check_splits(verdict.records)
        self._tell(verdict.odd)
        photo_index.write(draft.path(INDEX), verdict.records)
        photo_index.write_reasons(draft.path(REJECTED), verdict.bad)
        photo_index.write_reasons(draft.path(WARNINGS), verdict.odd)
        return _summary(verdict, note)

    def _of_files(self) -> tuple[Verdict, str]:
        """Every image and mask through the gate, in several processes."""
        listing = fingerprint.listing(self.dataset, self.photos_root())
        found = self._found(sorted(listing.files))
        verdict = Verdict(bad=[(problem.path, gate.shown(str(problem))) for problem in found.problems])
        rows = self._with_splits(found.rows)
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        root, rules = self.photos_root(), self.knobs
        with self.progress() as progress:
            steps = child.in_processes(lambda index: examine(chunks[index], root, rules), len(chunks), self.processes())
            for number, part in enumerate(steps):
                verdict.add(part)
                progress(min((number + 1) * _CHUNK, len(rows)), len(rows))
        left_out = len(found.rows) - len(rows)
        notes = [f"{left_out} left out by the settings" if left_out else ""]
        notes += [f"{listing.hidden} hidden files ignored" if listing.hidden else ""]
        return verdict, ", ".join(note for note in notes if note)

    def _found(self, paths: list[str]) -> Found:
        good = [path for path in paths if _is_utf8(path)]
        if self.knobs.layout == "csv":
            found, looked_for = layouts_csv.table(good, self._table()), f"{layouts_csv.TABLE} with a line for each"
        else:
            layout, looked_for = layouts.LAYOUTS[self.knobs.layout]
            found = layout(good)
        if not found.rows and not found.problems:
            some = ", ".join(gate.shown(path) for path in good[:3]) or "nothing"
            raise ValueError(
                f"no images of the layout {self.knobs.layout!r} in {self.photos_root()}: it looks for {looked_for}; "
                f"found: {some} (another layout is [Dataset] layout in configs/{self.dataset}.toml)"
            )
        odd_names = set(paths) - set(good)
        found.problems += [layouts.Problem(path, "its name is not UTF-8; rename it") for path in sorted(odd_names)]
        return found

    def _table(self) -> str:
        path = self.photos_root() / layouts_csv.TABLE
        try:
            return path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            columns = ",".join(layouts_csv.COLUMNS)
            raise ValueError(f"there is no {path}; write it, with the columns {columns}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8; save it as CSV in UTF-8") from None

    def _with_splits(self, rows: list[Row]) -> list[Row]:
        wanted = self.knobs
        rows = layouts_splits.excluded(rows, wanted.exclude)
        if wanted.purpose == "testing":
            return layouts_splits.all_for_testing(rows)
        rows = layouts_splits.named(rows, {"val": wanted.val_names, "test": wanted.test_names})
        if wanted.purpose == "training":
            rows = layouts_splits.all_others_for_training(rows)
        rows = layouts_splits.shared_out(rows, {"test": wanted.test_share, "val": wanted.val_share}, wanted.seed)
        return layouts_splits.at_most(rows, wanted.max_images, wanted.seed)

    def _of_parts(self) -> tuple[Verdict, str]:
        """The union of the parts' indices, split by split."""
        records = [
            dataclasses.replace(record, id=f"{name}-{record.id}", part=name, group=f"{name}/{record.group}")
            for name, part in self.part_stages().items()
            for record in part.records
        ]
        rows = [Row(record.id, record.image, split=record.split, group=record.group) for record in records]
        kept = {row.id for row in layouts_splits.at_most(rows, self.knobs.max_images, self.knobs.seed)}
        left_out = len(records) - len(kept)
        note = f"{left_out} left out by the settings" if left_out else ""
        return Verdict([record for record in records if record.id in kept]), note

    def _refuse(self, bad: list[tuple[str, str]]) -> None:
        if not bad or self.knobs.on_bad_image == "skip":
            return
        listed = "\n  ".join(reason for _, reason in bad[:_LISTED])
        if len(bad) > _LISTED:
            path = self.entry.folder.with_name(f".rejected-{self.dataset}.csv")
            photo_index.write_reasons(path, bad)
            listed += f"\n  and {len(bad) - _LISTED} more: all of them are in {path}"
        raise ValueError(
            f'{len(bad)} bad files, mend or remove them (or set [Dataset] on_bad_image = "skip"):\n  {listed}'
        )

    def _check_splits(self, records: list[Record]) -> None:
        sizes = photo_index.sizes(records)
        needed = {"both": ("train", "test"), "training": ("train",), "testing": ("test",)}[self.knobs.purpose]
        for split in needed:
            if not sizes[split]:
                who_decides = "test_share, test_names" if split == "test" else "max_images, val_names, test_names"
                raise ValueError(
                    f"the {split} split of {self.dataset} is empty; put images for it into {self._where()}, "
                    f"or see [Dataset] {who_decides}"
                )
        train = [record for record in records if record.split == "train"]
        if train and not any(record.mask for record in train) and len({record.label for record in train}) == 1:
            raise ValueError(
                f"all {len(train)} training images of {self.dataset} have the same label and no mask; "
                "a classifier needs images with and without cracks"
            )
        self._complain(self.knobs.on_duplicate, photo_index.same_pixels(records), "the same image is in several splits")
        rows = [Row(record.id, record.image, split=record.split, group=record.group) for record in records]
        photos = sorted(layouts_splits.on_two_sides(rows))
        self._complain(self.knobs.on_shared_photo, photos, "images of one photo are in several splits")

    def _where(self) -> str:
        return f"its parts {', '.join(self.knobs.parts)}" if self.knobs.parts else str(self.photos_root())

    def _complain(self, policy: str, names: Sequence[str], what: str) -> None:
        if not names:
            return
        listed = ", ".join(gate.shown(name) for name in names[:6]) + (", …" if len(names) > 6 else "")
        if policy == "fail":
            raise ValueError(f"{what} ({len(names)}: {listed}); keep each in one split only")
        self.say(f"warning: {what} ({len(names)}: {listed})")

    def _tell(self, odd: list[tuple[str, str]]) -> None:
        for _, text in odd[:_TOLD]:
            self.say(f"warning: {text}")
        if len(odd) > _TOLD:
            self.say(f"warning: {len(odd) - _TOLD} more like these, all in {WARNINGS}")

    @functools.cached_property
    def records(self) -> list[Record]:
        """All rows of the index, in order."""
        return photo_index.read(self.entry.checked(INDEX))

    def photos(self, *splits: str) -> tuple[Photo, ...]:
        """All photos of the named splits, in index order."""
        records = [record for record in self.records if record.split in splits]
        if self.knobs.layout != "combined":
            root = self.photos_root()
            return tuple(_photo(record, root, self.knobs) for record in records)
        theirs = {
            f"{name}-{photo.id}": photo for name, part in self.part_stages().items() for photo in part.photos(*splits)
        }
        return tuple(dataclasses.replace(theirs[record.id], id=record.id) for record in records)

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
            counts = {name: len(self.photos(name)) for name in SPLITS}
            there = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
            raise StageError(f"{self.dataset} has no {split} image; there are {there}: name one of these splits")
        return found


def target_of(stage: Experiment, target: str) -> Dataset:
    """The data set that is worked on: the experiment's own, or another with its own settings file."""
    return Dataset(dataset=target) if target and target != stage.dataset else stage.sibling(Dataset)


def _photo(record: Record, root: Path, rules: knobs.DatasetKnobs) -> Photo:
    mask = root / record.mask if record.mask else None
    shape_hw = (record.height, record.width)
    return Photo(record.id, record.split, root / record.image, mask, record.label, rules, shape_hw)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _summary(verdict: Verdict, note: str) -> str:
    sizes = {split: size for split, size in photo_index.sizes(verdict.records).items() if size or split in SPLITS}
    counts = ", ".join(f"{split} {size}" for split, size in sizes.items())
    bad = f"{len(verdict.bad)} bad ones left out ({REJECTED})" if verdict.bad else ""
    notes = "".join(f", {text}" for text in (note, bad) if text)
    cracked = sum(record.label == 1 for record in verdict.records)
    return f"{len(verdict.records)} images ({counts}), {cracked} with cracks{notes}"
