"""A whole stage as a SLURM job of its own: what a training is, which no other worker can share."""

from __future__ import annotations

import pickle
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.knobs import ExecutionKnobs
from tasks.core import console, files, locks
from tasks.core.engines import queue
from tasks.core.engines.script import Script, python
from tasks.core.engines.versions import versions
from tasks.core.errors import StageError
from tasks.core.settings import outputs_folder

STAGE, FAILED = "stage.pickle", "failed.pickle"
_LOOK_EVERY_S = 1.0
_GRACE_S = 20.0  # for files of another machine to be seen


@dataclass(frozen=True)
class StageJob:
    """All that names a stage on another machine: the command line that is in force, and its own parameters."""

    versions: Mapping[str, str]
    argv: list[str]
    stage: str
    parameters: Mapping[str, object]
    key: str


def made_by_slurm(
    stage: str,
    entry: str,
    parameters: Mapping[str, object],
    key: str,
    execution: ExecutionKnobs,
    there: Callable[[], bool],
) -> None:
    """Submits the stage and waits until it is there; the lines of its log are shown as they come."""
    folder = outputs_folder() / ".jobs" / f"{stage}-{entry}"
    with locks.locked(folder, lambda text: console.say(stage, f"{entry} {text}")):
        if there():
            return
        queue.end_what_a_killed_run_left(folder)
        run = folder / str(time.time_ns())
        run.mkdir(parents=True)
        files.write_bytes(run / STAGE, pickle.dumps(StageJob(versions(), sys.argv, stage, dict(parameters), key)))
        options = {**execution.slurm, **execution.slurm_networks}
        script = Script(stage, run, python("tasks.core.engines.one_stage", str(run)), options)
        with queue.submitted(script) as running:
            _wait(running, there)
        shutil.rmtree(folder, ignore_errors=True)  # where it failed, script and log stay


def _wait(running: queue.Running, there: Callable[[], bool]) -> None:
    log, ended = Log(running.script.log()), 0.0
    while not there():
        log.show()
        failed = running.script.folder / FAILED
        if failed.exists():
            raise StageError(pickle.loads(failed.read_bytes()))
        how = running.ended()
        ended = (ended or time.monotonic()) if how else 0.0
        if how and time.monotonic() - ended > _GRACE_S:
            raise running.failure(0, how[0])
        time.sleep(_LOOK_EVERY_S)
    log.show()


@dataclass
class Log:
    """A file that another machine writes to."""

    path: Path
    shown: int = 0  # bytes

    def show(self) -> None:
        """The whole lines that are new."""
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self.shown)
            whole, newline, _ = stream.read().rpartition(b"\n")
        if newline:
            self.shown += len(whole) + 1
            print(whole.decode("utf-8", "replace"), file=sys.stderr, flush=True)
