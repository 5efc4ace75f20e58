"""What the two trained stages share: device and threads, checkpoints, the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from tasks import cache, files
from tasks.base import Stage
from tasks.cache import Draft

if TYPE_CHECKING:
    import torch
    from torch import nn

    from pipeline.training import Epoch

ModelT = TypeVar("ModelT", bound="nn.Module")
CHECKPOINT = "checkpoint.pt"
WEIGHTS = "weights.safetensors"
LOG = "log.csv"


class NetworkStage(Stage):
    """A stage that computes with torch."""

    resumable = True

    def device(self, threads: int) -> torch.device:
        """The device of the settings; on a CPU, with that many threads."""
        import cv2
        import torch

        cv2.setNumThreads(1)
        torch.set_num_threads(threads)
        wanted = self.execution.device
        if wanted == "cuda" and not torch.cuda.is_available():
            raise ValueError('device = "cuda", but there is no usable GPU; set [Execution] device = "cpu" or "auto"')
        return torch.device("cpu" if wanted == "cpu" or not torch.cuda.is_available() else "cuda")

    def processes(self) -> int:
        """One process per GPU; on a CPU as many as the settings say, with one thread each."""
        return 1 if self.device(threads=1).type == "cuda" else self.execution.processes


class TrainedStage(NetworkStage):
    """A stage whose result is weights; it goes on from the last finished epoch."""

    def train(
        self,
        draft: Draft,
        model: nn.Module,
        epochs_of: Callable[[dict[str, Any] | None, Callable[[int, int], None]], Iterator[Epoch]],
    ) -> list[dict[str, float]]:
        """Runs the epochs, keeps a checkpoint after each, leaves weights and log in the draft; returns the log."""
        import pandas as pd

        checkpoint = draft.path(CHECKPOINT)
        resume = files.read_checkpoint(checkpoint)
        log: list[dict[str, float]] = list(resume["log"]) if resume else []
        if resume:
            self.say(f"goes on after epoch {len(log)} of {self.knobs.epochs}")
        with self.progress(label="") as progress:
            progress.label = f"epoch {len(log) + 1}/{self.knobs.epochs}  "
            for epoch in epochs_of(resume["training"] if resume else None, progress):
                log.append({"epoch": epoch.number, **epoch.log})
                files.write_checkpoint(checkpoint, {"training": epoch.state(), "log": log})
                cache.chaos(self.stage(), f"epoch-{epoch.number}")
                progress.label = f"epoch {epoch.number + 1}/{self.knobs.epochs}  "
        files.write_weights(draft.path(WEIGHTS), model.state_dict())
        steady = [
            {name: value for name, value in row.items() if name not in ("seconds", "samples_per_second")} for row in log
        ]
        files.write_table(draft.path(LOG), pd.DataFrame(steady))
        checkpoint.unlink(missing_ok=True)
        return log

    def load_into(self, model: ModelT) -> ModelT:
        """The trained weights, after comparing their checksum, in a model that is ready to predict."""
        model.load_state_dict(files.read_weights(self.entry.checked(WEIGHTS)))
        return model.eval()
