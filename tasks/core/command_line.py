"""Reads the command line before Luigi does, so that every slip is answered in one sentence and before any work."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

from luigi.task_register import Register

from pipeline import knobs
from tasks.core import settings
from tasks.core.errors import SettingsError, nearest


def is_luigi(argv: list[str]) -> bool:
    """Whether this process was started as `luigi --module tasks …`."""
    return Path(argv[0]).name in ("luigi", "luigi.exe") and "tasks" in _values(argv, "--module")


def _values(argv: list[str], flag: str) -> list[str]:
    """All values of a flag, given as `--flag value` or `--flag=value`."""
    pairs = [following for given, following in zip(argv, [*argv[1:], ""], strict=True) if given == flag]
    return pairs + [item.split("=", 1)[1] for item in argv if item.startswith(f"{flag}=")]


def check(argv: list[str]) -> None:
    """Raises a SettingsError for an unknown task, option, data set, recipe, or a value out of range."""
    flags = {f"--{_dashed(name if bare else f'{task}_{name}')}": (task, name) for task, bare, name, _ in _parameters()}
    tasks = {name for name in Register.task_names() if name[0].isupper()}
    root = _root(argv, tasks, flags)
    own = {f"--{_dashed(name)}": (root, name) for task, _, name, _ in _parameters() if task == root}
    given: dict[str, dict[str, str]] = {}
    for flag, value in _options(argv):
        if flag not in flags and flag not in own:
            raise SettingsError(f"there is no option {flag}; {nearest(flag, [*flags, *own])}")
        section, key = own.get(flag) or flags[flag]
        if section in knobs.SECTIONS and key in knobs.fields(knobs.SECTIONS[section]):
            settings.parse(section, key, value)
            given.setdefault(section, {})[key] = value
    _check_experiment(argv, given)


def _parameters() -> list[tuple[str, bool, str, object]]:
    return list(Register.get_all_params())


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _options(argv: list[str]) -> Iterator[tuple[str, str]]:
    """(flag, value) of every option; the value is '' for a switch."""
    for given, following in zip(argv, [*argv[1:], ""], strict=True):
        if given.startswith("--") and given not in ("--help", "--help-all"):
            flag, equals, value = given.partition("=")
            yield flag, value if equals else following


def _root(argv: list[str], tasks: set[str], flags: dict[str, tuple[str, str]]) -> str:
    """The task that is asked for: the first word that is neither an option nor an option's value."""
    for previous, word in itertools.pairwise(argv):
        takes_value = previous.startswith("--") and "=" not in previous and previous != "--local-scheduler"
        if word.startswith("-") or takes_value:
            continue
        if word not in tasks:
            raise SettingsError(f"there is no task {word!r}; {nearest(word, tasks)}")
        return word
    if any(word in ("--help", "--help-all") for word in argv):
        return ""
    raise SettingsError(f"no task is named; known: {', '.join(sorted(tasks))}")


def _check_experiment(argv: list[str], given: dict[str, dict[str, str]]) -> None:
    """The settings of the named data set, all of them, whichever stage will need them."""
    dataset, recipe, variant = (next(iter(_values(argv, f"--{name}")), "") for name in ("dataset", "recipe", "variant"))
    if dataset or "--dataset" in argv:
        for section in knobs.SECTIONS:
            settings.resolve(section, dataset, recipe, variant, given.get(section, {}))


def stop_with(error: SettingsError) -> None:
    print(f"error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(2)
