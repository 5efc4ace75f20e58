"""[Measuring] on the command line."""

from __future__ import annotations

import luigi

from pipeline.knobs import MeasuringKnobs
from tasks.core import parameters


class Measuring(luigi.Config):
    """How masks become cracks with lengths and widths."""


parameters.give_knobs(Measuring, MeasuringKnobs)
