"""Course: a training from epoch to epoch, with its checkpoints, its log and its weights; it knows no Luigi, so that it
can be handed to other processes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks.core import cache, console, files
from tasks.core.cache import Draft

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.utils.tensorboard import SummaryWriter

    from pipeline.learning.ranks import Ranks
    from pipeline.learning.training import Epoch

CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.safetensors", "log.csv"
_OF_THE_CLOCK = ("seconds", "samples_per_second")
State = dict[str, Any]  # whatever torch keeps of a training


class Epochs(Protocol):
    """A training that waits for the state to go on from."""

    def __call__(
        self, *, resume: State | None, progress: Callable[[int, int], None], ranks: Ranks, device: torch.device = ...
    ) -> Iterator[Epoch]: ...


@dataclass(frozen=True)
class Course:
    """Goes on from the last finished epoch that it finds in the draft."""

    draft: Draft
    events: Path  # for TensorBoard; outside the entry, whose bytes must not depend on the time it took to make them
    unit: str
    epochs: int
    model: nn.Module
    train: Epochs

    def walk(self, ranks: Ranks) -> None:
        """Runs the epochs, keeps a checkpoint after each, leaves weights and log in the draft."""
        stage, checkpoint = self.draft.stage, self.draft.path(CHECKPOINT)
        resume = files.read_checkpoint(checkpoint)
        log: list[dict[str, float]] = list(resume["log"]) if resume else []
        if resume:
            console.say(stage, f"goes on after epoch {len(log)} of {self.epochs}")
        with console.Progress(stage, self.unit) as progress, self._events(len(log)) as events:
            progress.label = f"epoch {len(log) + 1}/{self.epochs}  "
            for epoch in self.train(resume=resume["training"] if resume else None, progress=progress, ranks=ranks):
                log.append({"epoch": epoch.number, **epoch.log})
                files.write_checkpoint(checkpoint, {"training": epoch.state(), "log": log})
                for name, value in epoch.log.items():
                    events.add_scalar(name, value, epoch.number)
                events.flush()
                cache.chaos(stage, f"epoch-{epoch.number}")
                progress.label = f"epoch {epoch.number + 1}/{self.epochs}  "
        files.write_weights(self.draft.path(WEIGHTS), self.model.state_dict())
        steady = ({name: value for name, value in row.items() if name not in _OF_THE_CLOCK} for row in log)
        files.write_rows(self.draft.path(LOG), map(dict[str, object], steady))

    def follow(self, ranks: Ranks) -> None:
        """Computes its rows of the same epochs, while another rank keeps what comes out."""
        resume = files.read_checkpoint(self.draft.path(CHECKPOINT))
        for epoch in self.train(
            resume=resume["training"] if resume else None, progress=lambda done, total: None, ranks=ranks
        ):
            cache.chaos(self.draft.stage, f"follower-{epoch.number}")

    @contextlib.contextmanager
    def _events(self, done: int) -> Iterator[SummaryWriter]:
        """A log that goes on after `done` epochs; a training from the start begins an empty one."""
        from torch.utils.tensorboard import SummaryWriter

        if done == 0:
            shutil.rmtree(self.events, ignore_errors=True)
        with SummaryWriter(str(self.events), purge_step=done + 1) as events:
            yield events
