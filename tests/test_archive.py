"""Archives: unpacked whole or refused in one sentence, and never a byte outside the folder."""

from __future__ import annotations

import gzip
import io
import multiprocessing
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.errors import StageError
from tasks.intake import archive
from tasks.intake.archive_members import Member, RefusedMemberError, Rules

TREE = {"image/001.jpg": b"one", "image/002.jpg": b"two" * 50, "groundTruth/001.mat": b"", "readme.txt": b"read"}


def unpack(path: Path, into: Path, *, max_bytes: int = 10**6, max_ratio: float = 50, max_files: int = 100) -> Path:
    """Into a folder of which the outputs folder is another."""
    limits: Any = SimpleNamespace(max_unpacked_mb=max_bytes / 10**6, max_ratio=max_ratio, max_files=max_files)
    return archive.unpacked_whole(path, into, limits)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def tar_of(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as made:  # type: ignore[call-overload]
        for name, content in members.items():
            made.addfile(header(name, len(content)), io.BytesIO(content))
    return path


def header(name: str, size: int = 0, **facts: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


def tar_with(path: Path, *headers: tarfile.TarInfo) -> Path:
    """A tar of a good file and then these members, whatever they are."""
    with tarfile.open(path, "w") as made:
        made.addfile(header("good.png", 4), io.BytesIO(b"good"))
        for info in headers:
            made.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def zip_with(path: Path, *names: str, mode: int = 0) -> Path:
    """A zip of a good file and then members of these names and this Unix mode."""
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("good.png", b"good")
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            made.writestr(info, b"/etc/passwd")
    return path


def twice(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zip_with(path, "good.png")


def encrypted(path: Path) -> Path:
    """A zip whose only member says that it is encrypted (bit 0 of both of its flags)."""
    content = bytearray(zip_of(path, {"secret.png": b"secret"}).read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def lying(path: Path) -> Path:
    """A zip whose member is longer than the directory says."""
    content = zip_of(path, {"long.png": b"x" * 1000}).read_bytes()
    path.write_bytes(content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    return path


def cut(path: Path, keep: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


def flipped(path: Path, at: int) -> Path:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)
    return path


def endless_name(path: Path) -> Path:
    """A tar whose first header asks for a name of 3 MB, as gzip in 3 kB."""
    info = header("././@LongLink", 3_000_000, type=tarfile.GNUTYPE_LONGNAME)
    with gzip.open(path, "wb") as made:
        made.write(info.tobuf(tarfile.GNU_FORMAT) + b"a" * 3_000_000)
    return path


def with_tail(path: Path) -> Path:
    """A good tar, and then zeros for as long as one likes."""
    plain = tar_of(path.with_suffix(".plain"), TREE).read_bytes()
    with gzip.open(path, "wb") as made:
        made.write(plain + bytes(20_000_000))
    return path


def written(content: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return make


INCOMPRESSIBLE = os.urandom(4000)
OUT = "member '../out.png' leads out of the folder (..)"
LINKED = header("link.png", type=tarfile.SYMTYPE, linkname="/etc/passwd")
HARD = header("hard.png", type=tarfile.LNKTYPE, linkname="good.png")
PIPE = header("pipe.png", type=tarfile.FIFOTYPE)
DEVICE = header("null.png", type=tarfile.CHRTYPE, devmajor=1, devminor=3)

REFUSED: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "zip: ..": ("a.zip", lambda path: zip_with(path, "../out.png"), OUT),
    "tar: ..": ("a.tar", lambda path: tar_with(path, header("../out.png", 3)), OUT),
    "zip: .. inside": ("a.zip", lambda path: zip_with(path, "x/../../out.png"), "leads out of the folder"),
    "zip: absolute": (
        "a.zip",
        lambda path: zip_with(path, "/tmp/hairline-out.png"),
        "out.png' is an absolute path",
    ),
    "tar: absolute": ("a.tar", lambda path: tar_with(path, header("/tmp/hairline-out.png")), "is an absolute path"),
    "zip: drive": ("a.zip", lambda path: zip_with(path, "C:out.png"), "'C:out.png' is an absolute path or one of"),
    "zip: backslash": ("a.zip", lambda path: zip_with(path, "..\\out.png"), "is an absolute path or one of another"),
    "zip: symlink": ("a.zip", lambda path: zip_with(path, "l.png", mode=stat.S_IFLNK), "'l.png' is a link; allowed"),
    "zip: device": ("a.zip", lambda path: zip_with(path, "d", mode=stat.S_IFCHR), "'d' is a device or a pipe"),
    "tar: symlink": ("a.tar", lambda path: tar_with(path, LINKED), "member 'link.png' is a link; allowed: plain files"),
    "tar: hard link": ("a.tar", lambda path: tar_with(path, HARD), "member 'hard.png' is a link"),
    "tar: pipe": ("a.tar", lambda path: tar_with(path, PIPE), "member 'pipe.png' is a device or a pipe"),
    "tar: device": ("a.tar", lambda path: tar_with(path, DEVICE), "member 'null.png' is a device or a pipe"),
    "zip: twice": ("a.zip", twice, "member 'good.png' is there twice"),
    "tar: twice": ("a.tar", lambda path: tar_with(path, header("./good.png")), "member './good.png' is there twice"),
    "file and folder": ("a.tar", lambda path: tar_with(path, header("good.png/x")), "a folder that is also a file"),
    "long name": ("a.tar", lambda path: tar_with(path, header("é" * 128)), "is longer than 255 bytes"),
    "encrypted": ("a.zip", encrypted, "member 'secret.png' is encrypted"),
    "lying zip": ("a.zip", lying, "damaged or cut off"),
    "too many": (
        "a.zip",
        lambda path: zip_of(path, {f"{n}": b"x" for n in range(101)}),
        "more than 100 members",
    ),
    "too big": ("a.tar", lambda path: tar_of(path, {"a": bytes(10**6), "b": b"x"}), "member 'b': 1,000,001 bytes"),
    "zip bomb": ("a.zip", lambda path: zip_of(path, {"bomb": bytes(900_000)}), "member 'bomb': unpacks to"),
    "gzip bomb": ("a.tgz", lambda path: tar_of(path, {"bomb": bytes(900_000)}, "w:gz"), "([Fetch] max_ratio)"),
    "xz bomb": ("a.txz", lambda path: tar_of(path, {"bomb": bytes(900_000)}, "w:xz"), "([Fetch] max_ratio)"),
    "header bomb": ("a.tar.gz", endless_name, "a header of 3,000,320 bytes; allowed: at most 1,048,576"),
    "tail bomb": ("a.tar.gz", with_tail, "more than 16,777,216 bytes follow its last member"),
    "cut zip": ("a.zip", lambda path: cut(zip_of(path, TREE), 0.7), "damaged or cut off (File is not a zip file)"),
    "cut tar": ("a.tar", lambda path: cut(tar_of(path, {"a": bytes(20_000)}), 0.4), "damaged or cut off"),
    "cut at a member": ("a.tar", lambda path: cut(tar_of(path, TREE), 0.1), "the mark of its end is missing"),
    "cut gzip": ("a.tgz", lambda path: cut(tar_of(path, {"a": INCOMPRESSIBLE}, "w:gz"), 0.6), "damaged or cut off"),
    "cut bzip2": ("a.tbz2", lambda path: cut(tar_of(path, {"a": INCOMPRESSIBLE}, "w:bz2"), 0.6), "damaged or cut off"),
    "cut xz": ("a.tar.xz", lambda path: cut(tar_of(path, {"a": INCOMPRESSIBLE}, "w:xz"), 0.6), "damaged or cut off"),
    "flipped zip": ("a.zip", lambda path: flipped(zip_of(path, {"a": INCOMPRESSIBLE}), 900), "damaged or cut off"),
    "flipped gzip": ("a.tgz", lambda path: flipped(tar_of(path, {"a": INCOMPRESSIBLE}, "w:gz"), 900), "damaged or cut"),
    "flipped bzip2": ("a.tbz2", lambda path: flipped(tar_of(path, TREE, "w:bz2"), 60), "damaged or cut off"),
    "flipped header": ("a.tar", lambda path: flipped(tar_of(path, TREE), 1024 + 10), "the mark of its end is missing"),
    "a zip named tar": ("a.tar", lambda path: zip_of(path, TREE), "named .tar, but its content is zip"),
    "a tar named zip": ("a.zip", lambda path: tar_of(path, TREE), "named .zip, but its content is tar"),
    "a gzip named tar": ("a.tar", lambda path: tar_of(path, TREE, "w:gz"), "named .tar, but its content is gzip"),
    "a web page": ("a.zip", written(b"<!DOCTYPE html><p>Sign in"), "named .zip, but its content is a web page"),
    "a picture": ("a.zip", written(b"\x89PNG\r\n\x1a\n"), "its content is a PNG image"),
    "a text": ("a.zip", written(b"hello"), "its content is something else"),
    "nothing": ("a.zip", written(b""), "its content is empty"),
    "another kind": (
        "a.rar",
        written(b"Rar!\x1a\x07"),
        "not an archive by its name (its content is rar)",
    ),
    "no members": ("a.zip", lambda path: zip_of(path, {}), "no files in it"),
    "only folders": ("a.zip", lambda path: zip_of(path, {"image/": b""}), "no files in it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_archive_is_refused_in_one_sentence_and_nothing_is_left_of_it(tmp_path: Path, case: str) -> None:
    name, make, words = REFUSED[case]
    path = make(tmp_path / name)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(StageError) as caught:
        unpack(path, tmp_path / "into")
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and words in message, message
    assert message.endswith("nothing was unpacked: get the archive again, or mend it") and "\n" not in message
    left = set(tmp_path.rglob("*")) - before - {tmp_path / "into"}
    assert all(found.name.startswith((".lock-", ".sha256-")) for found in left), left
    assert not Path("/tmp/hairline-out.png").exists()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.zip", zip_of),
        ("A.ZIP", zip_of),
        ("a.tar", tar_of),
        ("a.tar.gz", lambda path, members: tar_of(path, members, "w:gz")),
        ("a.tgz", lambda path, members: tar_of(path, members, "w:gz")),
        ("a.tar.bz2", lambda path, members: tar_of(path, members, "w:bz2")),
        ("a.tar.xz", lambda path, members: tar_of(path, members, "w:xz")),
    ],
)
def test_what_was_packed_is_unpacked(tmp_path: Path, name: str, make: Callable[[Path, dict[str, bytes]], Path]) -> None:
    folder = unpack(make(tmp_path / name, TREE), tmp_path / "into")
    assert tree(folder) == TREE
    assert folder.parent == tmp_path / "into" and folder.name.lower().startswith("a-")


def test_the_second_call_reads_nothing_and_unpacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zip_of(tmp_path / "a.zip", TREE)
    folder = unpack(path, tmp_path / "into")
    monkeypatch.setattr(archive, "opened", None)
    monkeypatch.setattr("tasks.core.files.sha256", None)
    assert unpack(path, tmp_path / "into") == folder


def test_a_changed_archive_gets_another_folder_and_the_old_one_stays(tmp_path: Path) -> None:
    first = unpack(zip_of(tmp_path / "a.zip", TREE), tmp_path / "into")
    second = unpack(zip_of(tmp_path / "a.zip", {**TREE, "new.png": b"new"}), tmp_path / "into")
    assert first != second
    assert (tree(first), tree(second)) == (TREE, {**TREE, "new.png": b"new"})


def test_the_draft_of_a_killed_run_does_no_harm(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", TREE)
    folder = unpack(path, tmp_path / "into")
    folder.rename(folder.with_name(f".draft-{folder.name}"))
    (folder.with_name(f".draft-{folder.name}") / "half.png").write_bytes(b"half")
    assert tree(unpack(path, tmp_path / "into")) == TREE


def test_permissions_of_the_archive_have_no_effect(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as made:
        made.addfile(header("setuid", 1, mode=0o4777, uid=0), io.BytesIO(b"x"))
    mode = (unpack(tmp_path / "a.tar", tmp_path / "into") / "setuid").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_IXUSR | stat.S_IWOTH)


def test_names_of_any_language_and_with_odd_letters_are_kept(tmp_path: Path) -> None:
    odd = {"Straße 1/裂缝 – 'a'.jpg": b"1", "-dash": b"2", "100%": b"3", "new\nline": b"4"}
    assert tree(unpack(zip_of(tmp_path / "a.zip", odd), tmp_path / "into")) == odd
    assert tree(unpack(tar_of(tmp_path / "a.tar", odd), tmp_path / "into")) == odd


def test_a_missing_archive_is_told_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"there is no archive .*/gone\.zip"):
        unpack(tmp_path / "gone.zip", tmp_path / "into")


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "into").write_text("a file where a folder should be")
    with pytest.raises(StageError, match="into"):
        unpack(zip_of(tmp_path / "a.zip", TREE), tmp_path / "into")


def test_the_limits_of_the_settings_are_the_limits_of_the_archive(tmp_path: Path) -> None:
    limits = SimpleNamespace(max_unpacked_mb=1, max_ratio=1e6, max_files=9)
    assert tree(archive.unpacked_whole(zip_of(tmp_path / "a.zip", TREE), tmp_path / "into", limits)) == TREE
    with pytest.raises(StageError, match=r"1,000,001 bytes unpacked, allowed: 1,000,000 \(\[Fetch\] max_unpacked_mb\)"):
        archive.unpacked_whole(zip_of(tmp_path / "b.zip", {"a": bytes(1_000_001)}), tmp_path / "into", limits)


def _unpack_and_tell(path: Path, into: Path, answers: multiprocessing.Queue[str]) -> None:
    answers.put(str(unpack(path, into)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python warns of forks beside threads
def test_several_processes_unpack_one_archive_once(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", {f"{number}.txt": b"text" for number in range(90)})
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [context.Process(target=_unpack_and_tell, args=(path, tmp_path / "into", answers)) for _ in range(4)]
    for process in processes:
        process.start()
    folders = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert len(folders) == 1 and len(tree(Path(folders.pop()))) == 90
    assert not list((tmp_path / "into").glob(".draft-*"))


@given(st.text(alphabet="a./\\:\0", max_size=8))
@settings(deadline=None)
def test_a_name_that_passes_lies_below_the_folder(name: str) -> None:
    member = Member(name, 0, "file", io.BytesIO)
    try:
        checked = Rules(10, 10.0, 10, 10).check([member])
    except RefusedMemberError:
        return
    target = os.path.normpath(Path("/folder", *checked[0].parts))
    assert target.startswith("/folder/") and "\0" not in target
