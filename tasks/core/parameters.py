"""What the command line can say of a task: its axes, and the knobs of its settings section."""

from __future__ import annotations

from collections.abc import Iterable

import luigi

from pipeline.knobs.ranges import fields, in_words
from tasks.core.cache import canonical
from tasks.core.errors import one_of

_EMPTY = '""'  # how the command line hands on an empty text, which Luigi would take for nothing at all


class KnobParameter(luigi.Parameter[str | None]):
    """A knob on the command line, as text; None: as the settings files say."""

    def __init__(self, description: str) -> None:
        super().__init__(default=None, positional=False, description=description)

    @classmethod
    def _parser_kwargs(cls, param_name: str, task_name: str | None = None) -> dict[str, object]:
        return {**super()._parser_kwargs(param_name, task_name), "type": lambda text: text or _EMPTY}

    def parse(self, x: str) -> str:
        return "" if x == _EMPTY else x

    def normalize(self, x: object) -> str | None:
        return x if x is None or isinstance(x, str) else canonical(x)

    def _warn_on_wrong_param_type(self, param_name: str, param_value: object) -> None:
        """Any type is welcome: `normalize` makes texts of them all."""


class Choice(luigi.Parameter[str]):
    """An axis with a list of allowed names; '' is allowed where it is the default: none, or the usual one."""

    def __init__(self, allowed: Iterable[str], what: str, *, default: str | None = None) -> None:
        self.allowed, self.what, self.blank = tuple(allowed), what, default == ""
        words = "|".join(self.allowed)
        if default is None:
            super().__init__(description=words, positional=False)
        else:
            super().__init__(description=words, positional=False, default=default)

    def normalize(self, x: object) -> str:
        if not (x == "" and self.blank):
            one_of(str(x), self.allowed, self.what)
        return str(x)


def name_of(words: str) -> luigi.Parameter[str]:
    """An axis that may be left out: the name of a data set, an image …"""
    return luigi.Parameter(default="", positional=False, description=words)


# one object each serves every task that has the parameter
DATASET = luigi.Parameter(description="a file configs/<dataset>.toml", positional=False)
RECIPE = name_of("a file configs/recipes/<recipe>.toml; '' = the one that the data set's file names")
VARIANT = name_of("a [variants.<name>] of the settings, or Section.knob=value;…, or both: <name>;Section.knob=value")


def give_knobs(cls: type, schema: type) -> None:
    """One command-line option for each knob of a section."""
    for name, annotation in fields(schema).items():
        if hasattr(cls, name):
            raise TypeError(f"{cls.__name__} has an attribute {name!r} already; choose another name for the knob")
        parameter = KnobParameter(in_words(annotation))
        setattr(cls, name, parameter)
        parameter.__set_name__(cls, name)


def told(cls: type[luigi.Task], schema: type) -> dict[str, str]:
    """The knobs of a section that the command line sets for a stage, without making one."""
    texts = {
        name: parameter.task_value(cls.get_task_family(), name)
        for name, parameter in cls.get_params()
        if name in fields(schema)
    }
    return {name: text for name, text in texts.items() if text is not None}


def given(task: luigi.Task, schema: type) -> dict[str, str]:
    """The knobs of a section that the command line sets, as texts."""
    texts = {name: getattr(task, name) for name in fields(schema)}
    return {name: text for name, text in texts.items() if text is not None}
