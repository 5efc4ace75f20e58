"""Losses as settings write them, `0.5*bce + 0.5*dice`: read without torch, so that a misspelt one is found early."""

from __future__ import annotations

import math
import re

from pipeline.knobs.ranges import nearest

LOSS_NAMES = (
    "bce",
    "weighted_bce",
    "balanced_bce",
    "weighted_mean_bce",
    "focal",
    "dice",
    "dice_per_image",
    "soft_iou",
    "lovasz",
    "boundary",
)
_TERM = re.compile(r"(?:((?:\d+\.?\d*|\.\d+)(?:e-?\d+)?)\s*\*\s*)?([A-Za-z]\w*)")


def parse_loss(text: str) -> dict[str, float]:
    """Name → weight, in the order of the text; a term without a number weighs 1."""
    weights: dict[str, float] = {}
    for term in text.split("+"):
        name, weight = _term(term.strip(), text)
        if name in weights:
            raise ValueError(f"{name} stands twice in the loss {text!r}; each name once")
        weights[name] = weight
    return weights


def _term(term: str, text: str) -> tuple[str, float]:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"{term!r} in the loss {text!r}; allowed: terms such as bce or 0.5*dice, joined by +")
    weight, name = float(found[1] or 1), found[2]
    if name not in LOSS_NAMES:
        raise ValueError(f"there is no loss {name!r}; {nearest(name, LOSS_NAMES)}")
    if not 0 < weight < math.inf:
        raise ValueError(f"weight {found[1]} of {name} in the loss {text!r}; allowed: finite numbers above 0")
    return name, weight
