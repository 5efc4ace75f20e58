"""Cracks of photos → the rows of cracks.csv and photos.csv, and the words for widths that the report shares."""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.ops.cracks import Crack, Reading

Row: TypeAlias = dict[str, object]
NOT_MEASURABLE = "not measurable"
_UNREAD = Reading(math.nan, math.nan, math.nan)
_DIGITS = 5  # significant ones in a table
_M_MM = 1000  # from here on lengths are told in metres
_FORMULA = re.compile("^[\\s\x00-\x1f]*(?=[=+\\-@＝＋－＠])|^(?=[\t\r\n])|(?<=[;,\t\r\n])(?=[=+\\-@＝＋－＠])")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # controls, turns of direction, halves of characters, line ends
_JOINERS = "\u200c\u200d"  # of Persian words, of emoji


@dataclass(frozen=True)
class Scale:
    """Of the photos; nan: unknown, and everything is in pixels."""

    mm_per_px: float
    relative_error: float  # of it; widens the intervals of millimetres

    @property
    def known(self) -> bool:
        return math.isfinite(self.mm_per_px) and self.mm_per_px > 0

    @property
    def unit(self) -> str:
        return "mm" if self.known else "px"

    def of(self, px: Reading) -> Reading:
        """In the unit."""
        return px.times(self.mm_per_px, self.relative_error) if self.known else px


@dataclass(frozen=True)
class PhotoResult:
    """What was found in a photo, and what a report shows of it."""

    name: str  # as the user knows it, "north/IMG_1.jpg"
    width: int
    height: int
    cracks: tuple[Crack, ...]  # longest first
    crack_pixels: int
    doubt: float  # 0: sure, 1: might as well toss a coin
    uncertain: str  # why, in a sentence; "" where nothing is
    corrected: bool  # the mask was drawn by hand
    thumbnail: bytes  # a JPEG of the photo
    georeference: tuple[float, ...] | None  # a, b, c, d, e, f: corner of pixel (column, row) → map
    crs: str  # "EPSG:32632"

    @property
    def length(self) -> float:
        return sum(crack.length for crack in self.cracks)

    @property
    def widest(self) -> Reading:
        """Of the crack with the widest place that could be read."""
        read = [crack.width_max for crack in self.cracks if math.isfinite(crack.width_max.value)]
        return max(read, key=lambda width: width.value, default=_UNREAD)

    def on_map(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """N×2 pixel centres → map coordinates; without a georeference pixels from the corner, with y up."""
        a, b, c, d, e, f = self.georeference or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
        x, y = np.asarray(points, np.float64).reshape(-1, 2).T + 0.5
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


def _reading_columns(name: str) -> list[str]:
    return [f"{name}_{unit}{end}" for unit in ("px", "mm") for end in ("", "_low", "_high")]


CRACK_COLUMNS = [
    *("photo", "crack", "length_px", "length_mm", "length_mm_low", "length_mm_high"),
    *(column for name in ("width_median", "width_p95", "width_max") for column in _reading_columns(name)),
    *("mask_width_px", "mask_width_mm", "share_measurable", "width_class", "orientation_deg"),
    *("left", "top", "right", "bottom", "pixels", "probability", "at_border", "map_x", "map_y", "crs"),
]
PHOTO_COLUMNS = [
    *("photo", "width", "height", "cracks", "length_px", "length_mm", "length_mm_low", "length_mm_high"),
    *(*_reading_columns("widest"), "crack_pixels", "crack_share", "doubt", "uncertain", "corrected", "crs"),
]


def crack_rows(results: Iterable[PhotoResult], scale: Scale, width_classes_mm: Sequence[float]) -> list[Row]:
    """One for each crack, with the names of CRACK_COLUMNS; a cell is empty where nothing is known."""
    rows = []
    for result in results:
        for number, crack in enumerate(result.cracks, start=1):
            facts = crack_facts(result, number, scale)
            known = scale.known and {"width_class": class_of(scale.of(crack.width_max).value, width_classes_mm)}
            rows.append(_cells({**facts, **(known or {})}, CRACK_COLUMNS))
    return rows


def photo_rows(results: Iterable[PhotoResult], scale: Scale) -> list[Row]:
    """One for each photo, with the names of PHOTO_COLUMNS."""
    return [_cells(_photo_facts(result, scale), PHOTO_COLUMNS) for result in results]


def crack_facts(result: PhotoResult, number: int, scale: Scale) -> dict[str, object]:
    """What is known of a crack, by the names of CRACK_COLUMNS; None: nothing is."""
    crack = result.cracks[number - 1]
    left, top, right, bottom = crack.box
    facts: dict[str, object] = {
        "photo": result.name,
        "crack": number,
        **_length(crack.length, scale),
        **_reading("width_median", crack.width_median, scale),
        **_reading("width_p95", crack.width_p95, scale),
        **_reading("width_max", crack.width_max, scale),
        "mask_width_px": _rounded(crack.mask_width),
        "mask_width_mm": _rounded(crack.mask_width * scale.mm_per_px),
        "share_measurable": _rounded(crack.measurable),
        "orientation_deg": _rounded(crack.orientation_deg),
        **dict(zip(("left", "top", "right", "bottom"), crack.box, strict=True)),
        "pixels": crack.pixels,
        "probability": _rounded(crack.probability),
        "at_border": crack.at_border,
    }
    if result.georeference:
        centre = np.array([[(left + right - 1) / 2, (top + bottom - 1) / 2]])
        ((x, y),) = result.on_map(centre).tolist()
        facts |= {"map_x": round(x, 9), "map_y": round(y, 9), "crs": result.crs}
    return facts


def _photo_facts(result: PhotoResult, scale: Scale) -> dict[str, object]:
    return {
        "photo": result.name,
        "width": result.width,
        "height": result.height,
        "cracks": len(result.cracks),
        **_length(result.length, scale),
        **_reading("widest", result.widest, scale),
        "crack_pixels": result.crack_pixels,
        "crack_share": _rounded(result.crack_pixels / max(result.width * result.height, 1)),
        "doubt": _rounded(result.doubt),
        "uncertain": result.uncertain,
        "corrected": result.corrected,
        "crs": result.crs if result.georeference else None,
    }


def _length(px: float, scale: Scale) -> dict[str, object]:
    mm = Reading(px, px, px).times(scale.mm_per_px, scale.relative_error)
    ends = {"length_mm": mm.value, "length_mm_low": mm.low, "length_mm_high": mm.high}
    return {"length_px": _rounded(px), **{name: _rounded(value) for name, value in ends.items()}}


def _reading(name: str, px: Reading, scale: Scale) -> dict[str, object]:
    mm = px.times(scale.mm_per_px, scale.relative_error)
    values = (value for reading in (px, mm) for value in (reading.value, reading.low, reading.high))
    return {column: _rounded(value) for column, value in zip(_reading_columns(name), values, strict=True)}


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _cells(facts: Mapping[str, object], columns: Sequence[str]) -> Row:
    known = {name: "" if value is None else value for name, value in facts.items()}
    return {
        name: safe_cell(value) if isinstance(value, str) else value
        for name, value in ((name, known.get(name, "")) for name in columns)
    }


def safe_cell(text: str) -> str:
    """No spreadsheet takes it for a formula, whichever of comma, semicolon and tab it splits at."""
    whole = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    return _FORMULA.sub(lambda found: found[0] + "'" if found.start() else "'" + found[0], whole)


def printable(text: str) -> str:
    """On one line, with a mark for each character that hides, or turns the direction of what follows."""
    flat = " ".join(text.split())
    return "".join(
        "\ufffd" if unicodedata.category(char) in _INVISIBLE and char not in _JOINERS else char for char in flat
    )


def class_names(limits_mm: Sequence[float]) -> list[str]:
    """[0.1, 0.2] → "< 0.1 mm", "0.1 – 0.2 mm", "≥ 0.2 mm"; a limit belongs to the class above it."""
    limits = sorted(set(limits_mm))
    if not limits:
        return ["any width"]
    between = [f"{low:g} – {high:g} mm" for low, high in itertools.pairwise(limits)]
    return [f"< {limits[0]:g} mm", *between, f"≥ {limits[-1]:g} mm"]


def class_of(width_mm: float, limits_mm: Sequence[float]) -> str:
    """The class's name of a crack, by its widest place."""
    if not math.isfinite(width_mm):
        return NOT_MEASURABLE
    return class_names(limits_mm)[sum(limit <= width_mm for limit in set(limits_mm))]


def number(value: float) -> str:
    """0.042, 0.42, 4.2, 42.0, 420, 4,200."""
    return f"{value:,.{_decimals(value)}f}" if math.isfinite(value) else "unknown"


def _decimals(value: float) -> int:
    size = abs(value)
    if size >= 100 or size == 0:
        return 0
    return 1 if size >= 10 else min(max(1 - math.floor(math.log10(size)), 2), 9)


def interval(reading: Reading, unit: str) -> str:
    """0.42 mm (0.35 – 0.51), all with the decimals of the first."""
    if not math.isfinite(reading.value):
        return NOT_MEASURABLE
    places = _decimals(reading.value)
    ends = f" ({reading.low:,.{places}f} – {reading.high:,.{places}f})"
    known = math.isfinite(reading.low) and math.isfinite(reading.high)
    return f"{reading.value:,.{places}f} {unit}{ends if known else ''}"


def length_text(px: float, scale: Scale) -> str:
    """In metres where there are many millimetres."""
    if not scale.known:
        return f"{number(px)} px"
    mm = px * scale.mm_per_px
    return f"{mm / _M_MM:,.2f} m" if mm >= _M_MM else f"{number(mm)} mm"
