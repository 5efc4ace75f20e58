"""`hairline predict --images photos`: the verbs of people with photos, without a word about what runs them."""

from __future__ import annotations

import sys

_VERBS = {
    "start": "look at a folder of photos and write its settings file",
    "answer": "open the page that asks: crack or no crack?",
    "run-all": "train a network from the answers, and all tables",
    "predict": "masks, overlays, lengths and widths of new photos, and a report",
    "export": "one file of weights to share, and ONNX",
    "ruler-sheet": "a page of lines of known width to print and photograph",
    "plan": "what would run, and why; runs nothing",
}


def main() -> None:
    """Turns a verb into a task and hands over; everything behind the verb stays as it is."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        listed = "".join(f"  hairline {verb:<12} {what}\n" for verb, what in _VERBS.items())
        print(f"Yes/no answers → crack masks, lengths, widths.\n\n{listed}\nhairline predict --help: options of a verb")
        return
    import luigi.cmdline

    from tasks import NAMES
    from tasks.questions.start import start

    task = "".join(part.capitalize() for part in words[0].split("-"))
    sys.argv = ["luigi", "--module", "tasks", task, *words[1:]]
    start(sys.argv, NAMES)
    luigi.cmdline.luigi_run()


if __name__ == "__main__":
    main()
