"""From the command line to Luigi's turn: every slip and every hole in the plan is told first, with exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import luigi
import luigi.configuration

from tasks.core import command_line, console, settings
from tasks.core.errors import HairlineError
from tasks.core.question import Question
from tasks.core.stage import Stage
from tasks.core.walk import walk
from tasks.reports.forecast import forecast_lines

SLIP = 2  # the exit code of what was never started


def start(argv: Sequence[str], groups: command_line.Groups) -> None:
    """Checks everything that can be checked before any work, and says what lies ahead."""
    luigi.configuration.add_config_path(str(settings.ROOT / "luigi.cfg"))  # also when started from another folder
    console.set_up_logging()
    if any(word in ("--help", "--help-all") for word in argv):
        return
    try:
        with command_line.root_task(argv, groups) as root:
            _plan(root)
    except HairlineError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(SLIP) from None


def _plan(root: luigi.Task) -> None:
    """Works out every key, which Luigi finds done; a finished stage says where it is."""
    if isinstance(root, Question):
        walk(*root.planned())
        ahead = root.ahead()
    elif isinstance(root, Stage):
        walk(root)
        ahead = [f"cached: {root.entry.folder}"] if root.complete() else forecast_lines(root)
        _say_where(root)
    for line in ahead:
        console.say(type(root).__name__, line)


def _say_where(root: Stage[object]) -> None:
    """Once it is computed."""

    @type(root).event_handler(luigi.Event.SUCCESS)
    def say(stage: Stage[object]) -> None:
        if stage is root:
            print(stage.entry.folder, flush=True)
