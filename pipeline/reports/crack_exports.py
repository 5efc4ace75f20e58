"""Cracks of photos → GeoJSON for a GIS and COCO for tools that train and label."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.ops.cracks import Crack
from pipeline.ops.types import Mask
from pipeline.reports.crack_tables import CRACK_COLUMNS, PhotoResult, Scale, crack_facts

_FINE = 2  # decimals of a pixel that a coordinate keeps
_EPSG = re.compile(r"EPSG:(\d{1,7})")
_NOWHERE = (
    'ENGCRS["photos",EDATUM["see each feature"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["pixel",1]]'
)
_MAP, _PIXELS = "map", "pixels"
_NOTE = (
    'Features whose "coordinates" are "map" lie in the coordinates of their "crs". Those in "pixels" are of a photo'
    " without a place on the ground: x to the right from its left edge, y negative downwards from its upper one."
)
_NOT_FOR_GIS = {"width_class", "map_x", "map_y", "crs"}


def geojson(results: Sequence[PhotoResult], scale: Scale) -> str:
    """A feature for each crack; its line runs through the centres of pixels.

    GDAL reads "crs" though RFC 7946 dropped it, and takes what has none for degrees; so features that do not all lie
    in one are said to lie in none on Earth.
    """
    features = [_feature(result, number, scale) for result in results for number in range(1, len(result.cracks) + 1)]
    collection = {
        "type": "FeatureCollection",
        "name": "cracks",
        "crs": _common_crs(results),
        "note": _NOTE,
        "unit_of_mm": f"{scale.mm_per_px:g} mm per pixel" if scale.known else "no scale was given",
        "features": features,
    }
    return json.dumps(collection, allow_nan=False)


def _feature(result: PhotoResult, number: int, scale: Scale) -> dict[str, object]:
    facts = crack_facts(result, number, scale)
    properties = {name: facts.get(name) for name in CRACK_COLUMNS if name not in _NOT_FOR_GIS}
    place = {"coordinates": _MAP if result.georeference else _PIXELS, "crs": result.crs if result.georeference else ""}
    lines = [_line(result, branch.line) for branch in result.cracks[number - 1].branches if len(branch.line)]
    geometry = {"type": "MultiLineString", "coordinates": lines} if lines else None
    return {"type": "Feature", "geometry": geometry, "properties": {**properties, **place}}


def _line(result: PhotoResult, line: npt.NDArray[np.float32]) -> list[list[float]]:
    """A line has two points at least; one alone is told twice."""
    points: list[list[float]] = np.round(result.on_map(line), _decimals(result)).tolist()
    return points if len(points) > 1 else points * 2


def _decimals(result: PhotoResult) -> int:
    """Degrees need more of them than metres."""
    a, b, _, d, e, _ = result.georeference or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    pixel = max(math.hypot(a, d), math.hypot(b, e))
    return max(_FINE + math.ceil(-math.log10(pixel)), 0) if pixel > 0 else _FINE


def _common_crs(results: Sequence[PhotoResult]) -> dict[str, object]:
    names = {result.crs if result.georeference else "" for result in results if result.cracks}
    found = _EPSG.fullmatch(next(iter(names))) if len(names) == 1 else None
    return {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{found[1]}" if found else _NOWHERE}}


def coco(results: Sequence[PhotoResult], masks: Iterable[tuple[str, Mask]]) -> str:
    """An annotation for each connected piece of each mask; all of a photo's together are its mask, bit for bit."""
    known = {result.name: (number, result) for number, result in enumerate(results, start=1)}
    annotations: list[dict[str, object]] = []
    for name, mask in masks:
        if name not in known:
            raise ValueError(f"a mask of {name!r}, which is no photo of the results; give masks of these photos only")
        number, result = known[name]
        if mask.shape != (result.height, result.width):
            size, photo = f"{mask.shape[1]}×{mask.shape[0]}", f"{result.width}×{result.height}"
            raise ValueError(f"{name}: a mask of {size} for a photo of {photo}; give one of the photo's size")
        for piece in _pieces(mask, result.cracks):
            head = {"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            annotations.append({**head, **piece})
    images = [
        {"id": number, "file_name": name, "width": result.width, "height": result.height}
        for name, (number, result) in known.items()
    ]
    categories = [{"id": 1, "name": "crack", "supercategory": "crack"}]
    content = {"info": {"description": "cracks found by Hairline"}, "licenses": [], "images": images}
    return json.dumps({**content, "annotations": annotations, "categories": categories}, allow_nan=False)


def _pieces(mask: Mask, cracks: Sequence[Crack]) -> Iterable[dict[str, object]]:
    """ "crack" is the number in cracks.csv of the crack with the same box and size; pieces that were too short to be
    measured have none."""
    height = mask.shape[0]
    numbers = {(crack.box, crack.pixels): number for number, crack in enumerate(cracks, start=1)}
    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    columns, rows = np.nonzero(pieces.T)  # down the first column, then the next, as COCO counts
    order = np.argsort(pieces[rows, columns], kind="stable")
    starts = np.searchsorted(pieces[rows, columns][order], np.arange(1, count + 1))
    for begin, end in itertools.pairwise(starts):
        x, y = columns[order[begin:end]], rows[order[begin:end]]
        left, top, right, bottom = int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1
        yield {
            "segmentation": {"size": list(mask.shape), "counts": runs(x * height + y, mask.size)},
            "bbox": [left, top, right - left, bottom - top],
            "area": int(end - begin),
            "attributes": {"crack": numbers.get(((left, top, right, bottom), int(end - begin)))},
        }


def runs(places: npt.NDArray[np.intp], size: int) -> list[int]:
    """Growing places of ones among `size` → lengths of zeros, ones, zeros and so on."""
    breaks = np.flatnonzero(np.diff(places) > 1)
    first = np.concatenate([places[:1], places[breaks + 1]])
    last = np.concatenate([places[breaks], places[-1:]]) + 1
    edges = np.concatenate([[0], np.stack([first, last], axis=1).ravel(), [size]])
    lengths: list[int] = np.diff(edges).tolist()
    return lengths if lengths[-1] else lengths[:-1]
