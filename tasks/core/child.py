"""A stage computes in a child process of its own: its memory goes back, its death is one sentence."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable

from tasks.core import cache
from tasks.core.errors import HairlineError, StageError
from tasks.core.settings import outputs_folder

_PR_SET_PDEATHSIG = 1
_HEAVY = ("torch", "torchvision", "cv2", "numba", "pandas")
_POLL_S = 0.02
_PIPE_BYTES = 60_000  # what a pipe holds although nobody reads it yet
_FAILED, _UNEXPECTED = 1, 2


def die_with_parent() -> None:
    """Asks Linux to kill this process when its parent dies, so that no orphan computes on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def preload() -> None:
    """Imports the heavy libraries before the fork: seconds saved per stage. It computes nothing, since torch that
    has computed in the parent hangs its forked children."""
    for name in _HEAVY:
        importlib.import_module(name)


def run_in_child(name: str, compute: Callable[[], None], time_limit_s: float) -> None:
    """Runs `compute` in a forked child; raises a StageError with its sentence when it fails or dies."""
    preload()
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # Python warns of idle threads of numerical libraries; those libraries handle the fork themselves
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(compute, writer)
    os.close(writer)
    try:
        status = _wait(pid, time_limit_s)
    except BaseException:
        _kill_group(pid)
        raise
    with os.fdopen(reader, "rb") as stream:
        message = stream.read().decode("utf-8", "replace")
    _judge(name, status, message, time_limit_s)


def _child(compute: Callable[[], None], writer: int) -> None:
    code = _UNEXPECTED
    try:
        os.setpgid(0, 0)
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        compute()
        code = 0
    except HairlineError as error:
        os.write(writer, str(error).encode()[:_PIPE_BYTES])
        code = _FAILED
    except OSError as error:  # a full disk, mostly
        os.write(writer, cache.say_os_error(error, outputs_folder()).encode()[:_PIPE_BYTES])
        code = _FAILED
    except BaseException as error:
        traceback.print_exc()
        os.write(writer, f"unexpected {type(error).__name__}: {error}".encode()[:_PIPE_BYTES])
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, time_limit_s: float) -> int:
    started = time.monotonic()
    while True:
        done, status = os.waitpid(pid, os.WNOHANG if time_limit_s else 0)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - started > time_limit_s:
            _kill_group(pid)
            os.waitpid(pid, 0)
            raise StageError(
                f"stopped after its time limit of {time_limit_s:g} s; raise [Execution] time_limit_s (0: no limit)"
            )
        time.sleep(_POLL_S)


def _kill_group(pid: int) -> None:
    """Ends a child and all of its own children."""
    for target in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            target(pid, signal.SIGKILL)


def _judge(name: str, code: int, message: str, time_limit_s: float) -> None:
    if code < 0:
        hint = " (out of memory? lower processes or batch_size)" if code == -signal.SIGKILL else ""
        raise StageError(f"{name} was killed by signal {-code}{hint}; the same command goes on where it stopped")
    if code != 0:
        raise StageError(f"{name}: {message or f'ended with exit code {code} and without a result'}")
