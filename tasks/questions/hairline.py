"""`hairline predict --images photos`: the verbs of people with photos, without a word about what runs them."""

from __future__ import annotations

import sys
import textwrap

from luigi.task_register import Register

from tasks.core.errors import HairlineError, one_of

_VERBS = {
    "start": "look at a folder of photos and write its settings file",
    "answer": "open the page that asks: crack or no crack?",
    "run-all": "train a network from the answers, and all tables",
    "predict": "masks, overlays, lengths and widths of new photos, and a report",
    "export": "one file of weights to share, and ONNX",
    "ruler-sheet": "a page of lines of known width to print and photograph",
    "plan": "what would run, and why; runs nothing",
}
_WIDE, _NAME_CELLS = 100, 26


def main() -> None:
    """Turns a verb into a task and hands over; everything behind the verb stays as it is."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        listed = "".join(f"  hairline {verb:<12} {what}\n" for verb, what in _VERBS.items())
        print(f"Yes/no answers → crack masks, lengths, widths.\n\n{listed}\nhairline predict --help: options of a verb")
        return
    import luigi.cmdline

    from tasks import NAMES
    from tasks.questions.start import SLIP, start

    try:
        one_of(words[0], _VERBS, "verb")
    except HairlineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(SLIP) from None
    task = "".join(part.capitalize() for part in words[0].split("-"))
    if "--help" in words or "-h" in words:
        print(_help(words[0], task))
        return
    sys.argv = ["luigi", "--module", "tasks", task, *words[1:]]
    start(sys.argv, NAMES)
    luigi.cmdline.luigi_run(sys.argv[1:])  # its own default is what was there at import


def _help(verb: str, task: str) -> str:
    """Its own options; those of every stage have its name in front and are in configs/recipes/paper.toml."""
    lines = [f"hairline {verb}: {_VERBS[verb]}", ""]
    for name, parameter in sorted(Register.get_task_cls(task).get_params(), key=lambda pair: pair[0]):
        option = f"  --{name.replace('_', '-')}"
        told = textwrap.wrap(parameter.description or "", _WIDE - _NAME_CELLS) or [""]
        lines.append(f"{option:<{_NAME_CELLS}} {told[0]}")
        lines += [f"{'':<{_NAME_CELLS}} {line}" for line in told[1:]]
    return "\n".join([*lines, "", "  and --Stage-knob VALUE for every number in configs/recipes/paper.toml"])


if __name__ == "__main__":
    main()
