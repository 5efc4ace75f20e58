"""RulerSheet: a page of lines of known width, to print and photograph beside a crack."""

from __future__ import annotations

from pathlib import Path

from tasks.core import files
from tasks.core.errors import SettingsError
from tasks.core.parameters import name_of
from tasks.core.question import Question


class RulerSheet(Question):
    """`luigi --module tasks RulerSheet --out sheet.pdf`; print it at 100 %, and check its bar of 100 mm."""

    dataset = name_of("not used")
    out = name_of("the PDF to write; '' = ruler-sheet.pdf")

    def answer(self) -> None:
        from pipeline.reports.ruler_sheet import ruler_sheet

        path = Path(self.out or "ruler-sheet.pdf").expanduser().absolute()
        if path.suffix.lower() != ".pdf":
            raise SettingsError(f"--out {self.out}: the sheet is a PDF; give a name that ends with .pdf")
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(path, ruler_sheet())
        print(f"{path}\nprint it at 100 %, and check the bar of 100 mm with a ruler", flush=True)
