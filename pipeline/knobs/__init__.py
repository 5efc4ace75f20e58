"""The schema of the settings: every knob of every stage, its type and its allowed range.

No knob has a default: the numbers are in `configs/`. Imports nothing heavy, so that reading settings is instant.
"""

from __future__ import annotations

from pipeline.knobs.data import DatasetKnobs, DemoPhotosKnobs, FetchKnobs, GeneratedKnobs, PatchesKnobs
from pipeline.knobs.judging import JudgeKnobs
from pipeline.knobs.labels import (
    CamsKnobs,
    CrfLabelsKnobs,
    CrfSearchKnobs,
    DiagnosisKnobs,
    EdgeMapsKnobs,
    MergedLabelsKnobs,
    MergeRule,
    MergeWeightsKnobs,
    PatchMapsKnobs,
    PseudoLabelsKnobs,
    RoundLabelsKnobs,
    ThresholdMapsKnobs,
    TuneLabelsKnobs,
)
from pipeline.knobs.measuring import MeasuringKnobs
from pipeline.knobs.photos import AnswerKnobs, ExportKnobs, PredictKnobs
from pipeline.knobs.ranges import as_dict, check, fields, in_words
from pipeline.knobs.tables import (
    AblationsKnobs,
    CrossTableKnobs,
    EfficiencyKnobs,
    EffortCurveKnobs,
    ExecutionKnobs,
    GcKnobs,
    LabelTablesKnobs,
    ScoresKnobs,
    StarterKnobs,
    TablesKnobs,
)
from pipeline.knobs.training import (
    ClassifierKnobs,
    PhotometricKnobs,
    Precision,
    PredictionsKnobs,
    RefinementsKnobs,
    SegmenterKnobs,
    TrainingKnobs,
)
from pipeline.knobs.trees import TreesKnobs

_SCHEMAS: tuple[type, ...] = (
    *(
        DemoPhotosKnobs,
        GeneratedKnobs,
        DatasetKnobs,
        TreesKnobs,
        PatchesKnobs,
        ClassifierKnobs,
        PatchMapsKnobs,
        CamsKnobs,
        ThresholdMapsKnobs,
    ),
    *(
        EdgeMapsKnobs,
        PseudoLabelsKnobs,
        CrfSearchKnobs,
        CrfLabelsKnobs,
        MergeWeightsKnobs,
        MergedLabelsKnobs,
        RoundLabelsKnobs,
    ),
    *(SegmenterKnobs, PredictionsKnobs),
    *(RefinementsKnobs, ScoresKnobs, DiagnosisKnobs, TuneLabelsKnobs, TablesKnobs),
    *(MeasuringKnobs, PredictKnobs, AnswerKnobs, ExportKnobs),
    *(LabelTablesKnobs, CrossTableKnobs, AblationsKnobs, EffortCurveKnobs, JudgeKnobs, StarterKnobs, EfficiencyKnobs),
    *(FetchKnobs, GcKnobs, ExecutionKnobs),
)
SECTIONS = {schema.__name__.removesuffix("Knobs"): schema for schema in _SCHEMAS}
# fmt: off
__all__ = [
    "SECTIONS", "AblationsKnobs", "AnswerKnobs", "CamsKnobs", "ClassifierKnobs", "CrfLabelsKnobs", "CrfSearchKnobs",
    "CrossTableKnobs", "DatasetKnobs", "DemoPhotosKnobs", "DiagnosisKnobs", "EdgeMapsKnobs", "EfficiencyKnobs",
    "EffortCurveKnobs", "ExecutionKnobs", "ExportKnobs", "FetchKnobs", "GcKnobs", "GeneratedKnobs", "JudgeKnobs",
    "LabelTablesKnobs", "MeasuringKnobs",
    "MergeRule", "MergeWeightsKnobs", "MergedLabelsKnobs", "PatchMapsKnobs", "PatchesKnobs", "PhotometricKnobs",
    "Precision", "PredictKnobs", "PredictionsKnobs", "PseudoLabelsKnobs", "RefinementsKnobs", "RoundLabelsKnobs",
    "ScoresKnobs",
    "SegmenterKnobs", "StarterKnobs", "TablesKnobs", "ThresholdMapsKnobs", "TrainingKnobs", "TreesKnobs",
    "TuneLabelsKnobs",
    "as_dict", "check", "fields", "in_words", "section_of",
]
# fmt: on


def section_of(schema: type) -> str:
    """ThresholdMapsKnobs → ThresholdMaps, as settings files and tasks call it."""
    return schema.__name__.removesuffix("Knobs")
