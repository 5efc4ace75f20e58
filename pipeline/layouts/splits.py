"""Rows → rows with a split each: lists of names first, then the layout's own folders, then shares drawn by photo."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from pipeline.knobs import DatasetKnobs
from pipeline.layouts.on_disk import SPLITS, UNLABELLED, Row


def placed(rows: list[Row], rules: DatasetKnobs) -> list[Row]:
    """The rows that the settings leave in, each with its split."""
    rows = excluded(rows, rules.exclude)
    if rules.purpose == "testing":
        return all_for_testing(rows)
    rows = named(rows, {"val": rules.val_names, "test": rules.test_names})
    if rules.purpose == "training":
        rows = all_others_for_training(rows)
    rows = shared_out(rows, {"test": rules.test_share, "val": rules.val_share}, rules.seed)
    return at_most(rows, rules.max_images, rules.seed)


def excluded(rows: list[Row], names: Iterable[str]) -> list[Row]:
    """The rows without those that are named; a name that fits none is an error, since it is most likely misspelt."""
    unwanted = _ids(rows, names, "exclude")
    return [row for row in rows if row.id not in unwanted]


def named(rows: list[Row], names_of: Mapping[str, Iterable[str]]) -> list[Row]:
    """The rows with the splits that lists of names give them."""
    ids_of = {split: _ids(rows, names, f"{split}_names") for split, names in names_of.items()}
    both = sorted(row.name for row in rows if sum(row.id in ids for ids in ids_of.values()) > 1)
    if both:
        raise ValueError(f"[Dataset] {_some(both)} in the names of several splits; keep each name in one list")
    return [replace(row, split=next((split for split in ids_of if row.id in ids_of[split]), row.split)) for row in rows]


def _ids(rows: list[Row], names: Iterable[str], knob: str) -> set[str]:
    """The rows that a list means: images of that name, or where there is none, all images of the photo."""
    by_name: dict[str, set[str]] = {}
    by_group: dict[str, set[str]] = {}
    for row in rows:
        by_name.setdefault(row.name, set()).add(row.id)
        by_group.setdefault(row.group, set()).add(row.id)
    unknown = sorted(name for name in names if name not in by_name and name not in by_group)
    if unknown:
        raise ValueError(f"[Dataset] {knob}: no image is called {_some(unknown)}; correct or remove the name")
    return {row_id for name in names for row_id in by_name.get(name, by_group.get(name, ()))}


def shared_out(rows: list[Row], shares: Mapping[str, float], seed: int) -> list[Row]:
    """Rows without a split: the shares of their photos are drawn for the splits that are empty so far, of each label
    alike; the others are for training."""
    for split, share in shares.items():
        if share > 0 and all(row.split != split for row in rows):
            drawn = _drawn([row for row in rows if row.split == ""], share, seed)
            rows = [replace(row, split=split) if row.split == "" and row.group in drawn else row for row in rows]
    return [row if row.split else replace(row, split="train") for row in rows]


def _drawn(rows: list[Row], share: float, seed: int) -> set[str]:
    """The photos of that share, at least one of each label where it leaves another one."""
    photos: dict[int, dict[str, None]] = {}
    for row in rows:
        photos.setdefault(row.label, {})[row.group] = None
    drawn: set[str] = set()
    for groups in photos.values():
        count = min(max(round(share * len(groups)), 1), len(groups) - 1)
        drawn.update(sorted(groups, key=lambda group: _lot(group, seed))[:count])
    return drawn


def _lot(group: str, seed: int) -> bytes:
    """A number that is random for each photo, yet the same on every machine and whatever other photos there are."""
    return hashlib.sha256(f"{seed}\0{group}".encode("utf-8", "surrogateescape")).digest()


def all_for_testing(rows: list[Row]) -> list[Row]:
    return [row if row.split == UNLABELLED else replace(row, split="test") for row in rows]


def all_others_for_training(rows: list[Row]) -> list[Row]:
    """Validation images as well; only what is named for a test, or lies in a test folder, stays there."""
    return [row if row.split in ("test", UNLABELLED) else replace(row, split="train") for row in rows]


def at_most(rows: list[Row], max_images: int, seed: int) -> list[Row]:
    """At most that many training images (0: all), as whole photos that the seed chooses; the other splits stay."""
    if max_images == 0:
        return rows
    sizes: dict[str, int] = {}
    for row in rows:
        if row.split == "train":
            sizes[row.group] = sizes.get(row.group, 0) + 1
    kept: set[str] = set()
    left = max_images
    for group in sorted(sizes, key=lambda group: _lot(group, seed)):
        if sizes[group] <= left:
            kept.add(group)
            left -= sizes[group]
    return [row for row in rows if row.split != "train" or row.group in kept]


def on_two_sides(rows: Iterable[Row]) -> dict[str, set[str]]:
    """Photos with images in several splits, and those splits."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        if row.split in SPLITS:
            splits.setdefault(row.group, set()).add(row.split)
    return {group: sides for group, sides in splits.items() if len(sides) > 1}


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
