"""The cache: an entry is whole or absent, damage is noticed, locks die with their holder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.core import cache, child, files, locks
from tasks.core.cache import Draft, Entry
from tasks.core.errors import StageError


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return Entry(tmp_path / "stage" / "data-0123456789ab", "0123456789ab" * 4)


def committed(entry: Entry) -> Entry:
    draft = cache.open_draft(entry, "Stage", resumable=False)
    files.write_text(draft.path("part/a.txt"), "some content")
    files.write_text(draft.path("b.txt"), "more")
    draft.commit({"key": entry.key})
    return entry


def test_an_entry_appears_whole_with_sizes_and_checksums_of_every_file(entry: Entry) -> None:
    assert not entry.is_complete()
    committed(entry)
    assert entry.is_complete()
    assert set(entry.manifest()["files"]) == {"part/a.txt", "b.txt"}
    assert entry.manifest()["files"]["b.txt"]["size"] == 4
    assert entry.wrong_checksums() == []
    assert [path.name for path in entry.folder.parent.iterdir()] == [entry.name]


def test_a_draft_without_its_rename_is_no_entry(entry: Entry) -> None:
    draft = cache.open_draft(entry, "Stage", resumable=True)
    files.write_text(draft.path("b.txt"), "more")
    assert not entry.exists()


def test_a_resumable_draft_keeps_whole_files_and_drops_half_written_ones(entry: Entry) -> None:
    draft = cache.open_draft(entry, "Stage", resumable=True)
    files.write_text(draft.path("whole.txt"), "whole")
    draft.path(f".half.txt-1{files.PARTIAL}").write_text("ha")
    again = cache.open_draft(entry, "Stage", resumable=True)
    assert [path.name for path in again.folder.iterdir()] == ["whole.txt"]
    fresh = cache.open_draft(entry, "Stage", resumable=False)
    assert list(fresh.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / "b.txt").write_text("mor"), "b.txt has 3 bytes instead of 4"),
        (lambda folder: (folder / "b.txt").write_text(""), "b.txt has 0 bytes"),
        (lambda folder: (folder / "b.txt").unlink(), "b.txt is missing"),
        (lambda folder: (folder / cache.MANIFEST).write_text("garb{"), "manifest cannot be read"),
        (lambda folder: (folder / cache.MANIFEST).write_text("[]"), "manifest cannot be read"),
        (lambda folder: (folder / cache.MANIFEST).write_text("{}"), "manifest cannot be read"),
        (lambda folder: (folder / cache.MANIFEST).write_text('{"key": "x", "files": {}}'), "for another key"),
        (lambda folder: (folder / cache.MANIFEST).unlink(), "manifest cannot be read"),
    ],
)
def test_a_damaged_entry_is_a_miss_and_says_why(entry: Entry, harm: object, words: str) -> None:
    committed(entry)
    assert callable(harm)
    harm(entry.folder)
    assert not entry.is_complete()
    assert words in entry.damage()


def test_a_flipped_bit_is_seen_by_its_checksum_and_the_entry_is_moved_aside(entry: Entry) -> None:
    committed(entry)
    (entry.folder / "b.txt").write_text("moro")
    assert entry.is_complete(), "sizes are all that complete() looks at"
    assert entry.wrong_checksums() == ["b.txt"]
    with pytest.raises(StageError, match=r"b.txt is damaged; it was moved to .*\.bad-.*: run the same command again"):
        entry.checked("b.txt")
    assert not entry.exists()


def test_entries_set_aside_twice_do_not_overwrite_each_other(entry: Entry) -> None:
    assert cache.set_aside(committed(entry)) != cache.set_aside(committed(entry))


def test_of_two_racing_renames_one_wins_and_the_other_leaves_nothing_behind(entry: Entry) -> None:
    late = Draft(entry.folder.with_name(".draft-late"), entry, "Stage")
    files.write_text(late.path("b.txt"), "late")
    committed(entry)
    late.commit({"key": entry.key})
    assert (entry.folder / "b.txt").read_text() == "more"
    assert not late.folder.exists()


def test_a_failed_write_leaves_the_old_file_and_no_partial_one(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    files.write_text(path, "old")
    with pytest.raises(OSError, match="full"), files.whole(path) as partial:
        partial.write_text("ne")
        raise OSError(errno.ENOSPC, "full")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["table.csv"]


def test_a_full_disk_is_one_sentence_with_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/some/file")
    message = cache.say_os_error(error, tmp_path, 12_000_000)
    assert message.startswith("no space left on /some/file: needed about 12.0 MB more, free ")
    assert "run the same command again" in message
    assert "\n" not in message


def test_what_the_disk_refuses_a_child_is_a_sentence_and_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def fill() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/some/file")

    with pytest.raises(StageError, match="no space left on /some/file: free"):
        child.run_in_child("Judge", fill, time_limit_s=60)
    assert "Traceback" not in capfd.readouterr().err


HOLDER = """
import sys, time
from pathlib import Path
from tasks.core import locks
with locks.locked(Path(sys.argv[1]), lambda words: None):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_is_held_by_a_living_process_only(entry: Entry) -> None:
    entry.folder.parent.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(entry.folder)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert locks.is_locked(entry.folder)
        holder.send_signal(signal.SIGKILL)
    assert not locks.is_locked(entry.folder)
    heard: list[str] = []
    with locks.locked(entry.folder, heard.append):
        assert heard == [], "nobody is waited for"


def test_the_key_does_not_depend_on_the_order_in_which_values_are_named() -> None:
    assert cache.key_of({"a": 1, "b": [1, 2]}) == cache.key_of({"b": [1, 2], "a": 1})
    assert cache.key_of({"a": 1}) != cache.key_of({"a": 1.5})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small file system of its own")
def test_root_can_make_the_small_file_systems_that_the_fault_tests_need(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    subprocess.run(["umount", str(tmp_path)], check=True)


def large(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> Entry:
    """An entry that counts as large with its three files."""
    monkeypatch.setattr(cache, "MANY", 2)
    draft = cache.open_draft(entry, "Stage", resumable=False)
    for name in ("part/a.txt", "b.txt", "c.txt"):
        files.write_text(draft.path(name), "some content")
    draft.commit({"key": entry.key})
    return entry


def test_of_very_many_files_the_checksums_lie_beside_the_manifest(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    large(entry, monkeypatch)
    assert set(entry.manifest()["files"]) == {"records.json"}
    assert entry.records().keys() == {"part/a.txt", "b.txt", "c.txt", "records.json"}
    assert entry.wrong_checksums() == []
    assert entry.checked("b.txt").read_text() == "some content"


def test_of_very_many_files_a_missing_one_is_always_noticed_and_a_cut_one_when_looked_at_thoroughly(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert large(entry, monkeypatch).is_complete()
    (entry.folder / "c.txt").write_text("cut")
    assert entry.is_complete(), "no file came or went"
    assert entry.damage(thoroughly=True) == "c.txt has 3 bytes instead of 12"
    (entry.folder / "c.txt").write_text("some content")
    (entry.folder / "part" / "a.txt").unlink()
    assert entry.damage() == "part/a.txt is missing"


def test_what_writers_told_of_files_is_not_read_again_unless_the_size_differs(entry: Entry) -> None:
    draft = cache.open_draft(entry, "Stage", resumable=True)
    for name in ("told.txt", "other.txt", "resumed.txt"):
        files.write_text(draft.path(name), "1234")
    told: files.Record = {"size": 4, "sha256": "as told"}
    draft.known.update({"told.txt": told, "other.txt": {"size": 5, "sha256": "of another"}})
    draft.path(f".half.txt-1{files.PARTIAL}").write_text("left by a killed writer")
    draft.commit({"key": entry.key})
    found = entry.records()
    assert found["told.txt"] == told
    assert found["other.txt"] == found["resumed.txt"] == {"size": 4, "sha256": files.sha256(entry.folder / "other.txt")}
    assert len(found) == 3


def test_where_the_file_system_has_no_locks_the_rename_decides_and_it_is_said_once(
    entry: Entry, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    drafts = []
    for _ in range(2):
        with locks.locked(entry.folder, print):
            drafts.append(cache.open_draft(entry, "Stage", resumable=True))
    assert drafts[0].folder.name.endswith(f"-{os.uname().nodename}-{os.getpid()}")
    assert capsys.readouterr().err.count("has no file locks (Lustre: mount it with -o flock)") == 1
    files.write_text(drafts[0].path("b.txt"), "more")
    drafts[0].commit({"key": entry.key})
    assert entry.is_complete()


@pytest.mark.slow
def test_a_hundred_thousand_files_are_committed_within_a_minute(entry: Entry) -> None:
    draft = cache.open_draft(entry, "Stage", resumable=True)
    for number in range(100_000):
        content = number.to_bytes(4, "big") * 500
        files.write_bytes(draft.folder / f"{number:06d}.png", content)
        draft.known[f"{number:06d}.png"] = {"size": len(content), "sha256": "0" * 64}
    started = time.monotonic()
    draft.commit({"key": entry.key})
    assert time.monotonic() - started < 60
    assert entry.is_complete()
    started = time.monotonic()
    assert entry.is_complete()
    assert time.monotonic() - started < 0.1
