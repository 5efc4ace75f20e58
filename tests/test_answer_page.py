"""The answer page's server: every answer is kept, and a stranger gets nothing but an error."""

from __future__ import annotations

import contextlib
import csv
import http.client
import json
import multiprocessing
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest

from tasks.core.errors import SettingsError
from tasks.intake import answers as answers_file
from tasks.intake.answers import AnswerStore
from tasks.serving import guard
from tasks.serving.asked import Asked, Photos, Queue
from tasks.serving.server import serve

ROOT = Path(__file__).resolve().parent.parent
JSON = {"Content-Type": "application/json"}


@dataclass
class Pictures:
    """Bytes that are no picture, and what was asked for."""

    asked: list[tuple[str, int]] = field(default_factory=list)

    def jpeg(self, id: str, longest: int) -> bytes:
        self.asked.append((id, longest))
        if id == "broken":
            raise ValueError("the file is truncated")
        return b"\xff\xd8" + id.encode()


@dataclass(frozen=True)
class Served:
    """A server in a thread of this process, and its file."""

    url: str
    path: Path

    @property
    def port(self) -> int:
        return int(urlsplit(self.url).port or 0)

    @property
    def token(self) -> str:
        return urlsplit(self.url).path.strip("/")

    def fetch(
        self, path: str, body: object = None, method: str = "", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            sent = None if body is None else json.dumps(body)
            method = method or ("GET" if body is None else "POST")
            connection.request(method, f"/{self.token}/{path}", sent, {**(JSON if sent else {}), **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    def told(self, path: str, body: object = None) -> dict[str, Any]:
        status, _, content = self.fetch(path, body)
        assert status == 200, content
        told: dict[str, Any] = json.loads(content)
        return told

    def rows(self) -> list[list[str]]:
        """Image, tile and answer of every line."""
        with self.path.open(encoding="utf-8", newline="") as stream:
            return [row[:3] for row in csv.reader(stream)][1:]


@contextlib.contextmanager
def served(path: Path, asked: list[Asked], photos: Photos, next_command: str = "next") -> Iterator[Served]:
    """Ended by the page's own button, if the test did not press it."""
    addresses: queue.Queue[str] = queue.Queue()
    settings: dict[str, Any] = {"port": 0, "title": "Bridge", "next_command": next_command, "ready": addresses.put}
    thread = Thread(target=serve, args=(asked, photos, AnswerStore(path)), kwargs=settings, daemon=True)
    thread.start()
    server = Served(addresses.get(timeout=10), path)
    try:
        yield server
    finally:
        if thread.is_alive():
            with contextlib.suppress(OSError):
                server.fetch("done", {})
        thread.join(10)
    assert not thread.is_alive()


def photo(id: str, doubt: float = 0.5, name: str = "", hint: float = 0.5) -> Asked:
    return Asked(id, name or f"{id}.jpg", None, doubt, hint)


THREE = [photo("a", 0.1), photo("b", 0.9, hint=0.7), photo("c", 0.5, hint=float("nan"))]


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "answers.csv", THREE, Pictures()) as server:
        yield server


def ids(told: dict[str, Any]) -> list[str]:
    return [item["id"] for item in told["items"]]


# --- the file


def test_the_file_of_answers_can_be_read_by_eye(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "new" / "answers.csv")
    assert store.answers() == {}
    store.append("pier 3/a, b.jpg", "", "crack")
    store.append("c.jpg", "0 0 512 512", "no_crack")
    header, first, second = store.path.read_text().splitlines()
    assert header == "image,tile,answer,when"
    assert first.startswith('"pier 3/a, b.jpg",,crack,20') and first.endswith("Z")
    assert second.startswith("c.jpg,0 0 512 512,no_crack,20")


def test_the_last_line_about_an_image_and_a_tile_stands(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.csv")
    given = [("a", "", "crack"), ("a", "0 0 9 9", "skip"), ("b", "", "crack"), ("a", "", "no_crack")]
    for image, tile, answer in given:
        store.append(image, tile, answer)
    assert list(store.answers().items()) == [(("a", "0 0 9 9"), "skip"), (("b", ""), "crack"), (("a", ""), "no_crack")]
    assert len(store.path.read_text().splitlines()) == 5


@pytest.mark.parametrize(
    "name",
    [
        "=1+1.jpg",
        "+a",
        "-a",
        "@a",
        "\ta",
        "'a",
        "''",
        "=a\\nb",
        "a\\nb",
        'a"b',
        "a,b",
        "a\nb",
        "\r\n",
        "'=\n\\",
        "ü 好",
        "\udcff",
    ],
)
def test_any_name_comes_back_exactly_and_none_is_a_formula(tmp_path: Path, name: str) -> None:
    store = AnswerStore(tmp_path / "answers.csv")
    store.append(name, "", "crack")
    store.append("z", "", "skip")
    assert AnswerStore(store.path).answers() == {(name, ""): "crack", ("z", ""): "skip"}
    content = store.path.read_bytes()
    assert content.count(b"\n") == 3
    assert not content.splitlines()[1].lstrip(b'"').startswith((b"=", b"+", b"-", b"@", b"\t", b"\r"))


def test_a_file_cut_anywhere_loses_the_cut_line_at_most(tmp_path: Path) -> None:
    whole = AnswerStore(tmp_path / "whole.csv")
    whole.append("first.jpg", "", "crack")
    kept = len(whole.path.read_bytes())
    whole.append('se"c,ö.jpg', "1 2 3 4", "no_crack")
    content = whole.path.read_bytes()
    for size in range(len(content) + 1):
        store = AnswerStore(tmp_path / "cut.csv")
        store.path.write_bytes(content[:size])
        before = store.answers()
        store.append("next.jpg", "", "skip")
        assert store.answers() == {**before, ("next.jpg", ""): "skip"}
        assert (("first.jpg", "") in before) == (size >= kept - len(",2000-01-01T00:00:00.000Z\n"))
        assert len(pd.read_csv(store.path)) == len(before) + 1  # whoever reads it with something else


def test_a_file_that_somebody_edited_is_understood_or_told_about(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.csv")
    store.path.write_bytes("\ufeffimage,tile,answer,when\r\na.jpg,,crack\r\n\r\nb.jpg,,skip,yesterday".encode())
    assert store.answers() == {("a.jpg", ""): "crack", ("b.jpg", ""): "skip"}
    store.append("c.jpg", "", "crack")
    assert len(store.answers()) == 3
    store.path.write_text("image,tile,answer,when\na.jpg,,crack,\nb.jpg,,maybe,\n")
    with pytest.raises(SettingsError, match=r"line 3: 'b\.jpg,,maybe,' is no answer"):
        store.answers()
    store.path.write_text("photo,label\na.jpg,1\n")
    with pytest.raises(SettingsError, match="begins with 'photo,label'"):
        store.answers()


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = AnswerStore(tmp_path / "answers.csv")
    store.append("a", "", "crack")
    content, write, calls = store.path.read_bytes(), os.write, iter([5])

    def nearly_full(descriptor: int, data: bytes) -> int:
        for size in calls:
            return write(descriptor, data[:size])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(answers_file.os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        store.append("b", "", "crack")
    assert store.path.read_bytes() == content


def _many(path: Path, who: int) -> None:
    store = AnswerStore(path)
    for number in range(40):
        store.append(f"{who}-{number}", "", "crack")


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    workers = [multiprocessing.get_context("fork").Process(target=_many, args=(path, who)) for who in range(2)]
    workers_here = [Thread(target=_many, args=(path, who)) for who in (2, 3)]
    for worker in [*workers, *workers_here]:
        worker.start()
    for worker in [*workers, *workers_here]:
        worker.join()
    assert len(AnswerStore(path).answers()) == 160
    assert len(path.read_text().splitlines()) == 161


@pytest.mark.parametrize(("tile", "answer"), [("", "maybe"), ("1 2 3", "crack"), ("a", "crack"), ("", "")])
def test_an_answer_that_does_not_exist_is_not_written(tmp_path: Path, tile: str, answer: str) -> None:
    store = AnswerStore(tmp_path / "answers.csv")
    with pytest.raises(ValueError, match="allowed are crack, no_crack, skip, undone"):
        store.append("a", tile, answer)
    assert not store.path.exists()


# --- what is asked


def test_the_most_doubtful_unanswered_ones_are_asked_first(three: Served) -> None:
    assert ids(three.told("state")) == ["b", "c", "a"]
    told = three.told("answer", {"id": "b", "answer": "crack"})
    assert (ids(told), told["counts"]) == (["c", "a"], {"crack": 1, "no_crack": 0, "skip": 0})
    assert ids(three.told("state")) == ["c", "a"]  # a reload goes on
    assert three.rows() == [["b.jpg", "", "crack"]]


def test_an_answer_taken_back_is_asked_again_and_both_lines_stay(three: Served) -> None:
    three.told("answer", {"id": "c", "answer": "no_crack"})
    told = three.told("undo", {"id": "c"})
    assert (told["item"]["id"], ids(told)) == ("c", ["b", "c", "a"])
    three.told("undo", {"id": "c"})  # pressed twice: nothing more is to be taken back
    assert three.rows() == [["c.jpg", "", "no_crack"], ["c.jpg", "", "undone"]]


def test_two_tabs_that_answer_the_same_photo_are_both_kept_and_the_last_stands(three: Served) -> None:
    assert three.told("answer", {"id": "a", "answer": "crack"})["before"] == "undone"
    second = three.told("answer", {"id": "a", "answer": "no_crack"})
    assert (second["before"], second["counts"]["no_crack"], second["counts"]["crack"]) == ("crack", 1, 0)
    assert three.rows() == [["a.jpg", "", "crack"], ["a.jpg", "", "no_crack"]]


def test_skipped_ones_are_asked_again_only_when_wanted(three: Served) -> None:
    for id in "abc":
        told = three.told("answer", {"id": id, "answer": "skip" if id == "b" else "crack"})
    assert (told["items"], told["last"]) == ([], "c")
    told = three.told("again", {})
    assert (ids(told), told["counts"]) == (["b"], {"crack": 2, "no_crack": 0, "skip": 0})


def test_answers_of_another_day_are_not_asked_again(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path / "answers.csv")
    store.append("b.jpg", "", "crack")
    store.append("other.jpg", "", "crack")
    with served(store.path, THREE, Pictures()) as server:
        told = server.told("state")
    assert (ids(told), told["counts"]["crack"], told["last"]) == (["c", "a"], 1, "b")


def test_a_tile_knows_the_others_of_its_photo_and_what_was_said_of_them(tmp_path: Path) -> None:
    asked = [Asked(f"t{left}", "big.jpg", (left, 0, left + 10, 10), 0.5, 0.5) for left in (0, 10)]
    with served(tmp_path / "answers.csv", asked, Pictures()) as server:
        told = server.told("answer", {"id": "t0", "answer": "crack"})
        assert server.rows() == [["big.jpg", "0 0 10 10", "crack"]]
    assert told["items"][0]["tiles"] == [[0, 0, 10, 10, "crack"], [10, 0, 20, 10, "undone"]]


def test_pictures_come_by_id_and_a_broken_one_is_told(tmp_path: Path) -> None:
    photos = Pictures()
    with served(tmp_path / "answers.csv", [*THREE, photo("broken")], photos) as server:
        status, headers, content = server.fetch("photo/a")
        assert (status, headers["content-type"], content) == (200, "image/jpeg", b"\xff\xd8a")
        assert server.fetch("photo/a/large")[0] == 200
        status, _, content = server.fetch("photo/broken")
    assert (status, json.loads(content)["error"]) == (
        422,
        "broken.jpg cannot be shown (the file is truncated); skip it",
    )
    assert photos.asked == [("a", 1600), ("a", 4096), ("broken", 1600)]


def test_a_file_that_cannot_be_written_is_told_and_the_photo_stays_asked(three: Served) -> None:
    three.path.mkdir()
    status, _, content = three.fetch("answer", {"id": "b", "answer": "crack"})
    assert status == 500
    assert "answers.csv" in json.loads(content)["error"]
    three.path.rmdir()
    assert ids(three.told("state"))[0] == "b"


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ([photo("a"), photo("a")], "ask each of them once"),
        ([photo("../a")], "cannot name a photo"),
        ([photo("")], "cannot name a photo"),
        ([photo("a", doubt=1.1)], "lies in 0 to 1"),
        ([photo("a", doubt=float("nan"))], "lies in 0 to 1"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is_served(asked: list[Asked], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        Queue(asked)


def test_a_taken_port_is_told_in_one_sentence(three: Served) -> None:
    store = AnswerStore(three.path)
    for port, why in ((three.port, "cannot be had"), (70000, "is no port")):
        with pytest.raises(SettingsError, match=why):
            serve(THREE, Pictures(), store, port=port, title="", next_command="", ready=print)


# --- who may ask


def test_the_page_may_load_nothing_from_elsewhere_and_is_kept_nowhere(three: Served) -> None:
    seen = set()
    for path in ("", "", "state", "photo/a", "photo/none"):
        _, headers, content = three.fetch(path)
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; img-src 'self' data:; style-src 'nonce-")
        assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
        assert not [name for name in headers if name.lower().startswith("access-control")]
        if not path:
            nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
            assert f'<script nonce="{nonce}">'.encode() in content and b"{{nonce}}" not in content
            seen.add(nonce)
    assert len(seen) == 2  # drawn anew each time


def test_the_address_cannot_be_guessed_and_changes(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        with served(tmp_path / "answers.csv", THREE, Pictures()) as server:
            tokens.append(server.token)
            assert server.url.startswith(f"http://127.0.0.1:{server.port}/")
    assert len(set(tokens)) == 2 and min(map(len, tokens)) >= 43  # 256 bits


GOOD = b'{"id": "a", "answer": "crack"}'


def request(start: str, *headers: str, host: str | None = "127.0.0.1:PORT", body: bytes = b"") -> bytes:
    """Words as they go over the wire; PORT and TOKEN are filled in by the test."""
    lines = [start, *([f"Host: {host}"] if host is not None else []), *headers]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post(*headers: str, body: bytes = GOOD, path: str = "/TOKEN/answer", host: str | None = "127.0.0.1:PORT") -> bytes:
    typed = (
        () if any(line.lower().startswith("content-type") for line in headers) else ("Content-Type: application/json",)
    )
    return request(f"POST {path} HTTP/1.1", *typed, *headers, host=host, body=body)


def get(path: str, *headers: str, host: str | None = "127.0.0.1:PORT") -> bytes:
    return request(f"GET {path} HTTP/1.1", *headers, host=host)


HOSTILE = {
    "no token": get("/"),
    "no token, post": post(path="/answer"),
    "an empty token": post(path="//answer"),
    "a wrong token": post(path=f"/{'A' * 43}/answer"),
    "half the token": post(path="/HALF/answer"),
    "the token with more": post(path="/TOKENx/answer"),
    "the token in a query": post(path="/answer?token=TOKEN"),
    "the token as a header": post("Authorization: Bearer TOKEN", path="/answer"),
    "the token without its slash": get("/TOKEN"),
    "the token, encoded": post(path="/%TOKENHEX/answer"),
    "letters that are no ASCII": get("/\xe4\xf6/state"),
    "a path upwards": get("/TOKEN/photo/../../../../etc/passwd"),
    "a path upwards, encoded": get("/TOKEN/photo/%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
    "a path upwards, encoded twice": get("/TOKEN/photo/%252e%252e%252fetc"),
    "a path upwards, too long for UTF-8": get("/TOKEN/photo/%c0%ae%c0%ae%c0%af"),
    "a path with back slashes": get("/TOKEN/photo/..\\..\\etc"),
    "an absolute path": get("/TOKEN/photo//etc/passwd"),
    "a zero byte": get("/TOKEN/photo/a%00.jpg"),
    "a line break in the path": get("/TOKEN/photo/a%0d%0aSet-Cookie:x"),
    "a file's name in place of an id": get("/TOKEN/photo/a.jpg"),
    "an id that nobody has": get("/TOKEN/photo/zzz"),
    "the file of answers": get("/TOKEN/answers.csv"),
    "the source": get("/TOKEN/server.py"),
    "a query": get("/TOKEN/state?x=1"),
    "another address in the start line": get("http://evil.example/TOKEN/state"),
    "a foreign host": post(host="evil.example"),
    "a foreign host with the port": post(host="evil.example:PORT"),
    "a host that begins right": post(host="127.0.0.1:PORT.evil.example"),
    "a host with a user": post(host="x@127.0.0.1:PORT"),
    "the host without its port": post(host="127.0.0.1"),
    "another port": post(host="127.0.0.1:1"),
    "all hosts": post(host="0.0.0.0:PORT"),
    "no host": post(host=None),
    "two hosts": post("Host: evil.example"),
    "a foreign origin": post("Origin: http://evil.example"),
    "no origin to speak of": post("Origin: null"),
    "an empty origin": post("Origin: "),
    "an origin on another port": post("Origin: http://127.0.0.1:1"),
    "an origin over https": post("Origin: https://127.0.0.1:PORT"),
    "an origin of the other name": post("Origin: http://localhost:PORT"),
    "two origins": post("Origin: http://127.0.0.1:PORT", "Origin: http://evil.example"),
    "a form from elsewhere": post("Content-Type: application/x-www-form-urlencoded", body=b"id=a&answer=crack"),
    "JSON as plain text": post("Content-Type: text/plain"),
    "no type": request("POST /TOKEN/answer HTTP/1.1", body=GOOD),
    "two types": post("Content-Type: application/json", "Content-Type: text/plain"),
    "a type that begins right": post("Content-Type: application/jsonp"),
    "a page from elsewhere": post("Sec-Fetch-Site: cross-site"),
    "a picture on a page from elsewhere": get(
        "/TOKEN/photo/a", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"
    ),
    "a preflight": request("OPTIONS /TOKEN/answer HTTP/1.1", "Origin: http://evil.example"),
    "an answer by GET": get("/TOKEN/answer"),
    "done by GET": get("/TOKEN/done"),
    "a GET with a body": request("GET /TOKEN/state HTTP/1.1", body=GOOD),
    "PUT": request("PUT /TOKEN/answer HTTP/1.1", "Content-Type: application/json", body=GOOD),
    "DELETE": request("DELETE /TOKEN/photo/a HTTP/1.1"),
    "CONNECT": request("CONNECT evil.example:80 HTTP/1.1"),
    "an invented method": request("LOOK /TOKEN/state HTTP/1.1"),
    "a gigabyte announced": post("Content-Length: 1073741824", body=b"{"),
    "a gigabyte announced with a question": post("Content-Length: 1073741824", "Expect: 100-continue", body=b""),
    "a length that is no number": post("Content-Length: many"),
    "a negative length": post("Content-Length: -1"),
    "two lengths": post("Content-Length: 30", "Content-Length: 5"),
    "a length and chunks": post("Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + GOOD),
    "chunks without an end": post("Transfer-Encoding: chunked", body=b"1000\r\n" + b" " * 4096 + b"\r\n1\r\n \r\n"),
    "a body of 4097 bytes": post(body=GOOD + b" " * (4097 - len(GOOD))),
    "no body": post("Content-Length: 0", body=b""),
    "no JSON": post(body=b"crack"),
    "JSON that is no UTF-8": post(body=b'{"id": "\xff", "answer": "crack"}'),
    "a list": post(body=b'["a", "crack"]'),
    "a deep list": post(body=b"[" * 4096),
    "one name too many": post(body=b'{"id": "a", "answer": "crack", "path": "/etc/passwd"}'),
    "a name missing": post(body=b'{"id": "a"}'),
    "an answer that does not exist": post(body=b'{"id": "a", "answer": "maybe"}'),
    "undone as an answer": post(body=b'{"id": "a", "answer": "undone"}'),
    "an answer with a line break": post(body=b'{"id": "a", "answer": "crack\\nb.jpg,,crack"}'),
    "an answer that is a list": post(body=b'{"id": "a", "answer": ["crack"]}'),
    "an id that is a number": post(body=b'{"id": 1, "answer": "crack"}'),
    "an id that is a path": post(body=b'{"id": "../a", "answer": "crack"}'),
    "done with a wish": post(path="/TOKEN/done", body=b'{"now": true}'),
    "undo of a stranger": post(path="/TOKEN/undo", body=b'{"id": "zzz"}'),
    "a header of 200 kB": get("/TOKEN/state", f"X-Long: {'x' * 200_000}"),
    "a broken start line": b"HELLO\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an upgrade elsewhere": get("/WRONG/", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
}


def over_the_wire(server: Served, words: bytes) -> bytes:
    """Everything that comes back until the server closes; a reset after the answer is an end, too."""
    token = server.token
    meant = {
        "TOKENHEX": f"{ord(token[0]):02x}{token[1:]}",
        "TOKEN": token,
        "HALF": token[:21],
        "PORT": str(server.port),
    }
    for name, value in meant.items():
        words = words.replace(name.encode(), value.encode())
    got = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire, contextlib.suppress(ConnectionError):
        wire.sendall(words)
        while part := wire.recv(65536):
            got += part
    return got


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("watched") / "answers.csv", THREE, Pictures()) as server:
        server.told("answer", {"id": "b", "answer": "crack"})
        yield server


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_request_gets_an_error_and_changes_nothing(watched: Served, what: str) -> None:
    before = watched.path.read_bytes()
    got = over_the_wire(watched, HOSTILE[what])
    status = int(got.split(b" ")[1])
    assert got.startswith(b"HTTP/1.1 ") and 400 <= status < 500, got[:200]
    assert b"\xff\xd8" not in got and b"root:" not in got
    assert watched.path.read_bytes() == before
    assert ids(watched.told("state")) == ["c", "a"]  # and it is still there for its own page


@pytest.mark.parametrize("what", ["localhost", "an own origin", "a charset"])
def test_the_page_itself_is_let_in(three: Served, what: str) -> None:
    good = {
        "localhost": post("Connection: close", "Origin: http://localhost:PORT", host="localhost:PORT"),
        "an own origin": post("Connection: close", "Origin: http://127.0.0.1:PORT", "Sec-Fetch-Site: same-origin"),
        "a charset": post("Connection: close", "Content-Type: application/json; charset=UTF-8"),
    }
    assert over_the_wire(three, good[what]).startswith(b"HTTP/1.1 200 ")
    assert three.rows() == [["a.jpg", "", "crack"]]


@pytest.mark.parametrize("head", ["Content-Length: 1073741824", "Transfer-Encoding: chunked"])
def test_of_a_gigabyte_hardly_anything_is_read(watched: Served, head: str) -> None:
    start = post(head, body=b"").replace(b"TOKEN", watched.token.encode()).replace(b"PORT", str(watched.port).encode())
    sent, part = 0, b"10000\r\n" + b" " * 65536 + b"\r\n"
    with socket.create_connection(("127.0.0.1", watched.port), timeout=10) as wire, contextlib.suppress(OSError):
        wire.sendall(start)
        while sent < 1 << 30:
            wire.sendall(part)
            sent += len(part)
    assert sent < 32 << 20  # what fits into the buffers of the two sockets


def test_a_body_that_trickles_in_is_not_waited_for(watched: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.1)
    got = over_the_wire(watched, post("Content-Length: 40", body=b'{"id": '))
    assert got.startswith(b"HTTP/1.1 408 ")


# --- how it ends


def test_the_page_s_own_button_ends_the_server(tmp_path: Path) -> None:
    with served(tmp_path / "answers.csv", THREE, Pictures()) as server:
        server.told("done", {})
        time.sleep(0.5)
        with pytest.raises(ConnectionError):
            server.fetch("state")


SCRIPT = """
from pathlib import Path
import sys
from tasks.intake.answers import AnswerStore
from tasks.serving.asked import Asked
from tasks.serving.server import serve
class Pictures:
    def jpeg(self, id, longest): return b""
serve([Asked("a", "a.jpg", None, 1.0, 0.5)], Pictures(), AnswerStore(Path(sys.argv[1])), port=0, title="t",
      next_command="", ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


def interrupted(tmp_path: Path, meanwhile: Callable[[str], None]) -> tuple[int, str, str]:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "answers.csv")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        meanwhile(process.stdout.readline().strip())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        return process.returncode, out, err


def test_ctrl_c_ends_it_without_a_traceback_even_with_a_tab_open(tmp_path: Path) -> None:
    tabs = []

    def open_a_tab(url: str) -> None:
        server = Served(url, tmp_path / "answers.csv")
        tabs.append(socket.create_connection(("127.0.0.1", server.port)))
        tabs[0].sendall(b"GET / HTTP/1.1\r\n")  # and no more
        server.told("answer", {"id": "a", "answer": "crack"})

    code, out, err = interrupted(tmp_path, open_a_tab)
    tabs[0].close()
    assert (code, out, err) == (0, "ended\n", "")
    assert AnswerStore(tmp_path / "answers.csv").answers() == {("a.jpg", ""): "crack"}
