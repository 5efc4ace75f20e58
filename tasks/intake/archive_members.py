"""What lies in an archive: its members, each checked against every rule before the next one is looked at."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

SUFFIXES = {
    ".zip": "zip",
    ".tar": "tar",
    ".tar.gz": "gzip",
    ".tgz": "gzip",
    ".tar.bz2": "bzip2",
    ".tbz2": "bzip2",
    ".tar.xz": "xz",
    ".txz": "xz",
}
COPY_BYTES = 1 << 20
_NAME_BYTES = 255  # what Linux allows for one part of a path
_HEADER_BYTES = 1 << 20  # a single header that asks for more memory is an attack
_PADDING_BYTES = 1 << 24  # what may follow the last member of a tar: blocks of zeros
_BLOCK_BYTES = 512


class RefusedMemberError(Exception):
    """A rule that the archive breaks, and the member that breaks it."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive, with the means to read it."""

    name: str
    size: int
    kind: str  # "file", "folder", or in words what it is instead
    open: Callable[[], IO[bytes]]

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.name).parts

    def chunks(self) -> Iterator[bytes]:
        """The content of a file, which has as many bytes as the archive states."""
        read = 0
        with self.open() as source:
            while read <= self.size and (chunk := source.read(COPY_BYTES)):
                read += len(chunk)
                yield chunk if read <= self.size else b""
        if read != self.size:
            raise RefusedMemberError(f"member {self.name!r} has not the {self.size:,} bytes that the archive states")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's doing."""
    return name.startswith(".") or name in ("Thumbs.db", "__MACOSX")


def suffix_of(path: Path) -> str:
    """The longest known suffix of the name."""
    fitting = [suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)]
    return max(fitting, key=len, default="")


@contextlib.contextmanager
def opened(path: Path, stream: IO[bytes], rules: Rules) -> Iterator[list[Member]]:
    """The checked members of an archive, readable as long as the context lasts."""
    kind = SUFFIXES.get(suffix_of(path), "")
    found = _content(stream)
    if not kind:
        raise RefusedMemberError(f"not an archive by its name (its content is {found}); allowed: {', '.join(SUFFIXES)}")
    if found != kind:
        raise RefusedMemberError(f"named {suffix_of(path)}, but its content is {found}")
    if kind == "zip":
        with zipfile.ZipFile(stream) as archive:
            yield rules.check(_zip_members(archive))
    else:
        with _decompressed(kind, stream) as plain, _tar(plain) as tar:
            members = rules.check(_tar_members(tar))
            _check_end(tar, plain)
            yield members


_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"Rar!", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7-zip"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF"),
)


def _content(stream: IO[bytes]) -> str:
    """What the first bytes say; a download that failed is often a web page."""
    head = stream.read(_BLOCK_BYTES)
    stream.seek(0)
    if not head:
        return "empty"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar" or _is_old_tar(head):
        return "tar"
    return "a web page" if head.lstrip()[:1] == b"<" else "something else"


def _is_old_tar(head: bytes) -> bool:
    """A tar from before 1988 shows nothing but the right checksum in its first header."""
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        kind = "folder" if info.is_dir() else "file"
        if info.flag_bits & 1:
            kind = "encrypted"
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            kind = "a link" if stat.S_ISLNK(mode) else "a device or a pipe"
        yield Member(info.orig_filename, info.file_size, kind, functools.partial(archive.open, info))


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
    for info in tar:
        kind = "file" if info.isreg() else "folder" if info.isdir() else "a device or a pipe"
        if info.issym() or info.islnk():
            kind = "a link"
        yield Member(info.name, info.size, kind, functools.partial(_tar_file, tar, info))
        if hasattr(tarfile, "data_filter"):  # a second opinion after our own, where Python is new enough
            tarfile.data_filter(info, "/nowhere")


def _tar_file(tar: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = tar.extractfile(info)
    if found is None:
        raise RefusedMemberError(f"member {info.name!r} cannot be read")
    return found


@contextlib.contextmanager
def _decompressed(kind: str, stream: IO[bytes]) -> Iterator[IO[bytes]]:
    if kind == "tar":
        yield stream
        return
    opener: Any = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}[kind]
    with opener(stream, "rb") as plain:
        yield plain


def _tar(plain: IO[bytes]) -> tarfile.TarFile:
    guarded: Any = _Guarded(plain)
    return tarfile.open(fileobj=guarded, mode="r:")


class _Guarded:
    """A stream for tarfile, which would read a header of any stated length into memory."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise RefusedMemberError(f"a header of {size:,} bytes; allowed: at most {_HEADER_BYTES:,}")
        return self.stream.read(size)


def _check_end(tar: tarfile.TarFile, plain: IO[bytes]) -> None:
    """tarfile takes a cut or a bad header for the end; the true end is a block of zeros, and all after it is read
    so that a compressed stream compares its checksum."""
    plain.seek(tar.offset)
    if plain.read(_BLOCK_BYTES) != bytes(_BLOCK_BYTES):
        raise RefusedMemberError("damaged or cut off (the mark of its end is missing)")
    after = 0
    while chunk := plain.read(COPY_BYTES):
        after += len(chunk)
        if after > _PADDING_BYTES:
            raise RefusedMemberError(f"more than {_PADDING_BYTES:,} bytes follow its last member")


@dataclass(frozen=True)
class Rules:
    """What an archive must keep to, as a whole and member by member."""

    max_bytes: int
    max_ratio: float
    max_files: int
    archive_bytes: int

    def check(self, members: Iterable[Member]) -> list[Member]:
        """The members, after checking each before the next one is looked at."""
        checked: list[Member] = []
        total = 0
        taken: dict[tuple[str, ...], str] = {}
        for member in members:
            total += member.size
            self._check_amount(member, len(checked) + 1, total)
            _check_name(member)
            if member.parts:  # "./" is the folder itself
                _check_kind(member)
                _check_place(member, taken)
                checked.append(member)
        if not any(member.kind == "file" for member in checked):
            raise RefusedMemberError("no files in it")
        return checked

    def _check_amount(self, member: Member, count: int, total: int) -> None:
        at = f"member {member.name!r}: "
        if count > self.max_files:
            raise RefusedMemberError(f"{at}more than {self.max_files:,} members; see [Fetch] max_files")
        if total > self.max_bytes:
            raise RefusedMemberError(
                f"{at}{total:,} bytes unpacked, allowed: {self.max_bytes:,} ([Fetch] max_unpacked_mb)"
            )
        if total > self.max_ratio * self.archive_bytes:
            ratio = total / max(self.archive_bytes, 1)
            raise RefusedMemberError(
                f"{at}unpacks to {ratio:,.0f} times its size, allowed: {self.max_ratio:g} ([Fetch] max_ratio)"
            )


def _check_name(member: Member) -> None:
    name, parts = member.name, member.parts
    why = ""
    if not name or "\0" in name:
        why = "is no name"
    elif name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        why = "is an absolute path or one of another system"
    elif ".." in parts:
        why = "leads out of the folder (..)"
    elif any(len(part.encode("utf-8", "surrogateescape")) > _NAME_BYTES for part in parts):
        why = f"is longer than {_NAME_BYTES} bytes"
    if why:
        raise RefusedMemberError(f"member {name[:_NAME_BYTES]!r} {why}")


def _check_kind(member: Member) -> None:
    if member.kind not in ("file", "folder"):
        raise RefusedMemberError(f"member {member.name!r} is {member.kind}; allowed: plain files and folders")


def _check_place(member: Member, taken: dict[tuple[str, ...], str]) -> None:
    """One name, one member; no file is also a folder. `taken` grows by the member and the folders it lies in."""
    above = [member.parts[:length] for length in range(1, len(member.parts))]
    if any(taken.setdefault(folder, "folder") == "file" for folder in above):
        raise RefusedMemberError(f"member {member.name!r} lies in a folder that is also a file")
    before = taken.get(member.parts)
    if before and not before == member.kind == "folder":
        raise RefusedMemberError(f"member {member.name!r} is there twice")
    taken[member.parts] = member.kind
