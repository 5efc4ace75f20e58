"""What the two trained stages share: who trains, the weights, the log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.knobs import TrainingKnobs
from tasks.core import files, ranks, settings
from tasks.core.cache import Draft
from tasks.core.course import CHECKPOINT, LOG, WEIGHTS, Course, Epochs
from tasks.core.errors import SettingsError
from tasks.core.files import snake
from tasks.core.pixel_file import ItemT, PixelJob, Pixels
from tasks.core.pixel_store import decoded
from tasks.core.published_weights import file_of
from tasks.core.stage import AnyStage, Stage

if TYPE_CHECKING:
    from torch import nn

TrainingT = TypeVar("TrainingT", bound=TrainingKnobs, covariant=True)


class TrainedStage(Stage[TrainingT]):
    """A stage whose result is weights; it goes on from the last finished epoch."""

    resumable = True

    def decoded(
        self, shown: AnyStage, name: str, job: PixelJob[ItemT], items: Sequence[ItemT]
    ) -> AbstractContextManager[Pixels]:
        """The images of items whose content is that of another stage's entry."""
        return decoded(shown.entry, name, job, items, self.execution, self.progress("images", f"reads {name}  "))

    def train(self, draft: Draft, model: nn.Module, epochs: Epochs) -> dict[str, float]:
        """Runs the epochs, here or by several ranks: leaves weights and log in the draft, and the model trained.
        Returns the last line of the log."""
        from pipeline.learning.ranks import ALONE

        course = Course(draft, self.events_folder(), self.unit, self.knobs.epochs, model, epochs)
        if self.execution.ranks * self.execution.nodes == 1:
            course.walk(ALONE)
        else:
            ranks.train_together(course, self.execution, self.knobs.batch_size)
            model.load_state_dict(files.read_weights(draft.path(WEIGHTS)))
        draft.path(CHECKPOINT).unlink(missing_ok=True)
        (*_, last) = files.read_rows(draft.path(LOG))
        return {name: float(str(value)) for name, value in last.items()}

    def events_folder(self) -> Path:
        """For TensorBoard."""
        return settings.outputs_folder() / "logs" / snake(self.stage()) / self.entry.name

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
