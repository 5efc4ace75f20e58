"""Judgements → judge.html: one file that asks nothing of any other; curves, tables, and the worst images first."""

from __future__ import annotations

import base64
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.ops.judged_definitions import FIXED
from pipeline.reports.report_page import environment

COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9")  # told apart by colour-blind readers
FOUND, MISSED, INVENTED = (220, 220, 220), (230, 159, 0), (86, 180, 233)
_GROUND = (28, 32, 36)
_SIDE = 360  # of the curves' square, in units of the drawing
_HEADLINES = ("ods", "ois", "ap", "ods_pooled", "miou_of_images", "iou", "cliou", "cldice")


@dataclass(frozen=True)
class SystemPart:
    """What the page tells of one system."""

    name: str
    table: pd.DataFrame
    curve: pd.DataFrame
    by_image: pd.DataFrame
    notes: Sequence[str]
    pictures: Mapping[str, bytes]  # the worst first


def picture(found: NDArray[np.bool_], mask: NDArray[np.bool_], longer_px: int) -> bytes:
    """A PNG of at most that size: what was found, what was missed, what was invented; nothing thin gets lost."""
    factor = min(longer_px / max(mask.shape), 1.0)
    width, height = (max(round(side * factor), 1) for side in mask.shape[::-1])
    image = np.full((height, width, 3), _GROUND, np.uint8)
    for colour, pixels in ((FOUND, found & mask), (INVENTED, found & ~mask), (MISSED, mask & ~found)):
        small = cv2.resize(pixels.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        image[np.asarray(small) > 1e-6] = colour
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    if not done:
        raise ValueError(f"a picture of {width}×{height} cannot be a PNG")
    return encoded.tobytes()


def page(systems: Sequence[SystemPart], pairs: pd.DataFrame, intervals: str, about: Mapping[str, str]) -> str:
    colours = {part.name: COLOURS[number % len(COLOURS)] for number, part in enumerate(systems)}
    names = list(colours)
    definitions = systems[0].table.drop_duplicates("score").to_dict("records")
    return environment().get_template("judge.html.j2").render(
        systems=systems,
        colours=colours,
        side=_SIDE,
        lines={part.name: line_of(part.curve) for part in systems},
        dots={part.name: dot_of(part.curve) for part in systems},
        headlines=[_headline(name, systems) for name in _HEADLINES],
        rows=_rows(systems),
        pairs=[_pair(row) for row in pairs.to_dict("records") if row["score"] in _HEADLINES and row["cut"] != FIXED],
        definitions=definitions,
        cards={part.name: _cards(part) for part in systems},
        legend={"found": FOUND, "missed": MISSED, "invented": INVENTED},
        intervals=intervals,
        about=about,
        title=" and ".join(names),
    )  # fmt: skip


def line_of(curve: pd.DataFrame) -> str:
    """Precision over recall as the path of an SVG; thresholds without a hit are left out."""
    hit = curve[curve["recall"] > 0]
    points = [_place(row["recall"], row["precision"]) for row in hit.to_dict("records")]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""


def dot_of(curve: pd.DataFrame) -> tuple[float, float]:
    """Where F1 of the pooled counts is best."""
    best = curve.iloc[int(curve["f1_pooled"].to_numpy().argmax())]
    return _place(best["recall"], best["precision"])


def _place(recall: float, precision: float) -> tuple[float, float]:
    return round(_SIDE * recall, 1), round(_SIDE * (1 - precision), 1)


def _headline(name: str, systems: Sequence[SystemPart]) -> dict[str, object]:
    found = {}
    for part in systems:
        row = part.table[part.table["score"] == name].iloc[-1]
        found[part.name] = {"value": _number(row["value"]), "interval": _interval(row)}
    first = systems[0].table[systems[0].table["score"] == name].iloc[-1]
    return {"name": name, "cut": first["cut"], "images": first["images"], "found": found}


def _rows(systems: Sequence[SystemPart]) -> list[dict[str, object]]:
    """A row for each definition and cut, with the cells of all systems."""
    rows = []
    for number, row in enumerate(systems[0].table.to_dict("records")):
        cells = []
        for part in systems:
            mine = part.table.iloc[number]
            cells.append((_number(mine["value"]), _interval(mine), _threshold(mine["threshold"])))
        rows.append({**{str(name): value for name, value in row.items()}, "cells": cells})
    return rows


def _pair(row: Mapping[Hashable, Any]) -> dict[str, object]:
    low, high = row["low"], row["high"]
    texts = {"text": _signed(row["difference"]), "interval": f"{_signed(low)} … {_signed(high)}"}
    return {**{str(name): value for name, value in row.items()}, **texts, "sure": low > 0 or high < 0}


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.4f}"


def _cards(part: SystemPart) -> list[dict[str, object]]:
    by_name = {str(row["image"]): row for row in part.by_image.to_dict("records")}
    cards: list[dict[str, object]] = []
    for name, png in part.pictures.items():
        row = by_name[name]
        facts = {
            "IoU": _number(row["iou at best ODS"]),
            "clIoU": _number(row["cliou at best ODS"]),
            "crack pixels": f"{int(row['crack_pixels']):,}",
            "predicted": f"{int(row['predicted_pixels at best ODS']):,}",
        }
        cards.append(
            {"name": name, "picture": f"data:image/png;base64,{base64.b64encode(png).decode()}", "facts": facts}
        )
    return cards


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _interval(row: Mapping[str, float] | pd.Series) -> str:
    return "" if math.isnan(row["low"]) else f"{row['low']:.4f} … {row['high']:.4f}"


def _threshold(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"
