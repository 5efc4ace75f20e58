"""A zip or tar archive → a folder. Every member is checked before anything is written, nothing is unpacked twice."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import re
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from tasks.core import cache, console, files
from tasks.core.errors import StageError
from tasks.intake.archive_members import COPY_BYTES, Member, RefusedError, Rules, opened, suffix_of

_STEM_CHARS = 80
_NAME_CHARS = 16  # of the checksum, in the name of the folder
_DAMAGE = (  # what Python's readers raise at bytes that make no sense
    EOFError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class RefusedArchiveError(StageError):
    """It is the archive's fault, not the disk's."""


class _Limits(Protocol):
    """Anything that knows the three limits: the settings of Fetch do."""

    @property
    def max_unpacked_mb(self) -> int: ...
    @property
    def max_ratio(self) -> float: ...
    @property
    def max_files(self) -> int: ...


def is_archive(path: Path) -> bool:
    """Whether the name says that it can be unpacked here."""
    return suffix_of(path) != ""


def unpacked_within(path: Path, into: Path, limits: _Limits) -> Path:
    """`unpacked` with the limits of the [Fetch] settings."""
    max_bytes = limits.max_unpacked_mb * 10**6
    return unpacked(path, into, max_bytes=max_bytes, max_ratio=limits.max_ratio, max_files=limits.max_files)


def unpacked(path: Path, into: Path, *, max_bytes: int, max_ratio: float, max_files: int) -> Path:
    """The folder in `into` that holds the archive's members; made at the first call, found at every later one.

    Its name contains the archive's checksum, so that a changed archive gets another folder. It appears whole.
    """
    if not path.is_file():
        raise StageError(f"there is no archive {path}; correct the path, or get the archive again")
    with _in_words(path):
        folder = into / f"{_stem(path)}-{_remembered_sha256(path, into)[:_NAME_CHARS]}"
        if folder.is_dir():
            return folder
        with cache.locked(cache.Entry(folder, ""), lambda text: console.say("Archive", f"{path.name} {text}")):
            if not folder.is_dir():
                _unpack(path, folder, Rules(max_bytes, max_ratio, max_files, path.stat().st_size))
    return folder


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Whatever stops the unpacking, as one sentence."""
    try:
        yield
    except RefusedError as error:
        why = str(error)
    except _DAMAGE as error:
        why = f"damaged or cut off ({error or 'its end is missing'})"
    except OSError as error:
        if error.errno is not None:  # of the disk, not of the archive
            raise StageError(cache.say_os_error(error, path, path.stat().st_size)) from error
        why = f"damaged or cut off ({error})"
    else:
        return
    raise RefusedArchiveError(f"{path}: {why}; nothing was unpacked: get the archive again, or mend it")


def _stem(path: Path) -> str:
    """The archive's name without its suffix, in letters that are safe for files."""
    stem = path.name[: len(path.name) - len(suffix_of(path))]
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", stem)[:_STEM_CHARS].strip(".") or "data"


def _remembered_sha256(path: Path, into: Path) -> str:
    """The archive's checksum; read only when size, time or inode of the archive are new."""
    status = path.stat()
    facts = [status.st_size, status.st_mtime_ns, status.st_ino]
    side = into / f".sha256-{hashlib.sha256(str(path.absolute()).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    with contextlib.suppress(OSError, ValueError, TypeError):
        *known, digest = files.read_json(side)
        if known == facts:
            return str(digest)
    into.mkdir(parents=True, exist_ok=True)
    digest = files.sha256(path)
    files.write_json(side, [*facts, digest])
    return digest


def _unpack(path: Path, folder: Path, rules: Rules) -> None:
    """All members into a temporary sibling, which is renamed when the last one is on the disk."""
    draft = folder.with_name(f".draft-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)  # of a killed run
    try:
        with path.open("rb") as stream, opened(path, stream, rules) as members:
            draft.mkdir(parents=True)
            with console.Progress("Archive", "files") as progress:
                for done, member in enumerate(members, start=1):
                    _write(member, draft)
                    progress(done, len(members))
        os.sync()  # once for all of them: a power failure must not leave empty files under a finished name
        draft.rename(folder)
        files.flush(folder.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(member: Member, draft: Path) -> None:
    """Our own copy, so that neither links nor owners nor permissions of the archive have any effect."""
    target = draft.joinpath(*member.parts)
    if member.kind == "folder":
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with member.open() as source, target.open("xb") as copy:
        while chunk := source.read(COPY_BYTES):
            written += len(chunk)
            if written > member.size:
                break
            copy.write(chunk)
    if written != member.size:
        raise RefusedError(f"member {member.name!r} has not the {member.size:,} bytes that the archive states")
