"""One row of a data set, decoded and looked at: what the index says of it, or why it is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.knobs import DatasetKnobs
from pipeline.layouts.answered import tile_of
from pipeline.layouts.on_disk import UNLABELLED, Row
from pipeline.ops.types import Mask
from tasks.core.workers import Place
from tasks.intake import photo_decoding


@dataclass
class Verdict:
    """Rows of the good images, reasons for the bad ones, and what is odd."""

    rows: list[Row] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)  # (image, reason)
    odd: list[tuple[str, str]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # files that the layout makes nothing of
    notes: list[str] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        self.rows += other.rows
        self.bad += other.bad
        self.odd += other.odd


@dataclass(frozen=True)
class ExamineJob:
    """Decodes every image and every mask of some rows once."""

    root: Path
    rules: DatasetKnobs

    def open(self, place: Place) -> Callable[[Sequence[Row]], Verdict]:
        return self.examine

    def examine(self, rows: Sequence[Row]) -> Verdict:
        verdict = Verdict()
        for row in rows:
            try:
                verdict.rows.append(_examined(row, self.root, self.rules, verdict))
            except ValueError as error:
                if row.split == UNLABELLED:  # nothing would have used it
                    verdict.odd.append((row.image, f"{error} (nobody labelled it: left out)"))
                else:
                    verdict.bad.append((row.image, str(error)))
        return verdict


def _examined(row: Row, root: Path, rules: DatasetKnobs, verdict: Verdict) -> Row:
    image_rgb = photo_decoding.load_image(root / row.image, rules, tile_of(row.tile))
    height, width = image_rgb.shape[:2]
    if min(height, width) < rules.min_side_px:
        size = f"{width}×{height} pixels; allowed: sides of at least [Dataset] min_side_px = {rules.min_side_px}"
        raise photo_decoding.RefusedError(f"{photo_decoding.shown(root / row.image)}: {size}")
    mask = None
    if row.mask:
        mask = photo_decoding.load_mask(
            root / row.mask, rules, shape_hw=(height, width), warn=lambda text: verdict.odd.append((row.image, text))
        )
    label = _label(row, mask, root, rules, verdict)
    digest = hashlib.sha256(image_rgb.tobytes()).hexdigest()
    return replace(row, label=label, width=width, height=height, pixels_sha256=digest)


def _label(row: Row, mask: Mask | None, root: Path, rules: DatasetKnobs, verdict: Verdict) -> int:
    path = photo_decoding.shown(root / row.image)
    if mask is None:
        if row.label < 0 and row.split != UNLABELLED:
            raise photo_decoding.RefusedError(
                f"{path}: neither a mask nor a label; add one, or call its split {UNLABELLED}"
            )
        return row.label
    if row.label in (0, 1) and row.label != int(mask.any()):
        says, has = ("no_crack", "crack pixels") if row.label == 0 else ("crack", "none")
        contradiction = f"{path}: the label says {says}, but the mask has {has}; correct one of them"
        if rules.on_contradiction == "fail":
            raise photo_decoding.RefusedError(contradiction)
        verdict.odd.append((row.image, contradiction))
    return int(mask.any())
