"""What the two trained stages share: device and threads, checkpoints, the log."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.core import cache, console, files, settings
from tasks.core.cache import Draft
from tasks.core.pixel_file import Image, Pixels, decoded
from tasks.core.provenance import snake
from tasks.core.stage import Stage

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.tensorboard import SummaryWriter

    from pipeline.learning.training import Epoch

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

    def decoded(
        self, draft: Draft, name: str, load: Callable[[int], Image], count: int
    ) -> AbstractContextManager[Pixels]:
        """`load(0), load(1), …` as arrays in a file of the draft, which is gone when the context ends."""
        progress = console.Progress(self.stage(), "images", f"reads {name}  ")
        path = draft.path(f".{name}{files.PARTIAL}")
        return decoded(path, load, count, self.execution.processes, progress)

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
        with self.progress() as progress, self._events(len(log)) as events:
            progress.label = f"epoch {len(log) + 1}/{self.knobs.epochs}  "
            for epoch in epochs_of(resume["training"] if resume else None, progress):
                log.append({"epoch": epoch.number, **epoch.log})
                files.write_checkpoint(checkpoint, {"training": epoch.state(), "log": log})
                for name, value in epoch.log.items():
                    events.add_scalar(name, value, epoch.number)
                events.flush()
                cache.chaos(self.stage(), f"epoch-{epoch.number}")
                progress.label = f"epoch {epoch.number + 1}/{self.knobs.epochs}  "
        files.write_weights(draft.path(WEIGHTS), model.state_dict())
        steady = [
            {name: value for name, value in row.items() if name not in ("seconds", "samples_per_second")} for row in log
        ]
        files.write_table(draft.path(LOG), pd.DataFrame(steady))
        checkpoint.unlink(missing_ok=True)
        return log

    def events_folder(self) -> Path:
        """For TensorBoard; outside the entry, whose bytes must not depend on the time it took to make them."""
        return settings.outputs_folder() / "logs" / snake(self.stage()) / self.entry.name

    @contextlib.contextmanager
    def _events(self, done: int) -> Iterator[SummaryWriter]:
        """A log that goes on after `done` epochs; a training from the start begins an empty one."""
        from torch.utils.tensorboard import SummaryWriter

        if done == 0:
            shutil.rmtree(self.events_folder(), ignore_errors=True)
        with SummaryWriter(str(self.events_folder()), purge_step=done + 1) as events:
            yield events

    def load_into(self, model: ModelT) -> ModelT:
        """The trained weights, after comparing their checksum, in a model that is ready to predict."""
        model.load_state_dict(files.read_weights(self.entry.checked(WEIGHTS)))
        return model.eval()
