"""From what was found in each photo to what a person opens: tables, exports, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.knobs import PredictKnobs
from tasks.core import files
from tasks.photos.results import ResultsFolder

if TYPE_CHECKING:
    from pipeline.reports.crack_tables import PhotoResult, Scale

CRACKS, PHOTOS, REJECTED = "cracks.csv", "photos.csv", "rejected.csv"
REPORT, GEOJSON, COCO = "report.html", "cracks.geojson", "coco.json"


@dataclass(frozen=True)
class Found:
    """All photos of a run, and those that could not be read with the reason."""

    results: Sequence[PhotoResult]
    stems: Mapping[str, str]  # a photo's name → what its files are called
    refused: Mapping[str, str]


def scale_of(knobs: PredictKnobs) -> Scale:
    from pipeline.reports.crack_tables import Scale

    return Scale(knobs.mm_per_px or float("nan"), knobs.mm_per_px_error)


def publish(folder: ResultsFolder, found: Found, about: Mapping[str, str], knobs: PredictKnobs, title: str) -> None:
    from pipeline.reports.crack_exports import coco, geojson
    from pipeline.reports.crack_tables import CRACK_COLUMNS, PHOTO_COLUMNS, crack_rows, photo_rows, safe_cell
    from pipeline.reports.report_page import report, that_fit

    scale, results = scale_of(knobs), found.results
    files.write_rows(folder.path / CRACKS, crack_rows(results, scale, knobs.width_classes_mm), CRACK_COLUMNS)
    files.write_rows(folder.path / PHOTOS, photo_rows(results, scale), PHOTO_COLUMNS)
    refused: list[files.Row] = [
        {"photo": safe_cell(name), "reason": safe_cell(why)} for name, why in found.refused.items()
    ]
    if refused:
        files.write_rows(folder.path / REJECTED, refused)
    if knobs.geojson:
        files.write_text(folder.path / GEOJSON, geojson(results, scale))
    masks = ((result.name, files.read_png(folder.mask(found.stems[result.name])) > 0) for result in results)
    if knobs.coco:
        files.write_text(folder.path / COCO, coco(results, masks))
    for name, wanted in ((REJECTED, refused), (GEOJSON, knobs.geojson), (COCO, knobs.coco)):
        if not wanted:
            (folder.path / name).unlink(missing_ok=True)  # of a run before
    shown = that_fit(results, knobs.report_mb)
    page = report(shown, scale, about, title=title, reviews=folder.reviews(), width_classes_mm=knobs.width_classes_mm)
    files.write_text(folder.path / REPORT, page)
