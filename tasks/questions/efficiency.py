"""Efficiency: what each segmenter costs, with the published numbers beside ours."""

from __future__ import annotations

import dataclasses
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import models
from pipeline import knobs
from pipeline.knobs import EfficiencyKnobs
from tasks.core import child, console, files
from tasks.core.errors import SettingsError, StageError
from tasks.core.files import Row
from tasks.core.parameters import give_knobs, given
from tasks.core.question import Question
from tasks.core.workers import place_of
from tasks.questions import memory
from tasks.reports import published
from tasks.segmenter import Segmenter, chosen

if TYPE_CHECKING:
    import pandas as pd
    import torch

TABLE, PROVENANCE = "efficiency.csv", "efficiency-provenance.json"
DEFINITIONS = {
    "parameters": "trainable ones",
    "gflops": "of convolutions and matrix products; a multiply-add counts as 2",
    "milliseconds": "one image, forward, median of the rounds",
    "peak_mb": "of one image's forward, beyond what the process holds before it; 1 MB = 1,000,000 bytes",
    "weights_mb": "parameters and buffers as they lie in memory",
}
SHOWN = {
    "segmenter": "segmenter",
    "parameters": "parameters",
    "published_parameters": "published",
    "gflops": "GFLOP",
    "milliseconds": "ms",
    "images_per_second": "images/s",
    "peak_mb": "peak MB",
    "weights_mb": "weights MB",
}


class Efficiency(Question):
    """Parameters, operations, time and memory of every segmenter: `luigi --module tasks Efficiency --dataset crack500`.

    The networks have the sizes of [Segmenter.options] and random weights; encoders are built as with encoder "none"
    whatever the settings say, since nothing need be downloaded to count.
    """

    def settle(self) -> None:
        if not self.knobs.segmenters:
            raise SettingsError("[Efficiency] segmenters must name at least one")

    @cached_property
    def knobs(self) -> EfficiencyKnobs:
        """With the names that "all" stands for."""
        written = self.experiment.resolve(EfficiencyKnobs, given(self, EfficiencyKnobs))
        return dataclasses.replace(written, segmenters=chosen(written.segmenters, "segmenters", "Efficiency"))

    def answer(self) -> None:
        import pandas as pd

        folder = self.published_folder()
        rows = [{**self._row(name), **published.parameters(name)} for name in dict.fromkeys(self.knobs.segmenters)]
        table = pd.DataFrame(rows, dtype=object)  # or whole numbers beside a nan would become fractions
        files.write_table(folder / TABLE, table)
        facts = {"execution": knobs.as_dict(self.execution), "knobs": knobs.as_dict(self.knobs)}
        files.write_json(folder / PROVENANCE, {**self.provenance(), **facts, "definitions": DEFINITIONS})
        self._show(table)
        print(f"\nThe table: {folder / TABLE}", flush=True)

    def _show(self, table: pd.DataFrame) -> None:
        from pipeline.reports.tables_text import aligned

        size, first = f"{self.knobs.width_px}×{self.knobs.height_px} px", table.iloc[0]
        print(f"\nOne image of {size} on {first['device']}, threads {first['threads']}, {first['precision']}")
        print(aligned(table, SHOWN))
        print("  A multiply-add counts as 2; memory beyond what was held before, 1 MB = 1,000,000 bytes.")
        if table["peak_mb"].isna().any():
            print(f"  The peak is unknown: this system has no {memory.CLEAR_REFS} that could be set back.")

    def _row(self, segmenter: str) -> Row:
        """Measured in a process of its own, so that no network's memory counts for the next."""
        console.say("Efficiency", f"{segmenter}  …")
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / TABLE
            limit_s = self.execution.time_limit_s
            child.run_in_child(f"Efficiency {segmenter}", lambda: self._measure_into(path, segmenter), limit_s)
            return files.read_rows(path)[0]

    def _measure_into(self, path: Path, segmenter: str) -> None:
        try:
            row = self._measured(segmenter)
        except ValueError as error:
            raise StageError(str(error)) from error
        files.write_rows(path, [row])

    def _measured(self, segmenter: str) -> Row:
        import torch

        from pipeline.speed.network_cost import measure

        stage = self.sibling(Segmenter, segmenter=segmenter, labels="full")
        options, pixels = stage.network_options, stage.knobs.pixels
        if hasattr(options, "encoder"):
            options = dataclasses.replace(options, encoder="none")
        device = place_of(self.execution).enter().torch_device()
        network = models.build_segmenter(segmenter, options, pixels=pixels)
        channels = 4 if models.takes_edges(options) else 3
        found = dataclasses.asdict(
            measure(network, self.knobs, channels=channels, device=device, host_peak=memory.peak_bytes)
        )
        where = {"device": device_name(device), "threads": torch.get_num_threads(), "precision": self.knobs.precision}
        size = {"width_px": self.knobs.width_px, "height_px": self.knobs.height_px}
        counted = {name: found.pop(name) for name in ("parameters", "gflops")}
        return {"segmenter": segmenter, **counted, **size, **found, **where}


give_knobs(Efficiency, EfficiencyKnobs)


def device_name(device: torch.device) -> str:
    import torch

    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else console.processor()
