"""What was found in one photo, kept on disk until the report is made, so that a killed run goes on with the rest."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np

from pipeline.ops.cracks import Branch, Crack, Reading
from pipeline.reports.crack_tables import PhotoResult
from tasks.core import files
from tasks.core.files import Json
from tasks.photos.results import ResultsFolder

_ALONG = ("line", "widths", "mask_widths")
_READINGS = ("width_median", "width_p95", "width_max")


def write(folder: ResultsFolder, stem: str, made_from: str, result: PhotoResult) -> None:
    """`made_from` is the identity of the photo and of whatever else may change what is found in it."""
    plain = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    picture = base64.b64encode(result.thumbnail).decode()
    cracks = [_plain(crack) for crack in result.cracks]
    content = {**plain, "thumbnail": picture, "cracks": cracks, "made_from": made_from}
    path = folder.part(stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, content)


def read(folder: ResultsFolder, stem: str, made_from: str) -> PhotoResult | None:
    """None where it has to be made, or made anew."""
    try:
        content = files.read_json(folder.part(stem))
        if content.pop("made_from") != made_from:
            return None
        picture = base64.b64decode(content["thumbnail"])
        cracks = tuple(_crack(each) for each in content["cracks"])
        place = content["georeference"]
        own = {"thumbnail": picture, "cracks": cracks, "georeference": tuple(place) if place else None}
        return PhotoResult(**{**content, **own})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _plain(crack: Crack) -> dict[str, object]:
    fields = {field.name: getattr(crack, field.name) for field in dataclasses.fields(crack)}
    branches = [{name: _numbers(getattr(branch, name).tolist()) for name in _ALONG} for branch in crack.branches]
    readings = {name: _numbers(list(dataclasses.astuple(fields[name]))) for name in _READINGS}
    return {**{name: _number(value) for name, value in fields.items()}, **readings, "branches": branches}


def _crack(content: Mapping[str, Json]) -> Crack:
    branches = tuple(_branch(each) for each in content["branches"])
    readings = {name: Reading(*_with_nan(content[name])) for name in _READINGS}
    alone = {name: math.nan if content[name] is None else content[name] for name in ("length", "mask_width")}
    return Crack(**{**content, **readings, **alone, "branches": branches, "box": tuple(content["box"])})


def _branch(content: Mapping[str, Json]) -> Branch:
    line, widths, mask_widths = (np.array(_rows(content[name]), np.float32) for name in _ALONG)
    return Branch(line.reshape(-1, 2), widths, mask_widths)


def _rows(values: list[Json]) -> list[Json]:
    return [value if isinstance(value, list) else math.nan if value is None else value for value in values]


def _with_nan(values: list[Json]) -> Iterator[float]:
    return (math.nan if value is None else value for value in values)


def _numbers(values: list[Json]) -> list[Json]:
    """JSON knows no nan."""
    return [_numbers(value) if isinstance(value, list) else _number(value) for value in values]


def _number(value: Json) -> Json:
    return None if isinstance(value, float) and math.isnan(value) else value
