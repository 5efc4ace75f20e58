"""What a user sees: a line when a stage starts, progress while it works, a line with its result."""

from __future__ import annotations

import logging
import mmap
import multiprocessing
import os
import re
import sys
import time
import traceback
import zlib
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import luigi

from tasks.core.errors import HairlineError

if TYPE_CHECKING:
    from tqdm import tqdm

_PLAIN_EVERY_S = 5.0
_NAME_CELLS = 14
_SAID = mmap.mmap(-1, 1 << 16)  # shared by all processes that are forked from this one
_TOLD_BY_LUIGI = re.compile(r"tasks\.[\w.]+Error: (.*)", re.DOTALL)


def duration(seconds: float) -> str:
    """3.2 s, 4 min 05 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def say(stage: str, text: str) -> None:
    print(f"{stage:<{_NAME_CELLS}} {text}", file=sys.stderr, flush=True)


def say_once(stage: str, text: str) -> None:
    """Not again in this run, whichever of its processes says it."""
    place = zlib.crc32(text.encode()) % len(_SAID)
    if not _SAID[place]:
        _SAID[place] = 1
        say(stage, text)


class Progress:
    """Counts steps of one stage: a bar on a terminal, otherwise a plain line every few seconds."""

    def __init__(self, stage: str, unit: str, label: str = "") -> None:
        self.stage, self.unit, self.label = stage, unit, label
        self.started = self.shown = time.monotonic()
        self.first = 0
        # bars of two worker processes would overwrite each other
        self.on_terminal = sys.stderr.isatty() and multiprocessing.parent_process() is None
        self.bar: tqdm[None] | None = None

    def start_at(self, done: int) -> None:
        """Steps that were already there do not count for the rate."""
        self.first = done

    def __call__(self, done: int, total: int) -> None:
        if self.on_terminal:
            self._draw(done, total)
        elif time.monotonic() - self.shown >= _PLAIN_EVERY_S:
            self.shown = time.monotonic()
            rate = (done - self.first) / max(self.shown - self.started, 1e-9)
            left = duration((total - done) / rate) if rate > 0 else "?"
            say(self.stage, f"{self.label}{done:,}/{total:,}  {rate:,.1f} {self.unit}/s  {left} left")

    def _draw(self, done: int, total: int) -> None:
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(total=total, initial=self.first, unit=f" {self.unit}", leave=False, dynamic_ncols=True)
        self.bar.total = total
        self.bar.set_description(f"{self.stage:<{_NAME_CELLS}} {self.label}".rstrip(), refresh=False)
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()


class _OurWords(logging.Filter):
    """Drops Luigi's chatter; what fails is said in our sentence, with a traceback only for what nobody expected."""

    def filter(self, entry: logging.LogRecord) -> bool:
        error = entry.exc_info[1] if entry.exc_info else None
        if isinstance(error, (HairlineError, luigi.parameter.ParameterException)):
            entry.msg, entry.args, entry.exc_info = f"error: {error}", (), None
            return True
        if isinstance(error, KeyboardInterrupt):
            return False
        told = _TOLD_BY_LUIGI.search(entry.getMessage())  # an error while planning comes as text with a traceback
        if told:
            entry.msg, entry.args = f"error: {told.group(1).strip()}", ()
            return True
        return entry.levelno >= logging.WARNING and "Task finished running" not in entry.getMessage()


def set_up_logging() -> None:
    """One handler for both of Luigi's loggers, on stderr, with the filter above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(_OurWords())
    for name in ("luigi", "luigi-interface", "luigi.scheduler"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
    sys.excepthook = _excepthook


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted; the same command goes on where it stopped", file=sys.stderr, flush=True)
    elif issubclass(kind, HairlineError):
        print(f"error: {error}", file=sys.stderr, flush=True)
    else:
        traceback.print_exception(kind, error, trace)


def host() -> str:
    return f"{os.uname().nodename} ({os.uname().sysname} {os.uname().machine}, {processor()}, {os.cpu_count()} cores)"


def processor() -> str:
    """The processor's own name where the system tells it."""
    return _about_processor("model name") or "processor unknown"


def has_fast_bfloat16() -> bool:
    """Whether this processor computes in bfloat16 and need not imitate it; True where the system does not tell."""
    flags = (_about_processor("flags") or _about_processor("Features")).split()
    return not flags or any(flag.startswith("avx512") or flag == "bf16" for flag in flags)


def _about_processor(name: str) -> str:
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
    except OSError:
        return ""
