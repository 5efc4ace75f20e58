"""A process that has imported everything and computed nothing: a command starts as a fork of it, without the seconds
that importing torch takes. What runs there is what the command `luigi` runs, in a process of its own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

ROOT = Path(__file__).resolve().parent.parent


class Warm:
    """Starts the process at the first command."""

    def __init__(self) -> None:
        self.server: subprocess.Popen[bytes] | None = None

    def run(self, words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run` with captured texts."""
        if self.server is None:
            command = [sys.executable, "-m", "tests.warm"]
            self.server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        server = self.server
        with tempfile.TemporaryDirectory() as folder:
            told = [Path(folder) / name for name in ("stdout", "stderr")]
            _send(server.stdin, (words, env, *map(str, told)))
            code = _receive(server.stdout)
            out, err = (path.read_text(encoding="utf-8") for path in told)
        return subprocess.CompletedProcess(words, code, out, err)

    def stop(self) -> None:
        if self.server is not None:
            self.server.communicate()
            self.server = None


def _send(stream: Any, thing: object) -> None:
    content = pickle.dumps(thing)
    stream.write(len(content).to_bytes(8, "big") + content)
    stream.flush()


def _receive(stream: Any) -> Any:
    """None at the end of the stream."""
    size = stream.read(8)
    return pickle.loads(stream.read(int.from_bytes(size, "big"))) if size else None


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    import tasks  # noqa: F401
    from tasks.core import child

    child.preload()
    while (request := _receive(requests)) is not None:
        pid = os.fork()
        if pid == 0:
            _command(*request)
        _send(answers, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _command(words: list[str], env: dict[str, str], out: str, err: str) -> None:
    """In the fork: becomes the command, and ends as it would."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(env)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for path, descriptor in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
        sys.argv = words
        _luigi(words)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _luigi(words: list[str]) -> None:
    """What the console script does, and what importing `tasks` there does."""
    from luigi.cmdline import luigi_run

    import tasks
    from tasks.questions.start import start

    start(words, tasks.NAMES)
    luigi_run(words[1:])


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
