"""What a user sees: a line when a stage starts, progress while it works, a line with its result."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import sys
import time
import traceback
from pathlib import Path
from types import TracebackType

import luigi

from tasks.core.errors import HairlineError

_PLAIN_EVERY_S = 5.0
_BAR_EVERY_S = 0.1
_BAR_CELLS = 24
_NAME_CELLS = 14
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


class Progress:
    """Counts steps of one stage: a bar on a terminal, otherwise a plain line every few seconds."""

    def __init__(self, stage: str, unit: str, label: str = "") -> None:
        self.stage, self.unit, self.label = stage, unit, label
        self.started = self.shown = time.monotonic()
        self.first = 0
        # bars of two worker processes would overwrite each other
        self.bar = sys.stderr.isatty() and multiprocessing.parent_process() is None
        self.dirty = False

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.shown < (_BAR_EVERY_S if self.bar else _PLAIN_EVERY_S) and not (self.bar and done == total):
            return
        self.shown = now
        rate = (done - self.first) / max(now - self.started, 1e-9)
        left = duration((total - done) / rate) if rate > 0 else "?"
        text = f"{self.label}{done:,}/{total:,}  {rate:,.1f} {self.unit}/s  {left} left"
        self._show(text, done / max(total, 1))

    def start_at(self, done: int) -> None:
        """Steps that were already there do not count for the rate."""
        self.first = done

    def _show(self, text: str, share: float) -> None:
        if not self.bar:
            say(self.stage, text)
            return
        filled = round(share * _BAR_CELLS)
        bar = "█" * filled + "·" * (_BAR_CELLS - filled)
        sys.stderr.write(f"\r\033[K{self.stage:<{_NAME_CELLS}} {bar} {text}")
        sys.stderr.flush()
        self.dirty = True

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.dirty:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


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
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        return "processor unknown"
    return names[0] if names else "processor unknown"
