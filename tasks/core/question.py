"""Question: a task that answers something each time it is asked; nothing of it is cached."""

from __future__ import annotations

import abc
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import luigi

from pipeline.knobs import ExecutionKnobs
from tasks.core import cache, console, parameters, provenance
from tasks.core.errors import StageError
from tasks.core.files import Row
from tasks.core.settings import Experiment, outputs_folder
from tasks.core.stage import AnyStage, StageT, execution_of

PROVENANCE = "provenance.json"


class Question(luigi.Task, abc.ABC):
    """A subclass names what it needs in `requires`, and answers."""

    dataset, recipe, variant = parameters.DATASET, parameters.RECIPE, parameters.VARIANT
    answered = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settle()

    def settle(self) -> None:
        """Checks what was asked for."""

    @cached_property
    def experiment(self) -> Experiment:
        return Experiment(self.dataset, self.recipe, self.variant)

    def sibling(self, cls: type[StageT], **axes: str) -> StageT:
        """A stage of the same experiment."""
        return self.experiment.task(cls, **axes)

    @cached_property
    def execution(self) -> ExecutionKnobs:
        return execution_of(self.experiment)

    def complete(self) -> bool:
        return self.answered

    def planned(self) -> Sequence[AnyStage]:
        """The stages whose keys it needs: what hinders their planning is told before anything runs."""
        return self.requires()

    def requires(self) -> Sequence[AnyStage]:
        """The stages that must be there."""
        return []

    def ahead(self) -> list[str]:
        """What is told before anything runs."""
        return []

    @abc.abstractmethod
    def answer(self) -> None:
        """Prints, and writes below `published_folder`."""

    def run(self) -> None:
        try:
            self.answer()
        except OSError as error:
            raise StageError(cache.say_os_error(error, outputs_folder())) from error
        self.answered = True

    def published_folder(self) -> Path:
        """outputs/tables/<dataset>, and in it a folder of its own for each other recipe or variant; made if need be."""
        folder = outputs_folder() / "tables" / self.dataset
        other = "-".join(part for part in (self.recipe, self.variant) if part).replace("/", "_")
        folder = folder / other if other else folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def provenance(self) -> Row:
        """What a table that is laid out has to say of itself."""
        return {
            "command": shlex.join(["luigi", *sys.argv[1:]]),
            "published": datetime.now(UTC).isoformat(timespec="seconds"),
            "recipe": self.experiment.recipe_name(),
            "variant": self.variant,
            "host": console.host(),
            "packages": provenance.package_versions(),
            "git": provenance.git_commit(),
        }
