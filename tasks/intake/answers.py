"""answers.csv: one line an answer, only ever added to; the last line about an image and a tile stands."""

from __future__ import annotations

import csv
import fcntl
import io
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from tasks.core.errors import SettingsError
from tasks.core.files import flush

ANSWERS = ("crack", "no_crack", "skip", "undone")
COLUMNS = ["image", "tile", "answer", "when"]

_HEADER = (",".join(COLUMNS) + "\n").encode()
_TILE = re.compile(r"(\d+ \d+ \d+ \d+)?")
_TEXT = "'"  # what a spreadsheet, too, takes for "this is text, no formula"
_NO_TEXT = ("=", "+", "-", "@", "\t", _TEXT)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_MEANT = {escape[1]: letter for letter, escape in _ESCAPES.items()}

Key = tuple[str, str]  # image, tile


class AnswerStore:
    """Tabs, threads and processes may append, as many as there are; none of their answers is lost."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reading = Lock()
        self._seen: tuple[int, int, int] | None = None
        self._known: dict[Key, str] = {}

    def answers(self) -> dict[Key, str]:
        """The standing answers, the last given last; a half line at the end of the file is none."""
        with self._reading:
            try:
                found = self.path.stat()
            except FileNotFoundError:
                return {}
            seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            if seen != self._seen:
                self._known, self._seen = self._parsed(self.path.read_bytes()), seen
            return dict(self._known)

    def append(self, image: str, tile: str, answer: str) -> None:
        """It is on the disk when this returns; when this raises, the file is as it was."""
        if answer not in ANSWERS or not _TILE.fullmatch(tile):
            allowed = f"{', '.join(ANSWERS)} for a tile 'left top right bottom' or ''"
            raise ValueError(f"{answer!r} was given for tile {tile!r}; allowed are {allowed}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = _healing(descriptor)
            _write(descriptor, before + _line(image, tile, answer))
        finally:
            os.close(descriptor)
        if before.endswith(_HEADER):
            flush(self.path.parent)  # its name is on the disk, too

    def _parsed(self, content: bytes) -> dict[Key, str]:
        *lines, rest = _text(content).split("\n")
        known: dict[Key, str] = {}
        reader = csv.reader(lines)
        for row in reader:
            if reader.line_num == 1:
                self._check_header(row)
            elif row:
                _note(known, self._checked(row, reader.line_num))
        if lines and _is_complete(rest):
            _note(known, next(csv.reader([rest])))
        return known

    def _check_header(self, row: list[str]) -> None:
        if row != COLUMNS:
            raise SettingsError(
                f"{self.path} begins with {','.join(row)[:80]!r}; answers begin with {','.join(COLUMNS)!r}: "
                "name another file, or give this one its first line"
            )

    def _checked(self, row: list[str], number: int) -> list[str]:
        if len(row) < 3 or row[2] not in ANSWERS:
            raise SettingsError(
                f"{self.path}, line {number}: {','.join(row)[:80]!r} is no answer; allowed are "
                f"{', '.join(ANSWERS)} after image and tile: correct the line or delete it"
            )
        return row


def _note(known: dict[Key, str], row: list[str]) -> None:
    """Moved to the end, for it is the last one now."""
    key = (_meant(row[0]), row[1])
    known.pop(key, None)
    known[key] = row[2]


def _text(content: bytes) -> str:
    """Names that are no UTF-8 come back as they were; a mark that Excel puts first is no part of the header."""
    return content.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def _line(image: str, tile: str, answer: str) -> bytes:
    stream = io.StringIO()
    when = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    csv.writer(stream, lineterminator="\n").writerow([_written(image), tile, answer, when])
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _written(name: str) -> str:
    """No cell that a spreadsheet would compute, and no line break: `=1+1` → `'=1+1`."""
    if not name.startswith(_NO_TEXT) and "\n" not in name and "\r" not in name:
        return name
    return _TEXT + "".join(_ESCAPES.get(letter, letter) for letter in name)


def _meant(cell: str) -> str:
    if not cell.startswith(_TEXT):
        return cell
    return re.sub(r"\\(.)", lambda found: _MEANT.get(found[1], found[0]), cell[1:])


def _is_complete(line: str) -> bool:
    """Whether a line without its end, cut when the writer was killed, still says which answer was given."""
    row = next(csv.reader([line]), [])
    return len(row) >= 3 and row[2] in ANSWERS


def _healing(descriptor: int) -> bytes:
    """What must be written before the next line; half a line, which nobody was told is saved, is cut off."""
    content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    whole, newline, rest = content.rpartition(b"\n")
    if not newline and _HEADER.startswith(rest):
        os.ftruncate(descriptor, 0)
        return _HEADER
    if not rest:
        return b""
    if _is_complete(_text(rest)) or not newline:
        return b"\n"
    os.ftruncate(descriptor, len(whole) + 1)
    return b""


def _write(descriptor: int, content: bytes) -> None:
    """All of it, or nothing."""
    start = os.fstat(descriptor).st_size
    try:
        while content:  # a disk that is nearly full takes less than it is given, before it refuses
            content = content[os.write(descriptor, content) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, start)
        raise
