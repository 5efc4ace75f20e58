"""The GPUs of this machine: which are there, and which is free."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TextIO

_HELD: list[TextIO] = []  # the lock of this process's GPU, which the kernel frees at any death


def found(device: str) -> str:
    """ "auto" as it is on this machine; a GPU that is asked for must be there."""
    import torch

    if device not in ("auto", "cuda"):
        return device
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise ValueError('device = "cuda", but there is no usable GPU; set [Execution] device = "cpu" or "auto"')
    return "cuda" if there else "cpu"


def model_of(device: str) -> str:
    """ "cpu", or what the GPU is called."""
    if not device.startswith("cuda"):
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)


def gpus(count: int) -> list[str]:
    """The names of so many GPUs, of all for 0."""
    import torch

    there = torch.cuda.device_count()
    if there < max(count, 1):
        raise ValueError(
            f'workers = "gpus" with count = {count}, but there are {there} usable GPUs; set [Execution] count to at '
            'most that, or workers = "processes"'
        )
    return [f"cuda:{number}" for number in range(count or there)]


def leased(count: int) -> str:
    """A GPU that no other process of this user trains on, until this process ends; where all are taken, trainings share
    them in turn."""
    return free_of(gpus(count), Path(tempfile.gettempdir()))


def free_of(names: list[str], folder: Path) -> str:
    """The first whose lock in the folder is free, held from now on."""
    for name in names:
        stream = (folder / f"hairline-{os.getuid()}-{name.replace(':', '-')}.lock").open("a")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            continue
        _HELD.append(stream)
        return name
    return names[os.getpid() % len(names)]
