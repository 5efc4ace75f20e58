"""The tasks a user names: `luigi --module tasks RunAll --dataset demo`. Imports nothing heavy."""

from __future__ import annotations

import sys

import luigi

from tasks.cams import Cams
from tasks.classifier import Classifier
from tasks.core import command_line
from tasks.crf_labels import CrfLabels
from tasks.crf_search import CrfSearch
from tasks.dataset import Dataset
from tasks.demo_photos import DemoPhotos
from tasks.diagnosis import Diagnosis
from tasks.edge_maps import EdgeMaps
from tasks.generated import Generated
from tasks.merge_weights import MergeWeights
from tasks.merged_labels import MergedLabels
from tasks.patch_maps import PatchMaps
from tasks.patches import Patches
from tasks.predictions import Predictions
from tasks.pseudo_labels import PseudoLabels
from tasks.questions.ablations import Ablations
from tasks.questions.answer import Answer
from tasks.questions.compare import Compare
from tasks.questions.cross_table import CrossTable
from tasks.questions.efficiency import Efficiency
from tasks.questions.effort_curve import EffortCurve
from tasks.questions.export import Export
from tasks.questions.fetch import Fetch
from tasks.questions.gc import Gc
from tasks.questions.inspect_image import Inspect
from tasks.questions.judge import Judge
from tasks.questions.label_tables import LabelTables
from tasks.questions.plan import Plan
from tasks.questions.predict import Predict
from tasks.questions.ruler_sheet import RulerSheet
from tasks.questions.run_all import RunAll
from tasks.questions.start import start
from tasks.questions.start_photos import Start
from tasks.questions.starter import Starter
from tasks.questions.upkeep import Invalidate, Verify
from tasks.refinements import Refinements
from tasks.round_labels import RoundLabels
from tasks.scores import Scores
from tasks.segmenter import Segmenter
from tasks.tables import Tables
from tasks.threshold_maps import ThresholdMaps
from tasks.tune_labels import TuneLabels

STAGES: list[type[luigi.Task]] = [
    *(
        DemoPhotos,
        Generated,
        Dataset,
        Patches,
        Classifier,
        PatchMaps,
        Cams,
        ThresholdMaps,
        EdgeMaps,
        PseudoLabels,
        CrfSearch,
    ),
    *(
        CrfLabels,
        MergeWeights,
        MergedLabels,
        RoundLabels,
        Segmenter,
        Predictions,
        Refinements,
        Scores,
        Diagnosis,
        TuneLabels,
        Tables,
    ),
]
GROUPS: dict[str, list[type[luigi.Task]]] = {
    "own photos": [Start, Answer, Predict, Export, RulerSheet],
    "the whole road": [RunAll],
    "what would run": [Plan],
    "more tables": [LabelTables, CrossTable, Ablations, EffortCurve, Efficiency, Compare],
    "the referee": [Judge],
    "one image": [Inspect],
    "data sets": [Fetch],
    "the starter": [Starter],
    "the cache": [Invalidate, Verify, Gc],
    "single stages": STAGES,
}
NAMES: dict[str, list[str]] = {what: [task.__name__ for task in tasks] for what, tasks in GROUPS.items()}

if command_line.is_luigi(sys.argv):
    start(sys.argv, NAMES)
