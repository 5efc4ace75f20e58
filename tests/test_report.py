"""Tables, overlays and the report, as far as they can be read without a browser."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from pipeline.drawing.overlays import overlay, shrunk
from pipeline.ops.cracks import Branch, Crack, Reading
from pipeline.reports.crack_tables import (
    CRACK_COLUMNS,
    PHOTO_COLUMNS,
    PhotoResult,
    Scale,
    class_names,
    class_of,
    crack_rows,
    interval,
    number,
    photo_rows,
    printable,
    safe_cell,
)
from pipeline.reports.report_page import report, that_fit, widest_first

PX, MM = Scale(math.nan, 0.0), Scale(0.5, 0.1)
CLASSES = (0.1, 0.2, 1.6)
HOSTILE = (
    "<script>alert(1)</script>.jpg",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3|cmd",
    "@SUM(1+1)*cmd",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "a;=1+1;b",
    "a\n=1+1",
    "{{7*7}}",
    "{% for a in b %}",
    "${7*7}",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]></style><svg onload=alert(1)>",
    "</title><iframe src=javascript:alert(1)>",
    "javascript:alert(1)",
    "a\x00b\x00=1",
    "\u202egpj.exe",
    "\u2066hidden\u2069\u200b",
    "line\u2028end\u2029s",
    "\udc80\ud83dbroken",
    "__proto__",
    "constructor",
    "x" * 3000,
    "&lt;b&gt;&quot;",
    "C:\\temp\\..\\..\\a.jpg",
    'new\nline "quoted", and commas',
    "\x1b[31mred\x07",
    "＝1+1",
)


def reading(value: float) -> Reading:
    return Reading(value, value * 0.8, value * 1.25)


def crack(
    *,
    line: Sequence[tuple[float, float]] = ((10, 10), (60, 40), (110, 40)),
    length: float = 100,
    width: float = 2.0,
    widest: float = 3.0,
    box: tuple[int, int, int, int] = (10, 10, 111, 41),
    pixels: int = 250,
    at_border: bool = False,
) -> Crack:
    points = np.array(line, np.float32).reshape(-1, 2)
    along = np.full(len(points), width, np.float32)
    most = widest if math.isfinite(width) else width
    return Crack(
        branches=(Branch(points, along, along * 3),),
        length=length,
        width_median=reading(width),
        width_p95=reading((width + most) / 2),
        width_max=reading(most),
        mask_width=6.0,
        measurable=0.75,
        orientation_deg=30.0,
        box=box,
        pixels=pixels,
        probability=0.9,
        at_border=at_border,
    )


def picture(seed: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """A JPEG of rough ground."""
    grey = np.random.default_rng(seed).normal(140, 25, size[::-1]).clip(0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", cv2.GaussianBlur(grey, (0, 0), 0.8))[1])


def photo(
    *,
    name: str = "north/IMG_1.jpg",
    size: tuple[int, int] = (640, 480),
    cracks: Sequence[Crack] = (),
    doubt: float = 0.1,
    uncertain: str = "",
    georeference: tuple[float, ...] | None = None,
    crs: str = "",
) -> PhotoResult:
    pixels = sum(each.pixels for each in cracks)
    shown = picture()
    return PhotoResult(name, *size, tuple(cracks), pixels, doubt, uncertain, False, shown, georeference, crs)


def page(
    results: Sequence[PhotoResult], scale: Scale = MM, about: dict[str, str] | None = None, title: str = "bridge"
) -> str:
    return report(results, scale, about or {}, title=title, reviews={}, width_classes_mm=CLASSES)


def words(text: str) -> str:
    """What a reader sees, on one line."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", text.partition("<body>")[2], flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


# --- tables


def test_a_crack_is_one_row_in_pixels_and_in_millimetres() -> None:
    (row,) = crack_rows([photo(cracks=[crack()])], MM, CLASSES)
    assert list(row) == CRACK_COLUMNS
    assert (row["photo"], row["crack"], row["length_px"], row["length_mm"]) == ("north/IMG_1.jpg", 1, 100, 50)
    assert [row[f"width_max_px{end}"] for end in ("", "_low", "_high")] == [3, 2.4, 3.75]
    assert [row[f"width_max_mm{end}"] for end in ("", "_low", "_high")] == [1.5, 1.08, 2.0625]
    assert (row["mask_width_px"], row["mask_width_mm"], row["width_class"]) == (6, 3, "0.2 – 1.6 mm")
    assert [row[side] for side in ("left", "top", "right", "bottom")] == [10, 10, 111, 41]


def test_what_is_not_known_is_an_empty_cell_and_never_a_number() -> None:
    (row,) = crack_rows([photo(cracks=[crack(width=math.nan)])], PX, CLASSES)
    unknown = [name for name, value in row.items() if value == ""]
    assert {name for name in CRACK_COLUMNS if name.endswith(("_mm", "_mm_low", "_mm_high"))} <= set(unknown)
    assert {"width_max_px", "width_median_px_low", "width_class", "map_x", "crs"} <= set(unknown)
    assert row["mask_width_px"] == 6, "of the mask, and said to be"


def test_the_middle_of_a_georeferenced_crack_has_coordinates() -> None:
    place = (0.5, 0.0, 1000.0, 0.0, -0.5, 2000.0)
    result = photo(cracks=[crack(box=(10, 20, 11, 21))], georeference=place, crs="EPSG:32632")
    (row,) = crack_rows([result], PX, CLASSES)
    assert (row["map_x"], row["map_y"], row["crs"]) == (1005.25, 1989.75, "EPSG:32632")


def test_photos_are_told_with_their_sums_and_their_widest_place() -> None:
    result = photo(cracks=[crack(widest=4), crack(length=20, widest=9), crack(width=math.nan)])
    with_cracks, without = photo_rows([result, photo(name="b.jpg")], MM)
    assert list(with_cracks) == PHOTO_COLUMNS
    assert [with_cracks[name] for name in ("cracks", "length_mm", "widest_mm", "widest_px_low")] == [3, 110, 4.5, 7.2]
    assert (without["cracks"], without["length_px"], without["widest_px"]) == (0, 0, "")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_spreadsheet_finds_a_formula_in_a_text_whatever_it_splits_at(text: str, separator: str) -> None:
    result = photo(name=text, uncertain=text, georeference=(1, 0, 0, 0, -1, 0), crs=text, cracks=[crack()])
    for rows in (crack_rows([result], MM, CLASSES), photo_rows([result], MM)):
        written = pd.DataFrame(rows).to_csv(index=False)
        for cells in csv.reader(io.StringIO(written, newline=""), delimiter=separator):
            for cell in cells:
                bare = cell.lstrip(" \x00")
                assert not bare.startswith(("=", "+", "@", "\t", "\r", "＝")), repr(cell)
                assert not bare.startswith("-") or re.fullmatch(r"-[\d.]+(,.*)?", bare), repr(cell)


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("north/IMG_1.jpg", "Brücke – Süd (2).jpg", "a-b=c+d@e.jpg", "写真.jpg", ""):
        assert safe_cell(name) == name
        assert printable(name) == name
    assert safe_cell("=1+1") == "'=1+1"
    assert printable("\u202egpj.exe") == "\ufffdgpj.exe"


def test_a_limit_belongs_to_the_class_above_it() -> None:
    assert class_names([0.2, 0.1, 0.2]) == ["< 0.1 mm", "0.1 – 0.2 mm", "≥ 0.2 mm"]
    found = [class_of(width, [0.2, 0.1, 0.2]) for width in (0.05, 0.1, 0.19, 0.2, 7)]
    assert found == ["< 0.1 mm", "0.1 – 0.2 mm", "0.1 – 0.2 mm", "≥ 0.2 mm", "≥ 0.2 mm"]
    assert class_of(math.nan, [0.1]) == "not measurable"
    assert class_of(3, []) == "any width"


# --- words


def test_intervals_are_printed_with_the_decimals_of_their_number() -> None:
    assert interval(Reading(0.42, 0.35, 0.51), "mm") == "0.42 mm (0.35 – 0.51)"
    assert interval(Reading(0.042, 0.0351, 0.0509), "mm") == "0.042 mm (0.035 – 0.051)"
    assert interval(Reading(12.34, 9.1, 1234.5), "px") == "12.3 px (9.1 – 1,234.5)"
    assert interval(Reading(math.nan, math.nan, math.nan), "mm") == "not measurable"
    assert [number(value) for value in (0, 0.00012, 0.42, 4.2, 42, 420, 4200)] == [
        *("0", "0.00012", "0.42", "4.20", "42.0", "420", "4,200")
    ]


def test_the_widest_photos_come_first_then_the_longest_and_those_without_cracks_last() -> None:
    results = [
        photo(name="none.jpg"),
        photo(name="unread.jpg", cracks=[crack(width=math.nan, length=9999)]),
        photo(name="short.jpg", cracks=[crack(widest=5, length=10)]),
        photo(name="long.jpg", cracks=[crack(widest=5, length=90)]),
        photo(name="wide.jpg", cracks=[crack(widest=6)]),
    ]
    assert [each.name for each in widest_first(results)] == [
        *("wide.jpg", "long.jpg", "short.jpg", "unread.jpg", "none.jpg")
    ]
    shown = words(page(results))
    assert shown.index("wide.jpg") < shown.index("short.jpg") < shown.index("none.jpg")


def test_the_report_tells_widths_with_intervals_and_mask_widths_apart() -> None:
    told = words(page([photo(cracks=[crack(), crack(width=math.nan, length=50, at_border=True)])]))
    assert "1.50 mm (1.08 – 2.06)" in told
    assert "not measurable" in told
    assert "mask width 3.00 mm" in told
    assert "≥ 25.0 mm" in told
    assert "1 px = 0.5 mm ± 10%" in told


def test_without_a_scale_all_is_in_pixels_and_no_class_is_named() -> None:
    told = words(page([photo(cracks=[crack()])], PX))
    assert "No scale was given" in told
    assert "3.00 px (2.40 – 3.75)" in told
    assert not re.search(r"\d mm\b", told)


def test_a_photo_without_a_crack_says_so_and_carries_one_picture() -> None:
    text = page([photo()])
    assert "no crack found" in words(text)
    assert text.count("data:image/jpeg") == 1


def test_no_photos_at_all_are_a_report_too() -> None:
    assert "no crack found in any photo" in words(page([]))


def test_the_page_gives_no_verdict() -> None:
    told = words(page([photo(cracks=[crack()], doubt=0.9)], about={"warning": "a starter"})).lower()
    verdicts = ("safe", "critical", "severe", "danger", "acceptable", "allowable", "good", "bad", "worst", "repair")
    assert [word for word in verdicts if re.search(rf"\b{word}\b", told)] == []


def test_the_classes_count_each_crack_once() -> None:
    told = words(page([photo(cracks=[crack(widest=0.3), crack(widest=1), crack(widest=2), crack(width=math.nan)])]))
    rows = "< 0.1 mm 0 – 0.1 – 0.2 mm 1 50.0 mm 0.2 – 1.6 mm 2 100 mm ≥ 1.6 mm 0 – not measurable 1 50.0 mm"
    assert rows in told


def test_marks_of_the_run_before_are_in_the_page_and_unknown_ones_are_not() -> None:
    text = report(
        [photo()], MM, {}, title="", reviews={"north/IMG_1.jpg": "reject", "b": "<x>"}, width_classes_mm=CLASSES
    )
    assert '"marks": [["north/IMG_1.jpg", "reject"]]' in text


# --- sizes


def noisy(seed: int, quality: int = 70) -> bytes:
    """640 × 480 of grain, about 50 KB."""
    rng = np.random.default_rng(seed)
    grain = cv2.GaussianBlur(rng.normal(0, 34, (480, 640, 3)).astype(np.float32), (0, 0), 0.8) + 140
    return bytes(cv2.imencode(".jpg", grain.clip(0, 255), [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def test_two_hundred_photos_with_their_pictures_stay_below_25_mb() -> None:
    pictures = [noisy(seed) for seed in range(4)]
    assert 40_000 < np.mean([len(each) for each in pictures]) < 60_000
    many = [crack(length=90 - place) for place in range(5)]
    results = []
    for place in range(200):
        shown = pictures[place % 4]
        results.append(replace(photo(name=f"north/IMG_{place:04d}.jpg", cracks=many), thumbnail=shown))
    assert len(page(that_fit(results, 25)).encode()) < 25e6
    assert all(each.thumbnail for each in that_fit(results, 25)), "all of them fit"


@pytest.mark.parametrize("megabytes", [0.3, 1, 2])
def test_where_all_would_not_fit_the_widest_keep_their_pictures_and_all_are_counted(megabytes: float) -> None:
    shown = noisy(1)
    results = [
        replace(photo(name=f"{place}.jpg", cracks=[crack(widest=place + 1)] * 3), thumbnail=shown)
        for place in range(40)
    ]
    fitting = that_fit(results, megabytes)
    pictured = [bool(each.thumbnail) for each in fitting]
    assert pictured == sorted(pictured, reverse=True)
    assert 0 < sum(pictured) < 40 or megabytes < 1
    text = page(fitting)
    assert len(text.encode()) <= megabytes * 1e6
    told = words(text)
    assert "photos 40 photos with cracks 40 cracks 120" in told
    assert f"{40 - sum(pictured)} more photos have no picture here" in told


# --- overlays


def test_a_crack_is_drawn_as_a_thin_line_and_all_else_stays_as_it_is() -> None:
    ground = np.full((480, 640, 3), 128, np.uint8)
    drawn = overlay(ground, [crack(line=[(100, 240), (500, 240)])])
    changed = (drawn != ground).any(axis=2)
    rows = np.flatnonzero(changed[:, 300])
    assert 1 <= len(rows) <= 9
    coloured = drawn[:, 300, 0].astype(int) - drawn[:, 300, 1] > 100
    assert 1 <= coloured.sum() <= 3
    assert rows.mean() == pytest.approx(240, abs=0.5)
    red, green, _ = drawn[240, 300].astype(int)
    assert red - green > 120
    assert changed.mean() < 0.02
    assert (ground == 128).all(), "the photo itself is not drawn on"


def test_lines_look_alike_in_large_and_small_photos() -> None:
    shares = []
    for factor in (1, 4):
        ground = np.full((480 * factor, 640 * factor, 3), 128, np.uint8)
        line = [(100 * factor, 240 * factor), (500 * factor, 240 * factor)]
        drawn = shrunk(overlay(ground, [crack(line=line)]), 640)
        shares.append(int((drawn[:, 300, 0].astype(int) - drawn[:, 300, 1] > 60).sum()))
    assert shares[0] in (1, 2, 3)
    assert abs(shares[0] - shares[1]) <= 1


def test_a_crack_of_one_point_and_none_at_all_can_be_drawn() -> None:
    ground = np.full((48, 64, 3), 90, np.uint8)
    assert (overlay(ground, []) == ground).all()
    assert (overlay(ground, [crack(line=[])]) == ground).all()
    assert (overlay(ground, [crack(line=[(30, 20)])])[20, 30] != 90).any()


def test_a_photo_is_shrunk_to_its_longer_side_and_never_enlarged() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    assert shrunk(image, 100).shape == (75, 100, 3)
    assert shrunk(image, 400) is image
    assert shrunk(np.zeros((2, 4000, 3), np.uint8), 100).shape == (1, 100, 3)
