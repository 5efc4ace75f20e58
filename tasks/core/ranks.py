"""Ranks: processes that train one network together, started and watched by torch's own agent, which is torchrun's."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import pickle
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.knobs import ExecutionKnobs
from tasks.core import console, devices, files
from tasks.core.course import Course
from tasks.core.errors import SettingsError, StageError
from tasks.core.workers import Place

if TYPE_CHECKING:
    from torch.distributed.launcher.api import LaunchConfig

MODULE = "tasks.core.rank"
_HANDED = f"ranks{files.PARTIAL}"  # in the draft, where every machine finds it; a killed run's is removed
WRITES = "writes"  # said to the ranks that the stage itself started; the first of them keeps what comes out
AS_IN_ONE_PROCESS = {"ValueError": ValueError, "FloatingPointError": FloatingPointError}


class Failure(Protocol):
    """What the agent knows of a rank that ended badly."""

    @property
    def exitcode(self) -> int: ...

    @property
    def message(self) -> object: ...


@dataclasses.dataclass(frozen=True)
class Handed:
    """All that a rank needs."""

    course: Course
    place: Place
    torch: str  # its version: ranks of different ones would not compute the same


def train_together(course: Course, execution: ExecutionKnobs, batch_size: int) -> None:
    """Runs the course with as many ranks as the settings say; weights and log lie in the draft when it returns."""
    import torch

    place = Place(devices.found(execution.device), execution.threads)
    check(execution, batch_size, torch.cuda.device_count() if place.device == "cuda" else None)
    handed = course.draft.path(_HANDED)
    files.write_bytes(handed, pickle.dumps(Handed(course, place, torch.__version__)))
    try:
        if execution.nodes > 1:
            console.say(
                course.draft.stage, f"waits for {execution.nodes - 1} more, each started by: {_join(execution, handed)}"
            )
        _launch(execution, handed)
    finally:
        handed.unlink(missing_ok=True)


def check(execution: ExecutionKnobs, batch_size: int, gpus: int | None) -> None:
    """What cannot work is told before anything starts; `gpus`: how many there are, None on a CPU."""
    ranks, nodes = execution.ranks, execution.nodes
    if nodes > 1 and not execution.rendezvous:
        raise SettingsError(
            f'[Execution] nodes = {nodes} with rendezvous = ""; say where they meet: rendezvous = "host:port", '
            "with the name of the machine that runs luigi and a free port"
        )
    if ranks * nodes > batch_size:
        raise SettingsError(
            f"[Execution] ranks = {ranks * nodes} in all for batches of {batch_size}; allowed: up to {batch_size}, "
            "so that each has something to compute"
        )
    if gpus is not None and ranks > gpus:
        raise SettingsError(
            f"[Execution] ranks = {ranks}, but this machine has {gpus} usable GPU{'s' * (gpus != 1)} and each rank "
            f'takes one; set ranks = {max(gpus, 1)}, or device = "cpu"'
        )


def _join(execution: ExecutionKnobs, handed: Path) -> str:
    """The command for every other machine."""
    return (
        f"torchrun --nnodes {execution.nodes} --nproc-per-node {execution.ranks} --rdzv-backend c10d "
        f"--rdzv-endpoint {execution.rendezvous} --rdzv-id {_meeting(handed)} -m {MODULE} {handed}"
    )


def _meeting(handed: Path) -> str:
    return handed.parent.name.removeprefix(".draft-")


def _launch(execution: ExecutionKnobs, handed: Path) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import elastic_launch

    with tempfile.TemporaryDirectory() as notes, _quiet():
        try:
            launched = elastic_launch(_configured(execution, handed, notes), sys.executable)
            launched("-m", MODULE, str(handed), WRITES)
        except ChildFailedError as error:
            raise told(error.failures, execution.ranks) from None
        except RendezvousError as error:
            raise StageError(
                f"the {execution.nodes} machines did not meet at {execution.rendezvous or 'this one'} "
                f"({error}); start the others within the time, and run the same command again"
            ) from None


def _configured(execution: ExecutionKnobs, handed: Path, notes: str) -> LaunchConfig:
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    return LaunchConfig(
        min_nodes=execution.nodes,
        max_nodes=execution.nodes,
        nproc_per_node=execution.ranks,
        run_id=_meeting(handed),
        rdzv_backend="c10d",
        rdzv_endpoint=execution.rendezvous or "127.0.0.1:0",
        local_addr=None if execution.nodes > 1 else "127.0.0.1",
        max_restarts=0,  # the checkpoint is there: who runs the command again decides
        logs_specs=DefaultLogsSpecs(log_dir=notes),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The agent's own words, of a rank that ended say, come beside our sentence and not in its place."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(previous)


def told(failures: Mapping[int, Failure], ranks: int) -> Exception:
    """One sentence of what ended first."""
    rank, failure = min(failures.items(), key=lambda pair: (_late(pair[1]), pair[0]))
    again = "the same command goes on after the last whole epoch"
    if failure.exitcode < 0:
        hint = " (out of memory? lower ranks or batch_size)" if failure.exitcode == -signal.SIGKILL else ""
        return StageError(f"rank {rank} of {ranks} was killed by signal {-failure.exitcode}{hint}; {again}")
    kind, _, sentence = _sentence(failure).partition(": ")
    if kind in AS_IN_ONE_PROCESS:
        return AS_IN_ONE_PROCESS[kind](sentence)
    if kind in (SettingsError.__name__, StageError.__name__):
        return StageError(sentence)
    what = f"failed with {kind}: {sentence}" if sentence else f"ended with exit code {failure.exitcode}"
    return StageError(f"rank {rank} of {ranks} {what}; {again}")


def _late(failure: Failure) -> int:
    """Its place among the ends: a kill, a complaint, being told to stop as the agent does, being left alone."""
    if failure.exitcode < 0:
        return 2 if failure.exitcode == -signal.SIGTERM else 0
    return 1 if _sentence(failure) else 3


def _sentence(failure: Failure) -> str:
    """What a rank said of its end, "Kind: sentence"; '' where it said nothing, or only that it lost another."""
    message = failure.message["message"] if isinstance(failure.message, dict) else ""
    return "" if message.startswith("LostRankError") else str(message)
