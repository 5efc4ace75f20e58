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

from pipeline.knobs import FetchKnobs
from pipeline.layouts import on_disk
from tasks.core import cache, console, files, locks, notes
from tasks.core.errors import StageError
from tasks.intake.archive_members import Member, RefusedMemberError, Rules, is_hidden, opened, suffix_of

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


def is_archive(path: Path) -> bool:
    """Whether the name says that it can be unpacked here."""
    return suffix_of(path) != ""


def checksums(path: Path, limits: FetchKnobs) -> dict[str, str]:
    """The sha256 of every visible file in it, by the path that it has once unpacked; nothing is written but a note."""
    return {name: str(digest) for name, (digest, *_) in _looked_at(path, limits).items() if name}


def unpacked(path: Path, into: Path, limits: FetchKnobs) -> Path:
    """The folder with the archive's files; where one folder wraps all of them, that one."""
    _, wrapping = _looked_at(path, limits)[""]
    return unpacked_whole(path, into, limits) / str(wrapping)


def unpacked_whole(path: Path, into: Path, limits: FetchKnobs) -> Path:
    """The folder in `into` that holds the archive's members; made at the first call, found at every later one.

    Its name contains the archive's checksum, so that a changed archive gets another folder. It appears whole.
    """
    digest = str(_looked_at(path, limits)[""][0])
    folder = into / f"{_stem(path)}-{digest[:_NAME_CHARS]}"
    if not folder.is_dir():
        with _in_words(path), locks.locked(folder, lambda text: console.say("Archive", f"{path.name} {text}")):
            if not folder.is_dir():
                _unpack(path, folder, _rules(path, limits))
    return folder


def _looked_at(path: Path, limits: FetchKnobs) -> notes.Note:
    """[sha256] of every visible file; under "" [sha256 of the archive, the folder that wraps all files or ""].

    The archive is read only when its size, time or inode are new.
    """
    if not path.is_file():
        raise StageError(f"there is no archive {path}; correct the path, or get the archive again")
    status = path.stat()
    facts: list[object] = [status.st_size, status.st_mtime_ns, status.st_ino]
    name = f"archive-{hashlib.sha256(str(path.absolute()).encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"
    known = notes.read(name)
    if known.pop("facts", None) == facts:
        return known
    found: notes.Note = {}
    with _in_words(path), path.open("rb") as stream, opened(path, stream, _rules(path, limits)) as members:
        visible = [member for member in members if member.kind == "file" and not any(map(is_hidden, member.parts))]
        wrapping = on_disk.wrapping([member.parts for member in visible])
        with console.Progress("Archive", "files", "reads ") as progress:
            for done, member in enumerate(visible, start=1):
                found["/".join(member.parts[len(wrapping) :])] = [_checksum(member)]
                progress(done, len(visible))
    found[""] = [files.sha256(path), "/".join(wrapping)]
    notes.write(name, {**found, "facts": facts})
    return found


def _checksum(member: Member) -> str:
    digest = hashlib.sha256()
    for chunk in member.chunks():
        digest.update(chunk)
    return digest.hexdigest()


def _rules(path: Path, limits: FetchKnobs) -> Rules:
    return Rules(round(limits.max_unpacked_mb * 10**6), limits.max_ratio, limits.max_files, path.stat().st_size)


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Whatever stops the unpacking, as one sentence."""
    try:
        yield
    except RefusedMemberError as error:
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
    with target.open("xb") as copy:
        for chunk in member.chunks():
            copy.write(chunk)
