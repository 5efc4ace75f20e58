"""Fetch: whatever the connection does, the data are there whole or not at all; asked again, it does nothing."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from luigi.task_register import Register

from tasks import Fetch
from tasks.core import settings
from tasks.core.errors import SettingsError, StageError
from tasks.intake.download import Wanted, download
from tests.conftest import luigi_in, resolved

CONTENT = os.urandom(700_000)  # longer than two chunks


@dataclass
class Site:
    """One file behind an address, and what goes wrong with each request for it, in order."""

    content: bytes = CONTENT
    tag: str = '"one"'
    mishaps: list[str] = field(default_factory=list)
    knows_ranges: bool = True
    says_length: bool = True
    asked: list[str] = field(default_factory=list)  # the Range of each request, '' for all
    address: str = ""

    def url(self, name: str = "file.zip") -> str:
        return f"{self.address}/{name}"


def handler_of(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.asked.append(asked.removeprefix("bytes="))
            mishap, _, amount = (site.mishaps.pop(0) if site.mishaps else "").partition(" ")
            if mishap.isdigit():
                self.send_error(int(mishap))
                return
            if mishap == "leads":
                self.send_response(302)
                self.send_header("Location", amount)
                self.end_headers()
                return
            start = int(asked.removeprefix("bytes=").rstrip("-") or 0) if site.knows_ranges else 0
            if self.headers.get("If-Range", site.tag) != site.tag and mishap != "mixes":
                start = 0
            if start and start >= len(site.content):
                self.send_error(416)
                return
            self._send(start, int(amount) if mishap == "cut" else len(site.content))

        def _send(self, start: int, end: int) -> None:
            self.send_response(206 if start else 200)
            if site.tag:
                self.send_header("ETag", site.tag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
            if site.says_length:
                self.send_header("Content-Length", str(len(site.content) - start))
            self.end_headers()
            self.wfile.write(site.content[start : start + end])

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(served))
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def source(site: Site, sha256: str = "", retries: int = 2, max_bytes: int = 10**7) -> Wanted:
    return Wanted(site.url(), sha256, timeout_s=5, retries=retries, wait_s=0.01, max_bytes=max_bytes)


def get(site: Site, target: Path, **facts: Any) -> tuple[str, list[str]]:
    """(checksum, what was said)."""
    said: list[str] = []
    return download(source(site, **facts), target, lambda done, total: None, said.append), said


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_arrives_whole_and_its_checksum_is_told(site: Site, tmp_path: Path) -> None:
    assert get(site, tmp_path / "sub" / "file.zip") == (sha256(CONTENT), [])
    assert (tmp_path / "sub" / "file.zip").read_bytes() == CONTENT
    assert site.asked == [""]


def test_a_cut_download_goes_on_where_it_was_cut(site: Site, tmp_path: Path) -> None:
    site.mishaps = ["cut 300000", "cut 200000"]
    found, said = get(site, tmp_path / "file.zip", sha256=sha256(CONTENT))
    assert site.asked == ["", "300000-", "500000-"]
    assert (found, (tmp_path / "file.zip").read_bytes()) == (sha256(CONTENT), CONTENT)
    assert said[0] == "the connection was cut after 0.3 of 0.7 MB; tries again in 0.01 s, from 0.3 MB on"


def test_each_try_that_brings_something_new_starts_the_count_of_retries_anew(site: Site, tmp_path: Path) -> None:
    site.mishaps = ["cut 100000"] * 6
    get(site, tmp_path / "file.zip", retries=1)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_sends_all_again(site: Site, tmp_path: Path) -> None:
    site.mishaps, site.knows_ranges = ["cut 300000"], False
    get(site, tmp_path / "file.zip")
    assert site.asked == ["", "300000-"]
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_server_that_ignores_ranges_and_always_cuts_is_given_up(site: Site, tmp_path: Path) -> None:
    site.mishaps, site.knows_ranges = ["cut 300000"] * 9, False
    with pytest.raises(
        StageError, match=r"cut after 0\.3 of 0\.7 MB; gave up after 3 tries in a row: 0\.3 MB are kept"
    ):
        get(site, tmp_path / "file.zip")
    assert len(site.asked) == 3
    assert not (tmp_path / "file.zip").exists()


def test_what_a_killed_run_brought_is_used_by_the_next(site: Site, tmp_path: Path) -> None:
    site.mishaps = ["cut 300000"]
    with pytest.raises(StageError):
        get(site, tmp_path / "file.zip", retries=0)
    get(site, tmp_path / "file.zip")
    assert site.asked == ["", "300000-"]
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_file_that_was_changed_in_between_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    site.mishaps = ["cut 300000"]
    with pytest.raises(StageError):
        get(site, tmp_path / "file.zip", retries=0)
    site.content, site.tag = os.urandom(700_000), '"two"'
    get(site, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == site.content


@pytest.mark.parametrize("size", [200_000, 700_000, 900_000])
def test_a_server_that_mixes_two_files_does_not_get_its_way(site: Site, tmp_path: Path, size: int) -> None:
    site.mishaps = ["cut 300000"]
    with pytest.raises(StageError):
        get(site, tmp_path / "file.zip", retries=0)
    site.content, site.tag, site.mishaps = os.urandom(size), '"two"', ["mixes"]
    get(site, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == site.content


def test_without_a_word_on_its_version_only_a_checksum_lets_a_file_be_continued(site: Site, tmp_path: Path) -> None:
    site.tag, site.mishaps = "", ["cut 300000", "", "cut 300000"]
    get(site, tmp_path / "unknown.zip")
    get(site, tmp_path / "known.zip", sha256=sha256(CONTENT))
    assert site.asked == ["", "", "", "300000-"]


def test_pieces_of_two_files_are_told_by_the_checksum_and_fetched_anew(site: Site, tmp_path: Path) -> None:
    site.tag, site.mishaps = "", ["cut 300000"]
    new = os.urandom(700_000)
    with pytest.raises(StageError):
        get(site, tmp_path / "file.zip", sha256=sha256(new), retries=0)
    site.content = new
    _, said = get(site, tmp_path / "file.zip", sha256=sha256(new))
    assert "the pieces do not make the file" in said[0]
    assert (tmp_path / "file.zip").read_bytes() == new


def test_a_wrong_checksum_is_told_with_both_and_nothing_is_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        get(site, tmp_path / "file.zip", sha256="0" * 64)
    assert f"its sha256 is {sha256(CONTENT)}, but the settings say {'0' * 64}; nothing was kept" in str(caught.value)
    assert list(tmp_path.iterdir()) == [] and site.asked == [""]


@pytest.mark.parametrize("code", [404, 403, 410, 401])
def test_an_address_that_leads_nowhere_is_told_at_once(site: Site, tmp_path: Path, code: int) -> None:
    site.mishaps = [str(code)] * 9
    with pytest.raises(StageError, match=rf"file\.zip: the server answers {code} .*; look at the address in a browser"):
        get(site, tmp_path / "file.zip")
    assert len(site.asked) == 1 and list(tmp_path.iterdir()) == []


def test_a_server_in_trouble_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.mishaps = ["503", "429"]
    _, said = get(site, tmp_path / "file.zip")
    assert (tmp_path / "file.zip").read_bytes() == CONTENT
    assert said[0].startswith("the server answers 503 Service Unavailable; tries again in 0.01 s")
    assert said[1].startswith("the server answers 429 Too Many Requests; tries again in 0.02 s")


def test_no_server_at_all_is_told_after_the_retries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    nobody = Site(address="http://127.0.0.1:9")
    with pytest.raises(StageError, match=r"no connection \(.*refused\); gave up after 3 tries in a row"):
        get(nobody, tmp_path / "file.zip")


def test_a_file_of_unknown_length_arrives_too(site: Site, tmp_path: Path) -> None:
    site.says_length = False
    assert get(site, tmp_path / "file.zip")[0] == sha256(CONTENT)


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_over_the_limit_is_not_taken(site: Site, tmp_path: Path, says_length: bool) -> None:
    site.says_length = says_length
    with pytest.raises(StageError, match=r"raise \[Fetch\] max_download_mb"):
        get(site, tmp_path / "file.zip", max_bytes=500_000)
    assert not (tmp_path / "file.zip").exists()


def test_an_empty_answer_is_told(site: Site, tmp_path: Path) -> None:
    site.content = b""
    with pytest.raises(StageError, match="the server sent an empty file"):
        get(site, tmp_path / "file.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_server_may_lead_elsewhere(site: Site, tmp_path: Path) -> None:
    site.mishaps = [f"leads {site.url('other.zip')}"]
    assert get(site, tmp_path / "file.zip")[0] == sha256(CONTENT)


# --- the task -----------------------------------------------------------------------------------------------------

FAR = """
recipe = "quick"

[Dataset]
layout = "folders"
root = "far"

[Fetch]
url = "URL"
sha256 = "SHA"
folder = "set-main"
instructions = "ask the authors of the set"
timeout_s = 5
retries = 1
wait_s = 0.01
"""
PHOTOS = {"set-main/images/train/1.png": b"one", "set-main/images/test/2.png": b"two", "set-main/README": b"read"}


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def far(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workplace whose data set `far` lies behind the site."""
    site.content = zipped(PHOTOS)
    (tmp_path / "configs").mkdir()
    configure(tmp_path, site.url("main.zip"))
    monkeypatch.setenv("HAIRLINE_CONFIGS", str(tmp_path / "configs"))
    monkeypatch.setenv("HAIRLINE_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("HAIRLINE_DATA", str(tmp_path / "data"))
    return tmp_path


def configure(far: Path, url: str, sha: str = "", **changes: str) -> None:
    text = FAR.replace("URL", url).replace("SHA", sha)
    for old, new in changes.items():
        text = text.replace(f'{old} = "', f'{old} = "{new}" # "')
    (far / "configs" / "far.toml").write_text(text)
    settings.forget()
    Register.clear_instance_cache()


def fetch() -> None:
    Fetch(dataset="far").run()


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


LAID = {name.removeprefix("set-main/"): content for name, content in PHOTOS.items()}


def test_the_folder_in_the_archive_becomes_the_folder_of_the_data_set(
    far: Path, site: Site, capfd: pytest.CaptureFixture[str]
) -> None:
    fetch()
    assert files_in(far / "data" / "far") == LAID
    assert [path.name for path in (far / "data" / ".fetch").iterdir()] == [".lock-far"]
    told = capfd.readouterr()
    assert f"the data of far are now at {far / 'data' / 'far'}" in told.out
    assert f"its sha256 is {sha256(site.content)} (for configs/far.toml" in told.err


def test_asked_again_it_asks_nobody(far: Path, site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    fetch()
    Register.clear_instance_cache()
    fetch()
    assert site.asked == [""]
    assert "to fetch them anew, move that folder away" in capfd.readouterr().out


def test_the_right_checksum_is_believed_and_a_wrong_one_leaves_no_data(far: Path, site: Site) -> None:
    configure(far, site.url("main.zip"), "1" * 64)
    with pytest.raises(StageError, match=r"but the settings say 1{64}.*; by hand: ask the authors of the set"):
        fetch()
    assert files_in(far / "data") == {".fetch/.lock-far": files_in(far / "data")[".fetch/.lock-far"]}
    configure(far, site.url("main.zip"), sha256(site.content))
    fetch()
    assert files_in(far / "data" / "far") == LAID


def test_a_cut_run_leaves_no_data_set_and_the_next_goes_on(far: Path, site: Site) -> None:
    site.mishaps = ["cut 200", "503", "503"]
    with pytest.raises(StageError, match="gave up after 2 tries in a row"):
        fetch()
    assert not (far / "data" / "far").exists()
    fetch()
    assert site.asked == ["", "200-", "200-", "200-"]
    assert files_in(far / "data" / "far") == LAID


def test_a_web_page_instead_of_an_archive_is_told_and_asked_for_again_next_time(far: Path, site: Site) -> None:
    good, site.content = site.content, b"<html>please sign in</html>"
    with pytest.raises(StageError, match=r"main\.zip: named \.zip, but its content is a web page"):
        fetch()
    site.content = good
    fetch()
    assert files_in(far / "data" / "far") == LAID


def test_a_run_killed_after_the_download_does_not_download_again(far: Path, site: Site) -> None:
    configure(far, site.url("main.zip"), folder="set-mian")
    with pytest.raises(StageError, match=r"has no folder 'set-mian', but set-main; correct \[Fetch\] folder"):
        fetch()
    configure(far, site.url("main.zip"))
    fetch()
    assert site.asked == [""]
    assert files_in(far / "data" / "far") == LAID


def test_another_address_does_not_go_on_with_the_file_of_the_old_one(far: Path, site: Site) -> None:
    configure(far, site.url("main.zip"), folder="set-mian")
    with pytest.raises(StageError):
        fetch()
    site.content = zipped({**PHOTOS, "set-main/new": b"new"})
    configure(far, site.url("other/main.zip"))
    fetch()
    assert files_in(far / "data" / "far") == {**LAID, "new": b"new"}


def test_a_root_that_is_an_archive_gets_the_archive(far: Path, site: Site) -> None:
    configure(far, site.url("main.zip"), root="far.zip")
    fetch()
    assert (far / "data" / "far.zip").read_bytes() == site.content
    fetch()
    assert site.asked == [""]


def test_without_an_address_it_says_what_to_do_and_fails(far: Path) -> None:
    configure(far, "")
    with pytest.raises(StageError) as caught:
        fetch()
    assert str(caught.value) == (
        f"the data of far are not at {far / 'data' / 'far'}, and there is no address to fetch them from "
        "([Fetch] url): ask the authors of the set"
    )


def test_without_an_address_but_with_the_data_it_succeeds(far: Path, capfd: pytest.CaptureFixture[str]) -> None:
    configure(far, "")
    (far / "data" / "far" / "images").mkdir(parents=True)
    fetch()
    assert f"the data of far are at {far / 'data' / 'far'}" in capfd.readouterr().out


def test_the_demo_needs_no_fetching(far: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Fetch(dataset="demo").run()
    assert capfd.readouterr().out == "the photos of demo are made, not fetched: start RunAll\n"


def test_a_place_that_cannot_be_written_to_is_told(far: Path) -> None:
    (far / "data").write_text("a file where a folder should be")
    with pytest.raises(StageError, match="data"):
        fetch()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "ftp://127.0.0.1/x.zip"}, "allowed: an address with http:// or https://"),
        ({"url": "file:///etc/passwd"}, "allowed: an address with http:// or https://"),
        ({"sha256": "abc"}, "allowed: 64 of the characters"),
        ({"folder": "../up"}, "allowed: a folder inside the archive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(far: Path, given: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        resolved("Fetch", "far", "", "", given)


def test_the_command_line_fetches_and_fails_in_one_sentence(far: Path, site: Site) -> None:
    data = {"HAIRLINE_DATA": str(far / "data"), "no_proxy": "127.0.0.1"}
    done = luigi_in(far, "Fetch", "--dataset", "far", **data)
    assert done.returncode == 0, done.stderr
    assert files_in(far / "data" / "far") == LAID
    site.mishaps = ["404"]
    failed = luigi_in(far, "Fetch", "--dataset", "far", **{**data, "HAIRLINE_DATA": str(far / "other")})
    assert failed.returncode == 30
    assert failed.stderr.splitlines()[-1].startswith(f"error: {site.url('main.zip')}: the server answers 404 Not Found")
    assert "Traceback" not in failed.stderr


def test_fetching_a_combined_set_fetches_its_parts_and_names_those_that_cannot_be_had(far: Path, site: Site) -> None:
    both = 'recipe = "quick"\n[Dataset]\nlayout = "combined"\nparts = ["nowhere", "far"]\n'
    (far / "configs" / "both.toml").write_text(both)
    (far / "configs" / "nowhere.toml").write_text('recipe = "quick"\n[Dataset]\nroot = "nowhere"\n')
    with pytest.raises(StageError, match=r"not all parts of both are there:\n  the data of nowhere are not at"):
        Fetch(dataset="both").run()
    assert files_in(far / "data" / "far") == LAID
