"""Workers of a Dask cluster: one that runs, or one that is started on this machine."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core import console
from tasks.core.engines import handed
from tasks.core.engines.versions import refuse_others, versions
from tasks.core.errors import StageError
from tasks.core.workers import ItemT, Job, Place, ResultT, chunk_size

if TYPE_CHECKING:
    from distributed import Client, Future

_PATIENCE_S = 30.0  # for a scheduler to answer, and for a first worker to be there
_SILENT = logging.CRITICAL + 1
_AHEAD = 3  # chunks that wait for each worker, so that none is idle
_GOES_ON = "the same command goes on with what is missing"


@dataclass(frozen=True)
class Dask:
    place: Place
    address: str  # of the scheduler; "": a cluster of this machine is started
    count: int  # of the workers that are started

    def map(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> Iterator[ResultT]:
        if not items:
            return
        cluster, given = connected(self.address, self.count), handed.handed_over(job, self.place)
        with _one_sentence(self.address), cluster as client, given as folder:
            yield from _in_order(client, folder, items)


def _in_order(client: Client, folder: Path, items: Sequence[ItemT]) -> Iterator[ResultT]:
    """No more chunks are on their way than the workers need, so that memory does not grow with the items."""
    size, stamp = chunk_size(len(items), _workers(client)), time.time_ns()
    starts = deque(range(0, len(items), size))
    waiting: deque[Future[list[ResultT]]] = deque()
    while starts or waiting:
        wanted = _workers(client) * _AHEAD  # workers come and go
        while starts and len(waiting) < wanted:
            chunk = list(items[starts[0] : starts.popleft() + size])
            waiting.append(client.submit(handed.worked, folder, stamp, chunk, pure=False))
        yield from waiting.popleft().result()


def _workers(client: Client) -> int:
    return max(len(client.nthreads()), 1)


@contextlib.contextmanager
def connected(address: str, count: int) -> Iterator[Client]:
    """A client of the cluster, whose workers all have this project's versions."""
    try:
        import distributed
    except ImportError:
        raise StageError(
            'workers = "dask" needs the package distributed; pip install "hairline[cluster]", or set [Execution] '
            'workers = "processes"'
        ) from None
    for name in list(logging.Logger.manager.loggerDict):
        if name.split(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(_SILENT)  # what matters is said in a sentence of ours
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of other versions, which are refused below
        if not address:
            options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
            cluster = distributed.LocalCluster(n_workers=count or None, host="127.0.0.1", **options)
            started = stack.enter_context(cluster).scheduler_address
        try:
            client = distributed.Client(address or started, timeout=_PATIENCE_S, set_as_default=False)
        except OSError as error:
            raise StageError(
                f"the Dask scheduler at {address} cannot be reached ({error}); start it, and {_GOES_ON}"
            ) from None
        stack.enter_context(client)
        if address:
            console.say_once("Dask", f"works with the cluster at {address}, dashboard at {client.dashboard_link}")
        _welcome(client)
        yield client


def _welcome(client: Client) -> None:
    """Waits for a worker, and refuses those with other versions."""
    client.wait_for_workers(1, timeout=_PATIENCE_S)
    for worker, there in client.run(versions, on_error="return").items():
        if isinstance(there, BaseException):
            told = f"{type(there).__name__}: {there}"
            raise StageError(f"the worker {worker} cannot load this project ({told}); install the same version there")
        refuse_others(versions(), there, f"the worker {worker}")


@contextlib.contextmanager
def _one_sentence(address: str) -> Iterator[None]:
    """What is gone is told in one sentence; errors of the work itself pass."""
    from concurrent.futures import CancelledError

    whose = f"the Dask scheduler at {address}" if address else "the Dask scheduler"
    try:
        yield
    except StageError:
        raise
    except (CancelledError, TimeoutError) as error:
        raise StageError(f"{whose} is gone or does not answer ({type(error).__name__}); {_GOES_ON}") from None
    except OSError as error:
        if not _is_of_the_wire(error):
            raise
        raise StageError(f"{whose} is gone ({error}); start it again, and {_GOES_ON}") from None
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise
        raise StageError(f"a chunk of images killed several workers (out of memory?); {_GOES_ON}") from None


def _is_of_the_wire(error: OSError) -> bool:
    return type(error).__module__.startswith("distributed") or isinstance(error, ConnectionError)
