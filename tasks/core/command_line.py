"""Reads the command line before Luigi does, so that every slip is answered in one sentence and before any work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.task_register import Register

from pipeline import knobs
from pipeline.knobs.ranges import nearest
from tasks.core.errors import SettingsError
from tasks.core.settings import Experiment, known, parse
from tasks.core.settings_file import SettingsFile

Groups = Mapping[str, Sequence[str]]  # what is offered → the tasks that a user may name


def is_luigi(argv: Sequence[str]) -> bool:
    """Whether this process was started as `luigi --module tasks …`."""
    pairs = list(zip(argv, [*argv[1:], ""], strict=True))
    named = ("--module", "tasks") in pairs or "--module=tasks" in argv
    return Path(argv[0]).name in ("luigi", "luigi.exe") and named


@dataclass(frozen=True)
class _Flag:
    """An option: of which task it is a parameter."""

    task: str
    name: str
    parameter: luigi.Parameter[str]

    @property
    def is_switch(self) -> bool:
        return isinstance(self.parameter, luigi.BoolParameter)

    def schema(self) -> type | None:
        """The settings section whose knob it is."""
        schema = knobs.SECTIONS.get(self.task)
        return schema if schema and self.name in knobs.fields(schema) else None


@contextlib.contextmanager
def root_task(argv: Sequence[str], groups: Groups) -> Iterator[luigi.Task]:
    """The task that is asked for, while all that the command line says of it and of others is in force.

    Raises a SettingsError for an unknown task, option, data set, recipe, or a value out of range.
    """
    words = list(argv[1:])
    root = _root(words, groups)
    flags = _flags(root)
    given = _options(words, flags, root)
    _check_values(root, flags, given)
    try:
        with CmdlineParser.global_instance(words, allow_override=True) as parser:
            yield parser.get_task_obj()
    except luigi.parameter.ParameterException as error:
        raise SettingsError(str(error)) from error


def _flags(root: str) -> dict[str, _Flag]:
    """All options; those of the root also under their short names."""
    found = {}
    for task, bare, name, parameter in Register.get_all_params():
        flag = _Flag(task, name, parameter)
        found[f"--{(name if bare else f'{task}_{name}').replace('_', '-')}"] = flag
        if task == root:
            found[f"--{name.replace('_', '-')}"] = flag
    return found


def _root(words: Sequence[str], groups: Groups) -> str:
    """The first word that is neither an option nor an option's value."""
    flags, tasks = _flags(""), [name for names in groups.values() for name in names]
    for word, is_bare in _marked(words, flags):
        if is_bare:
            if word not in tasks:
                raise SettingsError(f"there is no task {word!r}; {nearest(word, tasks)}")
            return word
    listed = "".join(f"\n  {what + ':':<14} {', '.join(names)}" for what, names in groups.items())
    raise SettingsError(f"no task is named; start with: luigi --module tasks RunAll --dataset demo{listed}")


def _marked(words: Sequence[str], flags: Mapping[str, _Flag]) -> Iterator[tuple[str, bool]]:
    """Every word, and whether it stands for itself: it is neither an option nor the value of the one before it."""
    value_follows = False
    for word in words:
        is_option = word.startswith("--")
        yield word, not is_option and not value_follows
        flag = flags.get(word)
        value_follows = is_option and "=" not in word and not (flag and flag.is_switch)


def _options(words: Sequence[str], flags: Mapping[str, _Flag], root: str) -> dict[str, str]:
    """Flag → value of every option; the value is '' for a switch."""
    found: dict[str, str] = {}
    bare = [word for word, is_bare in _marked(words, flags) if is_bare]
    if len(bare) > 1:
        hint = f"did you mean --dataset {bare[1]}?" if bare[1] in known("dataset") else f"{root} takes options only"
        raise SettingsError(f"{bare[1]!r} is neither an option nor the value of one; {hint}")
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            if flag not in flags:
                raise SettingsError(f"there is no option {flag}; {nearest(flag, flags)}")
            found[flag] = value if equals else "" if flags[flag].is_switch else following
    return found


def _check_values(root: str, flags: Mapping[str, _Flag], given: Mapping[str, str]) -> None:
    """What must be there, and the settings of the named data set, all of them, whichever stage will need them."""
    for name, parameter in Register.get_task_cls(root).get_params():
        flag = f"--{name.replace('_', '-')}"
        if flag not in given and not parameter.has_task_value(root, name):
            allowed = ", ".join(known("dataset")) if name == "dataset" else parameter.description
            raise SettingsError(f"{root} needs {flag}; allowed: {allowed}")
    texts: dict[type, dict[str, str]] = {schema: {} for schema in knobs.SECTIONS.values()}
    for flag, value in given.items():
        schema = flags[flag].schema()
        if schema:
            parse(flags[flag].task, flags[flag].name, value)
            texts[schema][flags[flag].name] = value
    if "--dataset" in given and not getattr(Register.get_task_cls(root), "new_dataset", False):
        if not given["--dataset"]:
            SettingsFile.of("dataset", "")  # which says what a name is like
        named = (given.get(f"--{name}", "") for name in ("dataset", "recipe", "variant"))
        experiment = Experiment(*named)
        for schema, told in texts.items():
            experiment.resolve(schema, told)
