"""One stage, as a command: `python -m tasks.core.engines.one_stage FOLDER`, which SLURM runs on one of its machines."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from luigi.task_register import Register

from tasks.core import command_line, files
from tasks.core.engines.stage_job import FAILED, STAGE, StageJob
from tasks.core.engines.versions import me, refuse_others, versions
from tasks.core.errors import HairlineError, StageError
from tasks.core.stage import AnyStage, make_under_lock


def made(job: StageJob) -> None:
    """With the settings that were in force where it was submitted, but for those who work: the processes of here."""
    refuse_others(job.versions, versions(), me())
    with _in_force(job.argv):
        stage: AnyStage = Register.get_task_cls(job.stage)(**job.parameters)
        vars(stage)["execution"] = dataclasses.replace(stage.execution, workers="processes")
        if stage.key != job.key:
            raise StageError(
                f"{me()} finds other settings or data for {stage.entry.name}; HAIRLINE_CONFIGS and HAIRLINE_DATA must "
                "be folders that all machines share"
            )
        make_under_lock(stage)


@contextlib.contextmanager
def _in_force(argv: list[str]) -> Iterator[None]:
    """What a command line says of any stage; the manifest names it as the command."""
    import tasks

    sys.argv = argv
    if command_line.is_luigi(argv):
        with command_line.root_task(argv, tasks.NAMES):
            yield
    else:
        yield


def main(folder: Path) -> int:
    try:
        made(pickle.loads((folder / STAGE).read_bytes()))
    except Exception as error:
        told = str(error) if isinstance(error, HairlineError) else f"unexpected {type(error).__name__}: {error}"
        if not isinstance(error, HairlineError):
            traceback.print_exc()
        files.write_bytes(folder / FAILED, pickle.dumps(told))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
