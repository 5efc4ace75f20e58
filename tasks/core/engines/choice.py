"""Which workers the settings mean."""

from __future__ import annotations

from pipeline.knobs import ExecutionKnobs
from tasks.core import devices
from tasks.core.engines.dask import Dask
from tasks.core.engines.gpus import Gpus
from tasks.core.engines.slurm import Slurm
from tasks.core.workers import Place, Workers, local_workers


def workers_of(execution: ExecutionKnobs, *, networks: bool) -> Workers:
    """As many as the settings say, of one thread each. What is computed elsewhere finds its device there."""
    elsewhere = Place(execution.device, threads=1) if networks else Place()
    if execution.workers == "dask":
        return Dask(elsewhere, execution.address, execution.count)
    if execution.workers == "slurm":
        options = {**execution.slurm, **(execution.slurm_networks if networks else {})}
        return Slurm(elsewhere, execution.count, options)
    if execution.workers == "gpus" and networks and execution.device != "cpu":
        return Gpus(tuple(Place(name, threads=1) for name in devices.gpus(execution.count)))
    return local_workers(execution, networks=networks)
