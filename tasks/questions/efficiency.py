"""Efficiency: what each segmenter costs, with the published numbers beside ours."""

from __future__ import annotations

import dataclasses
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import models
from pipeline import knobs
from pipeline.knobs import EfficiencyKnobs
from tasks.core import child, console, files
from tasks.core.errors import SettingsError, StageError
from tasks.core.stage import give_knobs
from tasks.questions import memory
from tasks.questions.run_all import Question
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.knobs.segmenters:
            raise SettingsError("[Efficiency] segmenters must name at least one")

    @cached_property
    def knobs(self) -> EfficiencyKnobs:
        """With the names that "all" stands for."""
        written: EfficiencyKnobs = self.resolved("Efficiency", self)
        return dataclasses.replace(written, segmenters=chosen(written.segmenters, "segmenters", "Efficiency"))

    def answer(self) -> None:
        import pandas as pd

        folder = self.published_folder()
        folder.mkdir(parents=True, exist_ok=True)
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

    def _row(self, segmenter: str) -> dict[str, Any]:
        """Measured in a process of its own, so that no network's memory counts for the next."""
        console.say("Efficiency", f"{segmenter}  …")
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / TABLE
            limit_s = self.execution.time_limit_s
            child.run_in_child(f"Efficiency {segmenter}", lambda: self._measure_into(path, segmenter), limit_s)
            measured = files.read_table(path).to_dict("records")[0]
            return {str(name): value for name, value in measured.items()}

    def _measure_into(self, path: Path, segmenter: str) -> None:
        import pandas as pd

        try:
            row = self._measured(segmenter)
        except ValueError as error:
            raise StageError(str(error)) from error
        files.write_table(path, pd.DataFrame([row]))

    def _measured(self, segmenter: str) -> dict[str, Any]:
        import torch

        from pipeline.speed.network_cost import measure

        stage = self.sibling(Segmenter, segmenter=segmenter, labels="full")
        device, options = stage.device(self.execution.threads), stage.network_options()
        if "encoder" in options:
            options["encoder"] = "none"
        network, channels = models.build_segmenter(segmenter, **options), 4 if models.takes_edges(options) else 3
        found = dataclasses.asdict(
            measure(network, self.knobs, channels=channels, device=device, host_peak=memory.peak_bytes)
        )
        where = {"device": device_name(device), "threads": torch.get_num_threads(), "precision": self.knobs.precision}
        size = {"width_px": self.knobs.width_px, "height_px": self.knobs.height_px}
        counted = {name: found.pop(name) for name in ("parameters", "gflops")}
        return {"segmenter": segmenter, **counted, **size, **found, **where}


give_knobs(Efficiency, "Efficiency")


def device_name(device: torch.device) -> str:
    import torch

    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else console.processor()
