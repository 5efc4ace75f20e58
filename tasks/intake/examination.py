"""One row of a data set through the gate: what the index says of it, or why it is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline import knobs
from pipeline.layouts.on_disk import UNLABELLED, Row
from tasks.intake import gate
from tasks.intake.photo_index import Record


@dataclass
class Verdict:
    """Records of the good images, reasons for the bad ones, and what is odd."""

    records: list[Record] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)  # (image, reason)
    odd: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Verdict) -> None:
        self.records += other.records
        self.bad += other.bad
        self.odd += other.odd


def examine(rows: Sequence[Row], root: Path, rules: knobs.DatasetKnobs) -> Verdict:
    """Decodes every image and every mask once."""
    verdict = Verdict()
    for row in rows:
        try:
            verdict.records.append(_record(row, root, rules, verdict))
        except ValueError as error:
            if row.split == UNLABELLED:  # nothing would have used it
                verdict.odd.append((row.image, f"{error} (nobody labelled it: left out)"))
            else:
                verdict.bad.append((row.image, str(error)))
    return verdict


def _record(row: Row, root: Path, rules: knobs.DatasetKnobs, verdict: Verdict) -> Record:
    image_rgb = gate.load_image(root / row.image, rules)
    height, width = image_rgb.shape[:2]
    if min(height, width) < rules.min_side_px:
        size = f"{width}×{height} pixels; allowed: sides of at least [Dataset] min_side_px = {rules.min_side_px}"
        raise gate.RefusedError(f"{gate.shown(root / row.image)}: {size}")
    mask = None
    if row.mask:
        mask = gate.load_mask(
            root / row.mask, rules, shape_hw=(height, width), warn=lambda text: verdict.odd.append((row.image, text))
        )
    label = _label(row, mask, root, rules, verdict)
    digest = hashlib.sha256(image_rgb.tobytes()).hexdigest()
    return Record(row.id, "", row.image, row.mask, label, row.split, row.group, width, height, digest)


def _label(row: Row, mask: NDArray[np.bool_] | None, root: Path, rules: knobs.DatasetKnobs, verdict: Verdict) -> int:
    path = gate.shown(root / row.image)
    if mask is None:
        if row.label < 0 and row.split != UNLABELLED:
            raise gate.RefusedError(f"{path}: neither a mask nor a label; add one, or call its split {UNLABELLED}")
        return row.label
    if row.label in (0, 1) and row.label != int(mask.any()):
        says, has = ("no_crack", "crack pixels") if row.label == 0 else ("crack", "none")
        contradiction = f"{path}: the label says {says}, but the mask has {has}; correct one of them"
        if rules.on_contradiction == "fail":
            raise gate.RefusedError(contradiction)
        verdict.odd.append((row.image, contradiction))
    return int(mask.any())
