"""A data set that is described rather than programmed: [Trees] says where images and masks lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.knobs.trees import PLACES, TreesKnobs
from pipeline.layouts.listed import labelled, split_by_lists
from pipeline.layouts.on_disk import (
    IMAGE_SUFFIXES,
    MASK_SUFFIXES,
    OTHER_PICTURES,
    UNLABELLED,
    Found,
    Keyed,
    Problem,
    Row,
    joined,
    other_picture,
    row_of,
)
from pipeline.layouts.patterns import Pattern, first

_PICTURES = (*IMAGE_SUFFIXES, *OTHER_PICTURES)


def lists_of(paths: Iterable[str], described: TreesKnobs) -> list[str]:
    """The files that say which images are in a split, or which have a crack."""
    patterns = [Pattern(text) for text in (*described.split_lists, *described.label_lists)]
    return [path for path in sorted(paths) if patterns and first(patterns, path) is not None]


def trees(paths: Iterable[str], described: TreesKnobs, texts: Mapping[str, str]) -> Found:
    """Images with their masks, as the patterns pair them; `texts` are those of the lists."""
    if not described.images:
        raise ValueError('[Trees] images is empty; say where they lie, such as ["{split}/images/{name}"]')
    reader = _Reader(described)
    images, masks, problems = reader.sorted_out(sorted(paths))
    found = joined(images, masks, problems)
    found.lists = list(texts)
    labelled(found, described, texts)
    if found.rows and described.masks and not masks and all(row.label < 0 for row in found.rows):
        some = ", ".join(row.image for row in found.rows[:2])
        looked = " or ".join(described.masks)
        raise ValueError(f"no mask fits [Trees] masks = {looked}, but images are there, such as {some}; correct masks")
    found.rows = [_without_mask(row, described) for row in found.rows]
    if found.rows and described.split_lists:
        split_by_lists(found, described, texts)
    if {row.split for row in found.rows} <= {"train", UNLABELLED}:  # nothing is held out: the settings decide
        found.rows = [replace(row, split="") if row.split == "train" else row for row in found.rows]
    return found


class _Reader:
    """The patterns of a description, ready for use."""

    def __init__(self, described: TreesKnobs) -> None:
        self.images = [Pattern(text, _PICTURES) for text in described.images]
        self.masks = [Pattern(text, (*MASK_SUFFIXES, *OTHER_PICTURES)) for text in described.masks]
        self.groups = [Pattern(text) for text in described.groups]
        self.sources = sorted(described.sources, key=len, reverse=True)
        self.labels = [
            (label, [Pattern(text, _PICTURES) for text in texts])
            for label, texts in ((1, described.crack), (0, described.no_crack))
        ]
        shared = [pattern.places for pattern in (*self.images, *self.masks)]
        self.common = [place for place in PLACES if all(place in places for places in shared)]

    def sorted_out(self, paths: Iterable[str]) -> tuple[list[Keyed], list[tuple[str, str]], list[Problem]]:
        """Images, masks and what can be neither; what fits the masks is one, whatever else it fits."""
        images, masks, problems = list[Keyed](), list[tuple[str, str]](), list[Problem]()
        for path in paths:
            mask, image = first(self.masks, path), None
            if mask is None:
                image = first(self.images, path)
            if mask is None and image is None:
                continue
            if path.lower().endswith(OTHER_PICTURES):
                problems.append(other_picture(path))
            elif mask is not None:
                masks.append((self._key(mask), path))
            elif image is not None:
                labels = {label for label, patterns in self.labels if first(patterns, path) is not None}
                if len(labels) == 2:
                    problems.append(Problem(path, "fits both [Trees] crack and no_crack; make them tell it apart"))
                else:
                    images.append((self._key(image), self._row(path, image, labels.pop() if labels else -1)))
        return images, masks, problems

    def _key(self, places: Mapping[str, str]) -> str:
        return "/".join(places[place] for place in self.common)

    def _row(self, path: str, places: Mapping[str, str], label: int) -> Row:
        name = places["name"]
        source = next((source for source in self.sources if name.lower().startswith(source.lower())), "")
        told = places if "group" in places else first(self.groups, name)
        group = "/".join(filter(None, (source, told.get("group")))) if told is not None else ""
        group = group or (name if self.groups else str(PurePosixPath(path).with_suffix("")))
        row = row_of(path, split=places.get("split", ""), group=group, name=name, label=label)
        return replace(row, part=source)


def _without_mask(row: Row, described: TreesKnobs) -> Row:
    if row.mask or row.label >= 0 or row.split == UNLABELLED or described.without_mask == "fail":
        return row
    return replace(row, label=0) if described.without_mask == "no_crack" else replace(row, split=UNLABELLED)
