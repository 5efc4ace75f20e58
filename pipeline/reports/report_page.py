"""Cracks of photos → report.html: one file that asks nothing of any other, to be read on a screen or printed."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import jinja2
import numpy as np
from markupsafe import Markup

from pipeline.ops.cracks import Crack, Reading
from pipeline.ops.doubts import DOUBTFUL
from pipeline.reports.crack_tables import (
    PhotoResult,
    Scale,
    class_names,
    class_of,
    interval,
    length_text,
    printable,
)

MARKS = {"approve": "approve", "reject": "reject", "correct": "correct later"}  # kept in review.json → on the page
_LISTED = 4  # cracks on a photo's card; the others are in the table
_ROWS = 2000  # of the table, so that a browser stays quick
_PAGE_BYTES, _CARD_BYTES, _ROW_BYTES = 60_000, 4_500, 1_500  # at most, without names and pictures
_FINE, _UNSEEN = 2000, 1.5
_SAID_AT_THE_TOP = {"network": "network", "made_on": "made on", "warning": "warning"}
_SCRIPT_SAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Cell:
    """What a reader sees, and the number by which it is sorted; nan: last."""

    text: str
    value: float = math.nan


@dataclass(frozen=True)
class Dot:
    """A crack's number on its photo, in percent from the left and from the top."""

    number: int
    left: float
    top: float


@dataclass(frozen=True)
class Drawing:
    """Lines of cracks as the path of an SVG, which stays thin and sharp at any size."""

    width: int
    height: int
    path: str


@dataclass(frozen=True)
class CrackLine:
    """A crack in words."""

    number: int
    length: Cell
    widest: Cell
    p95: Cell
    median: Cell
    mask_width: Cell
    measurable: Cell
    direction: Cell
    probability: Cell
    width_class: Cell


@dataclass(frozen=True)
class Card:
    """A photo in words and pictures."""

    id: int
    result: PhotoResult
    photo: str  # a data: URI; "" where the page would be too large
    drawn: Drawing | None
    doubt: str
    cracks: list[CrackLine]
    dots: list[Dot]

    @property
    def doubtful(self) -> bool:
        return self.result.doubt > DOUBTFUL

    @property
    def more(self) -> int:
        return len(self.cracks) - _LISTED


@dataclass(frozen=True)
class Bar:
    """A class of width."""

    name: str
    count: int
    length: str
    share: float  # of the longest bar


def report(
    results: Sequence[PhotoResult],
    scale: Scale,
    about: Mapping[str, str],
    *,
    title: str,
    reviews: Mapping[str, str],
    width_classes_mm: Sequence[float],
) -> str:
    """The whole page; photos whose pictures were taken out by `that_fit` are in the sums and the table only."""
    limits = width_classes_mm if scale.known else None
    cards = [_card(number, result, scale, limits) for number, result in enumerate(widest_first(results), start=1)]
    rows = sorted(((card, crack) for card in cards for crack in card.cracks), key=_by_width)
    pictured = [card for card in cards if card.photo]
    template = environment().get_template("report.html.j2")
    return template.render(
        title=title,
        about=[(name, text) for name, text in about.items() if name != "warning" and text],
        **{word: about.get(name, "") for word, name in _SAID_AT_THE_TOP.items()},
        scale=scale,
        scale_text=f"1 px = {scale.mm_per_px:.5g} mm ± {100 * scale.relative_error:.3g}%",
        sums=_sums(cards, scale),
        bars=_bars(rows, scale, width_classes_mm) if scale.known else [],
        cards=pictured,
        left_out=len(cards) - len(pictured),
        rows=rows[:_ROWS],
        rows_left_out=max(len(rows) - _ROWS, 0),
        listed=_LISTED,
        marks=MARKS,
        given=Markup(for_script(_given(title, about, cards, reviews))),
    )


def _given(
    title: str, about: Mapping[str, str], cards: Sequence[Card], reviews: Mapping[str, str]
) -> dict[str, object]:
    """What the page's script knows; marks kept by a browser belong to these photos of this place."""
    made_from = json.dumps([title, about.get("photos", ""), [card.result.name for card in cards]])
    return {
        "key": "hairline-review-" + hashlib.sha256(made_from.encode()).hexdigest()[:16],
        "names": {card.id: card.result.name for card in cards if card.photo},
        "marks": [[name, mark] for name, mark in reviews.items() if mark in MARKS],
    }


def that_fit(results: Sequence[PhotoResult], megabytes: float) -> list[PhotoResult]:
    """All photos, the widest cracks first; from where the page would be too large, without pictures."""
    cracks = sum(len(result.cracks) for result in results)
    left = megabytes * 1e6 - _PAGE_BYTES - _ROW_BYTES * min(cracks, _ROWS)
    fitting = []
    for result in widest_first(results):
        texts = 40 * len(result.name) + 10 * len(result.uncertain) + len(drawing_of(result).path)
        left -= len(result.thumbnail) * 4 / 3 + _CARD_BYTES + texts
        fitting.append(result if left >= 0 else replace(result, thumbnail=b""))
    return fitting


def widest_first(results: Iterable[PhotoResult]) -> list[PhotoResult]:
    """Then the longest; photos whose widths cannot be read come after these, photos without cracks last."""

    def place(result: PhotoResult) -> tuple[bool, float, float, str]:
        widest = result.widest.value
        return not result.cracks, -widest if math.isfinite(widest) else 0.0, -result.length, result.name

    return sorted(results, key=place)


def for_script(content: object) -> str:
    """JSON that ends no script and begins no comment, whatever is in it."""
    text = json.dumps(content)
    return "".join(_SCRIPT_SAFE.get(char, char) for char in text)


def _card(id: int, result: PhotoResult, scale: Scale, limits: Sequence[float] | None) -> Card:
    cracks = [_line(number, crack, scale, limits) for number, crack in enumerate(result.cracks, start=1)]
    listed = list(enumerate(result.cracks[:_LISTED], start=1))
    dots = [_dot(number, crack, result) for number, crack in listed] if len(cracks) > 1 else []
    drawn = drawing_of(result) if cracks else None
    return Card(id, result, _data(result.thumbnail), drawn, _percent(result.doubt).text, cracks, dots)


def _line(number: int, crack: Crack, scale: Scale, limits: Sequence[float] | None) -> CrackLine:
    mask = Reading(crack.mask_width, math.nan, math.nan)
    widest = scale.of(crack.width_max)
    sign = "≥ " if crack.at_border else ""
    return CrackLine(
        number=number,
        length=Cell(sign + length_text(crack.length, scale), crack.length),
        widest=_width(crack.width_max, scale),
        p95=_width(crack.width_p95, scale),
        median=_width(crack.width_median, scale),
        mask_width=_width(mask, scale),
        measurable=_percent(crack.measurable),
        direction=Cell(f"{crack.orientation_deg:.0f}°", crack.orientation_deg),
        probability=_percent(crack.probability),
        width_class=Cell(class_of(widest.value, limits) if limits is not None else "", widest.value),
    )


def _width(px: Reading, scale: Scale) -> Cell:
    return Cell(interval(scale.of(px), scale.unit), px.value)


def _percent(share: float) -> Cell:
    return Cell(f"{share:.0%}" if math.isfinite(share) else "unknown", share)


def _dot(number: int, crack: Crack, result: PhotoResult) -> Dot:
    """In the middle of its longest branch."""
    line = max((branch.line for branch in crack.branches), key=len, default=None)
    left, top, right, bottom = crack.box
    x, y = line[len(line) // 2].tolist() if line is not None and len(line) else ((left + right) / 2, (top + bottom) / 2)
    return Dot(number, round(100 * (x + 0.5) / result.width, 2), round(100 * (y + 0.5) / result.height, 2))


def drawing_of(result: PhotoResult) -> Drawing:
    """In whole units, of which the longer side of the photo has _FINE, without points that nobody would see."""
    factor = _FINE / max(result.width, result.height)
    lines = [(branch.line + 0.5) * factor for crack in result.cracks for branch in crack.branches if len(branch.line)]
    simple = [cv2.approxPolyDP(line.astype(np.float32)[:, None], _UNSEEN, closed=False)[:, 0] for line in lines]
    path = "".join("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in line[[*range(len(line)), -1]]) for line in simple)
    return Drawing(max(round(result.width * factor), 1), max(round(result.height * factor), 1), path)


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""


def _by_width(row: tuple[Card, CrackLine]) -> tuple[float, float]:
    width = row[1].widest.value
    return -width if math.isfinite(width) else 0.0, -row[1].length.value


def _sums(cards: Sequence[Card], scale: Scale) -> dict[str, Cell]:
    """Name → number; the last one's value is the card of the photo with the widest crack."""
    cracked = sum(bool(card.cracks) for card in cards)
    cracks = [crack for card in cards for crack in card.cracks]
    sums = {
        "photos": Cell(f"{len(cards):,}"),
        "photos with cracks": Cell(f"{cracked:,}"),
        "cracks": Cell(f"{len(cracks):,}"),
        "total length": Cell(length_text(sum(crack.length.value for crack in cracks), scale)),
    }
    widest = cards[0].result.widest if cards else None
    if widest is None or not cards[0].cracks:
        return sums
    return {**sums, "widest place": Cell(interval(scale.of(widest), scale.unit), cards[0].id if cards[0].photo else 0)}


def _bars(rows: Sequence[tuple[Card, CrackLine]], scale: Scale, limits: Sequence[float]) -> list[Bar]:
    """For each class of width, even those without a crack; what is not measurable only where there is some."""
    found: dict[str, list[float]] = {name: [] for name in class_names(limits)}
    for _, crack in rows:
        found.setdefault(crack.width_class.text, []).append(crack.length.value)
    most = max(map(len, found.values())) or 1
    return [Bar(name, len(each), length_text(sum(each), scale), len(each) / most) for name, each in found.items()]


def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.reports", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    environment.filters["csp_hash"] = csp_hash
    return environment


def csp_hash(script: str) -> str:
    """By which a page lets this script run, and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()
