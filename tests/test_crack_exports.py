"""GeoJSON, COCO and the ruler sheet: what other programs and a printer may rely on."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.ops.types import Mask
from pipeline.reports.crack_exports import coco, geojson, runs
from pipeline.reports.crack_tables import Scale
from pipeline.reports.ruler_sheet import PAGE_MM, WIDTHS_MM, ruler_sheet
from tests.test_report import MM, PX, crack, photo

POINT_MM = 25.4 / 72


def mask_of(text: str) -> Mask:
    return np.array([[char == "#" for char in line] for line in text.split()])


def features(text: str) -> list[dict[str, Any]]:
    """Checked against RFC 7946."""
    content = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert content["type"] == "FeatureCollection"
    for feature in content["features"]:
        assert feature["type"] == "Feature"
        assert isinstance(feature["properties"], dict)
        assert feature.keys() == {"type", "geometry", "properties"}
        if feature["geometry"] is not None:
            assert feature["geometry"]["type"] == "MultiLineString"
            for line in feature["geometry"]["coordinates"]:
                assert len(line) >= 2
                assert all(len(point) == 2 and all(math.isfinite(value) for value in point) for point in line)
    return list(content["features"])


def crs_of(text: str) -> str:
    return str(json.loads(text)["crs"]["properties"]["name"])


def test_a_photo_without_a_place_is_drawn_right_side_up_from_its_upper_left_corner() -> None:
    (feature,) = features(geojson([photo(cracks=[crack(line=[(0, 0), (3, 1)])])], PX))
    assert feature["geometry"]["coordinates"] == [[[0.5, -0.5], [3.5, -1.5]]]
    assert feature["properties"]["coordinates"] == "pixels"
    assert crs_of(geojson([photo(cracks=[crack()])], PX)).startswith('ENGCRS["photos"'), "not on Earth"


def test_a_georeferenced_crack_lies_in_its_coordinates_and_says_in_which() -> None:
    place = (0.5, 0.0, 691000.0, 0.0, -0.5, 5334000.0)
    result = photo(cracks=[crack(line=[(0, 0), (9, 19)])], georeference=place, crs="EPSG:32632")
    text = geojson([result], PX)
    (feature,) = features(text)
    assert feature["geometry"]["coordinates"] == [[[691000.25, 5333999.75], [691004.75, 5333990.25]]]
    assert crs_of(text) == "urn:ogc:def:crs:EPSG::32632"


def test_degrees_keep_enough_decimals_for_a_hundredth_of_a_pixel() -> None:
    place = (1e-8, 0.0, 11.5, 0.0, -1e-8, 48.1)
    (feature,) = features(
        geojson([photo(cracks=[crack(line=[(0, 0), (1, 0)])], georeference=place, crs="EPSG:4326")], PX)
    )
    (first, second) = feature["geometry"]["coordinates"][0]
    assert second[0] - first[0] == pytest.approx(1e-8, rel=1e-2)


@pytest.mark.parametrize("crs", ["EPSG:32633", "", 'PROJCS["x"]'])
def test_photos_in_different_coordinates_claim_no_common_ones(crs: str) -> None:
    place = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    here = photo(name="a.tif", cracks=[crack()], georeference=place, crs="EPSG:32632")
    there = photo(name="b.tif", cracks=[crack()], georeference=place if crs else None, crs=crs)
    text = geojson([here, there], PX)
    assert crs_of(text).startswith('ENGCRS["photos"')
    assert [each["properties"]["crs"] for each in features(text)] == ["EPSG:32632", crs]


def test_a_crack_of_one_pixel_is_still_a_line_and_one_without_any_has_no_geometry() -> None:
    dot, nothing = features(geojson([photo(cracks=[crack(line=[(4, 4)]), crack(line=[])])], PX))
    assert dot["geometry"]["coordinates"] == [[[4.5, -4.5], [4.5, -4.5]]]
    assert nothing["geometry"] is None


def test_what_is_unknown_is_null_for_a_gis_and_what_is_known_is_a_number() -> None:
    (feature,) = features(geojson([photo(cracks=[crack(width=math.nan)])], MM))
    assert feature["properties"]["width_max_mm"] is None
    assert feature["properties"]["length_mm"] == 50
    assert feature["properties"]["photo"] == "north/IMG_1.jpg"


def test_gdal_reads_the_lines_and_their_coordinates(tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio", reason="needs pyogrio: pip install pyogrio")
    path = tmp_path / "cracks.geojson"
    place = (0.5, 0.0, 691000.0, 0.0, -0.5, 5334000.0)
    path.write_text(geojson([photo(cracks=[crack(), crack()], georeference=place, crs="EPSG:32632")], MM))
    info = pyogrio.read_info(path)
    assert (info["crs"], info["features"], info["geometry_type"]) == ("EPSG:32632", 2, "MultiLineString")
    path.write_text(geojson([photo(cracks=[crack()])], MM))
    assert pyogrio.read_info(path)["crs"].startswith('LOCAL_CS["photos"')


def test_runs_count_zeros_first() -> None:
    assert runs(np.array([2, 3, 6]), 8) == [2, 2, 2, 1, 1]
    assert runs(np.array([0, 7]), 8) == [0, 1, 6, 1]


def test_a_small_mask_in_coco_can_be_checked_by_eye() -> None:
    mask = mask_of("##..# #...# ....#")
    content = json.loads(coco([photo(size=(5, 3), cracks=[])], [("north/IMG_1.jpg", mask)]))
    first, second = sorted(content["annotations"], key=lambda each: each["bbox"][0])
    assert first["segmentation"] == {"size": [3, 5], "counts": [0, 2, 1, 1, 11]}
    assert (first["bbox"], first["area"], first["iscrowd"]) == ([0, 0, 2, 2], 3, 0)
    assert second["segmentation"]["counts"] == [12, 3]
    assert content["categories"] == [{"id": 1, "name": "crack", "supercategory": "crack"}]


def test_pieces_that_touch_at_a_corner_are_one_crack_and_know_its_number() -> None:
    mask = mask_of("#.... .#... ....#")
    cracks = [crack(box=(0, 0, 2, 2), pixels=2)]
    found = json.loads(coco([photo(size=(5, 3), cracks=cracks)], [("north/IMG_1.jpg", mask)]))["annotations"]
    assert [each["attributes"]["crack"] for each in found] == [1, None]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside pycocotools
def test_pycocotools_reads_every_mask_bit_for_bit(tmp_path: Path) -> None:
    api = pytest.importorskip("pycocotools.coco", reason="needs pycocotools: pip install pycocotools")
    rng = np.random.default_rng(5)
    shapes = {"a.jpg": (64, 41), "b.jpg": (37, 90), "empty.jpg": (8, 8), "full.jpg": (5, 9)}
    masks = {name: rng.random(shape) < 0.2 for name, shape in shapes.items()}
    masks |= {"empty.jpg": np.zeros((8, 8), np.bool_), "full.jpg": np.ones((5, 9), np.bool_)}
    results = [photo(name=name, size=shape[::-1], cracks=[]) for name, shape in shapes.items()]
    path = tmp_path / "coco.json"
    path.write_text(coco(results, masks.items()))
    with contextlib.redirect_stdout(io.StringIO()):
        read = api.COCO(str(path))
    for number, (name, mask) in enumerate(masks.items(), start=1):
        assert read.loadImgs(number)[0]["file_name"] == name
        pieces = read.loadAnns(read.getAnnIds(imgIds=number))
        again = np.zeros(mask.shape, np.uint8)
        for piece in pieces:
            alone = read.annToMask(piece)
            assert alone.sum() == piece["area"]
            assert cv2.boundingRect(alone) == tuple(piece["bbox"])
            again += alone
        assert (again == mask).all(), name


def test_a_mask_that_belongs_to_no_photo_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"^a mask of 'x.jpg', which is no photo of the results; give masks of"):
        coco([photo()], [("x.jpg", np.zeros((48, 64), np.bool_))])
    with pytest.raises(ValueError, match=r"^north/IMG_1.jpg: a mask of 9×8 for a photo of 640×480; give one of"):
        coco([photo()], [("north/IMG_1.jpg", np.zeros((8, 9), np.bool_))])


# --- the ruler sheet


@functools.cache
def sheet() -> bytes:
    return ruler_sheet()


def quadrangles_mm(pdf: bytes) -> list[np.ndarray[Any, Any]]:
    """The filled outlines of four corners of a page."""
    streams = (
        zlib.decompress(found[1]) for found in re.finditer(rb"FlateDecode.*?stream\r?\n(.*?)endstream", pdf, re.S)
    )
    page = max((text.decode("latin1") for text in streams), key=len)
    number = r"(-?[\d.]+)"
    corner = rf"{number} {number} "
    shapes = re.findall(rf"{corner}m\s+{corner}l\s+{corner}l\s+{corner}l\s+h\s+f", page)
    found = [np.array(shape, np.float64).reshape(4, 2) * POINT_MM for shape in shapes]
    return [shape for shape in found if np.ptp(shape, axis=0).max() < 200]  # all but the paper


def test_every_line_of_the_ruler_sheet_is_as_wide_as_it_says_to_a_micrometre() -> None:
    sides = [sorted(np.hypot(*(shape - np.roll(shape, 1, axis=0)).T))[::2] for shape in quadrangles_mm(sheet())]
    lines = [(short, long) for short, long in sides if 40 < long < 90]
    for width in WIDTHS_MM:
        near = [short for short, _ in lines if abs(short - width) < 1e-3]
        assert len(near) == 4, f"{width} mm, in four directions"
    assert len(lines) == 4 * len(WIDTHS_MM)


def test_both_bars_measure_a_hundred_millimetres_and_all_lies_on_one_page_of_a4() -> None:
    pdf = sheet()
    shapes = quadrangles_mm(pdf)
    long = [np.ptp(shape, axis=0) for shape in shapes if np.ptp(shape, axis=0).max() > 90]
    assert np.allclose(sorted(size.max() for size in long), [100, 100], atol=1e-3)
    assert len({int(size.argmax()) for size in long}) == 2, "one across the page, one up it"
    corners = np.concatenate(shapes)
    assert (corners > 5).all()
    assert (corners < np.array(PAGE_MM) - 5).all(), "most printers reach no further"
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 1
    (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", pdf)
    assert [float(side) * POINT_MM for side in box] == pytest.approx(PAGE_MM, abs=1e-3)


def test_the_ruler_sheet_is_the_same_bytes_each_time() -> None:
    assert ruler_sheet() == sheet()


def test_a_scale_that_is_unknown_leaves_millimetres_out() -> None:
    (feature,) = features(geojson([photo(cracks=[crack()])], Scale(math.nan, 0)))
    assert feature["properties"]["length_mm"] is None
    assert feature["properties"]["length_px"] == 100
