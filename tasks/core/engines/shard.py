"""One shard of a job, as a command: `python -m tasks.core.engines.shard FOLDER NUMBER`.

It needs nothing but the folder, so that any scheduler can run it, or a person. Started again it goes on.
"""

from __future__ import annotations

import itertools
import pickle
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tasks.core import files
from tasks.core.engines.handed import opened
from tasks.core.errors import HairlineError
from tasks.core.records import flush_all

ITEMS, RESULTS, FAILED = "items-{}.pickle", "results-{}-{}.pickle", "failed-{}.pickle"
_FIRST_TOLD_S, _LONGEST_UNTOLD_S = 2.0, 60.0


def work(folder: Path, number: int) -> None:
    """The results, part by part: soon after the beginning, then at longer and longer intervals."""
    items: Sequence[object] = pickle.loads((folder / ITEMS.format(number)).read_bytes())
    part, done = _there(folder, number)
    each = opened(folder.parent, int(folder.name)) if done < len(items) else None
    results: list[object] = []
    told, wait = time.monotonic(), _FIRST_TOLD_S
    for item in items[done:]:
        assert each
        results.append(each(item))
        if time.monotonic() - told > wait:
            _tell(folder, number, part, results)
            part, results = part + 1, []
            told, wait = time.monotonic(), min(2 * wait, _LONGEST_UNTOLD_S)
    _tell(folder, number, part, results)


def _there(folder: Path, number: int) -> tuple[int, int]:
    """(parts, results) that an earlier start of this shard told."""
    done = 0
    for part in itertools.count():
        path = folder / RESULTS.format(number, part)
        if not path.exists():
            return part, done
        done += len(pickle.loads(path.read_bytes()))
    raise AssertionError("numbers do not end")


def _tell(folder: Path, number: int, part: int, results: Sequence[object]) -> None:
    flush_all(folder)  # what was written is on the disk before anybody hears of it
    files.write_bytes(folder / RESULTS.format(number, part), pickle.dumps(results))


def main(folder: Path, number: int) -> int:
    try:
        work(folder, number)
    except Exception as error:
        if isinstance(error, HairlineError):
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        files.write_bytes(folder / FAILED.format(number), _as_told(error))
        return 1
    return 0


def _as_told(error: Exception) -> bytes:
    try:
        return pickle.dumps(error)
    except Exception:  # what cannot be sent is told
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
