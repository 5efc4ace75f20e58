"""The script of a SLURM job, as text."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core import settings

LINES = "lines"  # of shell, among the options of the settings
ONE_THREAD = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Script:
    """What is submitted: a command for each number of an array, or a single one."""

    name: str
    folder: Path  # of the script, its logs and what it tells
    command: Sequence[str]
    options: Mapping[str, str | int | float]  # of sbatch, as the settings have them
    array: int = 0  # so many jobs; 0: a single one
    at_a_time: int = 0  # so many of them; 0: as SLURM likes

    def text(self) -> str:
        """Options first, then what the work needs to find, the user's own lines, and the command."""
        told = {name: value for name, value in self.options.items() if name != LINES}
        lines = "".join(f"{line}\n" for line in str(self.options.get(LINES, "")).splitlines())
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment().items())
        number = ' "$SLURM_ARRAY_TASK_ID"' if self.array else ""
        return (
            "#!/bin/sh\n"
            + "".join(f"#SBATCH {_option(name, value)}\n" for name, value in {**self._ours(), **told}.items())
            + f"{exports}cd {shlex.quote(str(settings.ROOT))} || exit 1\n"
            + f"{lines}exec {shlex.join(self.command)}{number}\n"
        )

    def log(self, number: int = 0) -> Path:
        return self.folder / (f"log-{number}.txt" if self.array else "log.txt")

    def _ours(self) -> dict[str, str]:
        """Not open to the settings, but for the last: a job whose node fails is started again, and goes on."""
        limit = f"%{self.at_a_time}" if self.at_a_time else ""
        array = {"array": f"0-{self.array - 1}{limit}"} if self.array else {}
        log = self.folder / ("log-%a.txt" if self.array else "log.txt")
        return {"job-name": f"hairline-{self.name}", **array, "output": str(log), "open-mode": "append", "requeue": ""}


def _option(name: str, value: str | float) -> str:
    """--exclusive, --mem=4G, --comment="two words"."""
    text = str(value)
    if not text:
        return f"--{name}"
    return f'--{name}="{text}"' if any(letter.isspace() for letter in text) else f"--{name}={text}"


def environment() -> dict[str, str]:
    """Where settings, data and results are, for a process that may have been started from anywhere."""
    found = {"HAIRLINE_OUTPUTS": str(settings.outputs_folder()), "HAIRLINE_DATA": str(settings.data_folder())}
    configs = os.environ.get("HAIRLINE_CONFIGS")
    return {**found, **({"HAIRLINE_CONFIGS": str(Path(configs).absolute())} if configs else {})}


def python(module: str, *words: str) -> list[str]:
    """A module of this project as a command, run by the Python that runs this."""
    return [sys.executable, "-m", module, *words]
