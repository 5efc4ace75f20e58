"""One file from the web, whole or not at all: it goes on where it was cut, and compares its checksum."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO, Any

from tasks.core import files
from tasks.core.errors import StageError

_CHUNK_BYTES = 1 << 18
_AGENT = "hairline"
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # answers that may be another one in a minute


class _CutError(Exception):
    """Something that may go better at the next try."""


@dataclass(frozen=True)
class Wanted:
    """What to download, and how much patience and room there is for it."""

    url: str
    sha256: str  # "": unknown
    timeout_s: float
    retries: int  # in a row that bring nothing new
    wait_s: float  # before the first of them; doubled for each further one
    max_bytes: int


@dataclass(frozen=True)
class _Notes:
    """What is known of a file that is there in part; only of the same file may the rest be asked for."""

    url: str
    version: str  # the server's word for it: a strong ETag, or a date
    total: int  # bytes; -1: the server did not say


Tell = Callable[[int, int], None]  # bytes so far, bytes in all (-1: unknown)


def download(wanted: Wanted, target: Path, tell: Tell, say: Callable[[str], None]) -> str:
    """Fetches the file to `target` and returns its sha256; what a killed or cut try brought is used by the next."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _Partial(target)
    if target.exists() and partial.notes(wanted).url == wanted.url:  # of a run that was killed after downloading
        return files.sha256(target)
    failures = most = 0
    while True:
        try:
            partial.receive(wanted, tell)
            return partial.finish(wanted)
        except _CutError as cut:
            failures = 1 if partial.size() > most else failures + 1
            most = max(most, partial.size())
            if failures > wanted.retries:
                kept = f"{partial.size() / 1e6:.1f} MB are kept, and the same command goes on from there"
                raise StageError(f"{wanted.url}: {cut}; gave up after {failures} tries in a row: {kept}") from None
            wait_s = wanted.wait_s * 2 ** (failures - 1)
            say(f"{cut}; tries again in {wait_s:g} s, from {partial.size() / 1e6:.1f} MB on")
            time.sleep(wait_s)


class _Partial:
    """`<target>.partial` and, beside it, what it is a part of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}{files.PARTIAL}")
        self.side = target.with_name(f"{target.name}{files.PARTIAL}.json")
        self.patched = True  # whether it was put together from several answers of the server

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.side.unlink(missing_ok=True)

    def notes(self, wanted: Wanted) -> _Notes:
        """What is known of the part that is there; a part that nothing vouches for is dropped."""
        try:
            notes = _Notes(**files.read_json(self.side))
        except (OSError, ValueError, TypeError):
            notes = _Notes("", "", -1)
        if notes.url != wanted.url or not (notes.version or wanted.sha256):
            self.drop()
        return notes

    def receive(self, wanted: Wanted, tell: Tell) -> None:
        """One request for all that is missing, written as it comes."""
        notes, have = self.notes(wanted), self.size()
        if have and have == notes.total:
            return  # killed just before the end
        with _asked(wanted, have, notes.version, self.drop) as answer:
            start, total = _place(answer, have)
            if start and (start != have or total != notes.total or _version(answer.headers) != notes.version):
                self.drop()
                raise _CutError("the file there was changed meanwhile")
            if total > wanted.max_bytes:
                raise _too_big(wanted)
            self._begin(_Notes(wanted.url, _version(answer.headers), total), start)
            self._write(answer, wanted, start, total, tell)

    def _begin(self, notes: _Notes, start: int) -> None:
        self.patched = start > 0
        if not self.patched:
            self.drop()
            files.write_json(self.side, vars(notes))

    def _write(self, answer: Any, wanted: Wanted, start: int, total: int, tell: Tell) -> None:
        done = start
        with self.path.open("ab") as stream:
            while chunk := _read(answer):
                done += len(chunk)
                if done > wanted.max_bytes:
                    raise _too_big(wanted)
                stream.write(chunk)
                tell(done, total)
        if 0 <= total != done:
            raise _CutError(f"the connection was cut after {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    def finish(self, wanted: Wanted) -> str:
        """The checksum is compared before the file gets its name."""
        if not self.size():
            self.drop()
            raise StageError(f"{wanted.url}: the server sent an empty file; look at the address in the settings")
        found = files.sha256(self.path)
        if wanted.sha256 and found != wanted.sha256:
            self.drop()
            if self.patched:  # of pieces of two files, perhaps
                raise _CutError("the pieces do not make the file whose sha256 the settings name")
            raise StageError(
                f"{wanted.url}: its sha256 is {found}, but the settings say {wanted.sha256}; nothing was kept: "
                "find out which is right, and correct [Fetch] sha256 if the file is"
            )
        files.flush(self.path)
        self.path.rename(self.target)
        return found


def _asked(wanted: Wanted, have: int, version: str, drop: Callable[[], None]) -> Any:
    """The server's answer to a request for everything from byte `have` on."""
    request = urllib.request.Request(wanted.url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if version:
            request.add_header("If-Range", version)
    try:
        return urllib.request.build_opener(_StaysSecure()).open(request, timeout=wanted.timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # what is there is longer than what the server has now
            drop()
        if error.code in (*_PASSING, 416):
            raise _CutError(f"the server answers {error.code} {error.reason}") from None
        raise StageError(
            f"{wanted.url}: the server answers {error.code} {error.reason}; look at the address in a browser, "
            "and correct [Fetch] url"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", error)
        raise _CutError(f"no connection ({why or type(error).__name__})") from None


class _StaysSecure(urllib.request.HTTPRedirectHandler):
    """Follows the server elsewhere, but not from https to anything that others could change on its way."""

    def redirect_request(  # the signature is the library's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise StageError(f"{req.full_url}: leads to {newurl}, which is not secure; correct [Fetch] url")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _read(answer: Any) -> bytes:
    try:
        chunk: bytes = answer.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _CutError(f"the connection was cut ({error or type(error).__name__})") from None
    return chunk


def _place(answer: Any, have: int) -> tuple[int, int]:
    """(first byte of the answer, bytes of the whole file or -1); a server may ignore what part was asked for."""
    if answer.status == 206:
        span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = span.partition("-")[0]
        return (int(start) if start.isdigit() else -1), (int(total) if total.isdigit() else -1)
    length = answer.headers.get("Content-Length", "")
    return 0, (int(length) if length.isdigit() else -1)


def _version(headers: Any) -> str:
    """A strong ETag, else the date of the last change; weak ETags do not promise the same bytes."""
    tag = str(headers.get("ETag", ""))
    return tag if tag.startswith('"') else str(headers.get("Last-Modified", ""))


def _too_big(wanted: Wanted) -> StageError:
    return StageError(
        f"{wanted.url}: more than {wanted.max_bytes / 1e6:,.0f} MB; raise [Fetch] max_download_mb if that is right"
    )
