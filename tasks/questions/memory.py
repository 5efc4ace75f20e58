"""How much memory a piece of work takes in this process, as the kernel counts it."""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_HIGH_WATER = "5"
_M_MMAP_THRESHOLD = -3
_OWN_MAPPING_BYTES = 65_536


def peak_bytes(work: Callable[[], object]) -> float:
    """Resident bytes at the highest moment of the work beyond those before it; nan where no /proc tells them.

    The kernel counts the pages of each core in batches: some hundred kB are uncertain. For a process that ends soon:
    every large array gets a mapping of its own from here on, which makes it slower.
    """
    gc.collect()
    give_back_at_once()
    before = _from_low_water()
    work()
    return math.nan if before is None else _resident("VmHWM") - before


def give_back_at_once() -> None:
    """Lets the C library return freed memory to the kernel, what is free now and what will be.

    Otherwise it keeps what the work before has freed: the same work again then seems to need nothing at all, and what
    it keeps of freed arrays in between would count as taken.
    """
    library = ctypes.CDLL(None)
    for name, *arguments in (("mallopt", _M_MMAP_THRESHOLD, _OWN_MAPPING_BYTES), ("malloc_trim", 0)):
        call = getattr(library, str(name), None)  # there are C libraries without them
        if call is not None:
            call(*arguments)


def _from_low_water() -> int | None:
    """Sets the high-water mark back to what is resident now, and returns that; None where it cannot be set."""
    try:
        CLEAR_REFS.write_text(_RESET_HIGH_WATER)
        return _resident("VmRSS")
    except OSError:  # not Linux, or a kernel without it: the peak is unknown, which is said
        return None


def _resident(name: str) -> int:
    """Bytes of a line such as `VmHWM:  1234 kB`."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
