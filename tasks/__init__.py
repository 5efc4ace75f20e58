"""The tasks a user names: `luigi --module tasks RunAll --dataset demo`. Imports nothing heavy."""

from __future__ import annotations

import sys

import luigi.configuration

from tasks.cams import Cams
from tasks.classifier import Classifier
from tasks.core import command_line, console, settings
from tasks.core.errors import HairlineError, SettingsError, StageError
from tasks.core.stage import Execution, Experiment, Stage
from tasks.crf_labels import CrfLabels
from tasks.crf_search import CrfSearch
from tasks.dataset import Dataset
from tasks.demo_photos import DemoPhotos
from tasks.diagnosis import Diagnosis
from tasks.edge_maps import EdgeMaps
from tasks.patch_maps import PatchMaps
from tasks.patches import Patches
from tasks.predictions import Predictions
from tasks.pseudo_labels import PseudoLabels
from tasks.questions.compare import Compare
from tasks.questions.cross_table import CrossTable
from tasks.questions.efficiency import Efficiency
from tasks.questions.fetch import Fetch
from tasks.questions.inspect_image import Inspect
from tasks.questions.label_tables import LabelTables
from tasks.questions.plan import Plan
from tasks.questions.run_all import RunAll
from tasks.questions.upkeep import Gc, Invalidate, Verify
from tasks.refinements import Refinements
from tasks.scores import Scores
from tasks.segmenter import Segmenter
from tasks.tables import Tables
from tasks.threshold_maps import ThresholdMaps
from tasks.tune_labels import TuneLabels

__all__ = [
    "Cams",
    "Classifier",
    "Compare",
    "CrfLabels",
    "CrfSearch",
    "CrossTable",
    "Dataset",
    "DemoPhotos",
    "Diagnosis",
    "EdgeMaps",
    "Efficiency",
    "Execution",
    "Experiment",
    "Fetch",
    "Gc",
    "HairlineError",
    "Inspect",
    "Invalidate",
    "LabelTables",
    "PatchMaps",
    "Patches",
    "Plan",
    "Predictions",
    "PseudoLabels",
    "Refinements",
    "RunAll",
    "Scores",
    "Segmenter",
    "SettingsError",
    "Stage",
    "StageError",
    "Tables",
    "ThresholdMaps",
    "TuneLabels",
    "Verify",
]

if command_line.is_luigi(sys.argv):
    luigi.configuration.add_config_path(str(settings.ROOT / "luigi.cfg"))  # also when started from another folder
    console.set_up_logging()
    try:
        command_line.check(sys.argv)
    except SettingsError as error:
        command_line.stop_with(error)
