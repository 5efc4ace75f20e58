"""The schema of what is asked about people's own photos: answers, masks of new photos, a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pipeline.knobs.ranges import Amount, Positive, Range, Share, Side


@dataclass(frozen=True)
class AnswerKnobs:
    whole_px: Side  # photos whose longer side is at most this are answered for as a whole
    tile_px: Side  # larger ones tile by tile
    tiles: Positive  # of a photo, those that are most in doubt
    look_px: Positive  # of a photo, that the network looks at to find out what to ask first; larger ones are shrunk
    port: Annotated[int, Range(0, 65_535)]  # 0: any that is free


@dataclass(frozen=True)
class ExportKnobs:
    onnx: bool  # whether the network is written as ONNX as well
    tile_px: Side  # for programs that cut photos into tiles
    overlap_percent: Annotated[int, Range(0, 90)]
    compared: Positive  # photos on which ONNX is compared with torch
    least_same: Share  # of their pixels must have the same mask
    licence: str  # of the data that the network was trained on, for whoever gets the file


@dataclass(frozen=True)
class PredictKnobs:
    mm_per_px: Annotated[float, Range(0.0, 1e6)]  # of the photos; 0: unknown, everything is told in pixels
    mm_per_px_error: Share  # of it, as a share; widens the intervals of millimetres
    width_classes_mm: list[Amount]  # limits between classes of width, which are the user's own
    max_pixels: Positive  # of a photo; it is in memory whole, with its answer about eleven bytes a pixel
    shown_px: Side  # the longer side of a photo in the report
    jpeg_quality: Annotated[int, Range(1, 100)]
    report_mb: Positive  # of the report; where all photos would not fit, the worst are shown
    fused: bool  # whether the network is made faster first, which changes probabilities by less than a millionth
    doubt_px: Positive  # a photo's answer is the mean of so many of its highest probabilities
    geojson: bool  # whether cracks.geojson is written
    coco: bool  # whether coco.json is written
