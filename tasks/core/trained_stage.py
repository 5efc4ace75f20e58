"""What the two trained stages share: the road from epoch to epoch, checkpoints, the log, the weights."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pipeline.knobs import TrainingKnobs
from tasks.core import cache, files, settings
from tasks.core.cache import Draft
from tasks.core.errors import SettingsError
from tasks.core.files import snake
from tasks.core.pixel_file import ItemT, PixelJob, Pixels
from tasks.core.pixel_store import decoded
from tasks.core.published_weights import file_of
from tasks.core.stage import AnyStage, Stage

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.tensorboard import SummaryWriter

    from pipeline.learning.training import Epoch

TrainingT = TypeVar("TrainingT", bound=TrainingKnobs, covariant=True)
CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.safetensors", "log.csv"
_OF_THE_CLOCK = ("seconds", "samples_per_second")
State = dict[str, Any]  # whatever torch keeps of a training


class Epochs(Protocol):
    """A training that waits for the state to go on from."""

    def __call__(self, *, resume: State | None, progress: Callable[[int, int], None]) -> Iterator[Epoch]: ...


class TrainedStage(Stage[TrainingT]):
    """A stage whose result is weights; it goes on from the last finished epoch."""

    resumable = True

    def decoded(
        self, shown: AnyStage, name: str, job: PixelJob[ItemT], items: Sequence[ItemT]
    ) -> AbstractContextManager[Pixels]:
        """The images of items whose content is that of another stage's entry."""
        return decoded(shown.entry, name, job, items, self.execution, self.progress("images", f"reads {name}  "))

    def train(self, draft: Draft, model: nn.Module, epochs: Epochs) -> dict[str, float]:
        """Runs the epochs, keeps a checkpoint after each, leaves weights and log in the draft; returns the last line
        of the log."""
        checkpoint = draft.path(CHECKPOINT)
        resume = files.read_checkpoint(checkpoint)
        log: list[dict[str, float]] = list(resume["log"]) if resume else []
        if resume:
            self.say(f"goes on after epoch {len(log)} of {self.knobs.epochs}")
        with self.progress() as progress, self._events(len(log)) as events:
            progress.label = f"epoch {len(log) + 1}/{self.knobs.epochs}  "
            for epoch in epochs(resume=resume["training"] if resume else None, progress=progress):
                log.append({"epoch": epoch.number, **epoch.log})
                files.write_checkpoint(checkpoint, {"training": epoch.state(), "log": log})
                for name, value in epoch.log.items():
                    events.add_scalar(name, value, epoch.number)
                events.flush()
                cache.chaos(self.stage(), f"epoch-{epoch.number}")
                progress.label = f"epoch {epoch.number + 1}/{self.knobs.epochs}  "
        files.write_weights(draft.path(WEIGHTS), model.state_dict())
        steady = ({name: value for name, value in row.items() if name not in _OF_THE_CLOCK} for row in log)
        files.write_rows(draft.path(LOG), map(dict[str, object], steady))
        checkpoint.unlink(missing_ok=True)
        return log[-1]

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

    def checked_weights(self) -> Path:
        """The trained weights, after comparing their checksum."""
        return self.entry.checked(WEIGHTS)


def start_weights(text: str, knob: str, published: str = "") -> Path | None:
    """The file of first weights that a knob names: its own, or that in which weights of that name were published; None
    for "none", and for "imagenet" where torchvision has them."""
    if published:
        try:
            return file_of(published)
        except SettingsError as error:
            raise SettingsError(f"{knob} = {text!r}: {error}") from None
    if text in ("none", "imagenet"):
        return None
    path = settings.ROOT / Path(text).expanduser()
    if not path.is_file():
        raise SettingsError(f'{knob}: there is no file {path}; allowed: "none", "imagenet" or a path')
    return path
