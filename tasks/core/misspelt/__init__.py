"""Installed under the name `task`, so that `luigi --module task …` is answered in one sentence and not by Luigi."""

import shlex
import sys

words = ["tasks" if word == "task" else word for word in sys.argv[1:]]
raise SystemExit(
    print(f"error: there is no module task; did you mean {shlex.join(['luigi', *words])}?", file=sys.stderr) or 2
)
