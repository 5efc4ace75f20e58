"""SLURM's queue: submits, asks what became of a job, ends it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tasks.core import console, files
from tasks.core.engines.script import Script
from tasks.core.errors import StageError

JOB_ID = "job_id.txt"
_ASK_EVERY_S = 5.0
_LONGEST_SILENCE_S = 300.0  # of a controller that is being restarted, say
_AT_WORK = {
    *("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT"),
    *("REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESIZING"),
}
_GONE = "GONE"  # nothing is known of it any more


@dataclass
class Running:
    """A job that was submitted, as the queue showed it last."""

    script: Script
    job_id: str
    asked: float = 0.0
    answered: float = field(default_factory=time.monotonic)
    heard: bool = False  # whether it has ever answered
    states: dict[int, str] = field(default_factory=dict)

    def ended(self) -> dict[int, str]:
        """Number in the array → how it ended, of those that neither run nor wait."""
        if time.monotonic() - self.asked >= _ASK_EVERY_S:
            self._ask()
        if not self.heard:
            return {}
        every = range(self.script.array or 1)
        states = {number: self.states.get(number, _GONE) for number in every}
        return {number: state for number, state in states.items() if state not in _AT_WORK}

    def _ask(self) -> None:
        self.asked = time.monotonic()
        told = _run("squeue", "--noheader", "--array", "--states=all", f"--jobs={self.job_id}", "--format=%K|%T|%r")
        if told.returncode and "Invalid job id" not in told.stderr:
            if self.asked - self.answered > _LONGEST_SILENCE_S:
                raise StageError(
                    f"SLURM has not answered for {_LONGEST_SILENCE_S / 60:.0f} minutes ({told.stderr.strip()}); run "
                    "the same command again when it does"
                )
            return
        self.answered, self.heard = self.asked, True
        rows = [line.split("|") for line in told.stdout.splitlines()]
        self.states = {int(number) if number.isdigit() else 0: state for number, state, _ in rows}
        reason = rows[0][2] if rows else "None"
        if reason != "None" and all(state == "PENDING" for _, state, _ in rows):
            console.say_once("SLURM", f"job {self.job_id} ({self.script.name}) waits in the queue: {reason}")

    def failure(self, number: int, state: str) -> StageError:
        """What is said of a job that ended before its work was done."""
        name = f"{self.job_id}_{number}" if self.script.array else self.job_id
        how = "is gone from the queue" if state == _GONE else f"ended as {state}"
        return StageError(
            f"SLURM job {name} ({self.script.name}) {how}; its log is {self.script.log(number)}; the same command "
            "goes on with what is missing"
        )


@contextlib.contextmanager
def submitted(script: Script) -> Iterator[Running]:
    """Whatever still runs or waits is ended in the end."""
    path = script.folder / "script.sh"
    files.write_text(path, script.text())
    told = _run("sbatch", "--parsable", str(path))
    if told.returncode:
        raise StageError(f"sbatch refused {path}: {told.stderr.strip()}; look at [Execution] slurm and slurm_networks")
    job_id = told.stdout.strip().partition(";")[0]
    files.write_text(script.folder / JOB_ID, job_id)
    try:
        yield Running(script, job_id)
    finally:
        _run("scancel", job_id)


def end_what_a_killed_run_left(folder: Path) -> None:
    """Two jobs would do the same work twice; what they tell of it lies in the folder of their own run."""
    for path in folder.glob(f"*/{JOB_ID}"):
        _run("scancel", path.read_text(encoding="utf-8"))
        shutil.rmtree(path.parent, ignore_errors=True)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        raise StageError(
            f'workers = "slurm" needs the command {words[0]}, which is not here; run on a machine that submits jobs, '
            'or set [Execution] workers = "processes"'
        )
    return subprocess.run(words, capture_output=True, text=True)
