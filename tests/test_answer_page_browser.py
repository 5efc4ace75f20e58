"""The answer page in a real browser: what a hand on a keyboard, or a thumb, can rely on."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from pipeline.ops.types import Pixels
from tasks.intake.answers import AnswerStore
from tasks.serving.asked import Asked
from tests.test_answer_page import Served, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = (1280, 800), (390, 844)
NASTY = "<img src=x onerror=alert(1)>.jpg"
SHOTS = os.environ.get("HAIRLINE_SCREENSHOTS", "")  # a folder to look at


@functools.cache
def pixels(seed: int) -> Pixels:
    """Rough concrete, and a dark line that wanders across it."""
    rng = np.random.default_rng(seed)
    grey = cv2.GaussianBlur(rng.normal(0, 60, (480, 640)).astype(np.float32), (0, 0), 2.5) + 150
    grey += cv2.resize(rng.normal(0, 12, (6, 8)).astype(np.float32), (640, 480), interpolation=cv2.INTER_CUBIC)
    heights = 240 + np.cumsum(rng.normal(0, 3, 81))
    line = np.stack([np.arange(81) * 8.0, heights], axis=1).astype(np.int32)
    cv2.polylines(grey, [line], False, 45.0, 3, cv2.LINE_AA)
    tinted = np.clip(grey[..., None] + rng.normal(0, 5, (480, 640, 1)) + np.array([-6, 0, 4]), 0, 255)
    return tinted.astype(np.uint8)


@dataclass
class Drawn:
    """Pictures as a camera would give them; those in `broken` are no pictures."""

    broken: set[str] = field(default_factory=set)

    def jpeg(self, id: str, longest: int) -> bytes:
        if id in self.broken:
            return b"no picture"
        return bytes(cv2.imencode(".jpg", pixels(sum(map(ord, id))))[1])


def photos(count: int = 6) -> list[Asked]:
    names = [NASTY, *(f"viaduct/pier 3/IMG_{number:04d}.jpg" for number in range(231, 230 + count))]
    return [Asked(f"p{place}", name, None, 1 - place / count, 0.2 + 0.1 * place) for place, name in enumerate(names)]


def tiles() -> list[Asked]:
    corners = [(left, top) for top in (0, 480, 960) for left in (0, 640, 1280, 1920)]
    return [
        Asked(
            f"t{place}", "viaduct/deck/DJI_0042.jpg", (left, top, left + 640, top + 480), 1 - abs(place - 6) / 12, 0.64
        )
        for place, (left, top) in enumerate(corners)
    ]


@dataclass
class Tab:
    """A page, and all that it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def press(self, *keys: str) -> None:
        """Each key is pressed once what the one before did is seen."""
        for key in keys:
            self.page.keyboard.press(key)
            self.until_seen()

    def until_seen(self) -> None:
        """The photo is there, or the end is."""
        self.page.wait_for_function(
            "() => !busy && state && (!current || document.querySelector('.broken')"
            " || pictures.get(current.id).naturalWidth > 0)"
        )

    def text(self, id: str) -> str:
        return self.page.locator(f"#{id}").inner_text()

    def shown(self) -> str:
        return str(self.page.evaluate("current && current.id"))

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.wait_for_timeout(350)
            self.page.screenshot(path=str(Path(SHOTS) / f"answer-{name}.png"))


@contextlib.contextmanager
def tab(browser: Browser, server: Served, size: tuple[int, int] = WIDE, *, dark: bool = False) -> Iterator[Tab]:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        has_touch=size == NARROW,
        is_mobile=size == NARROW,
    )
    opened = Tab(context.new_page())
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.goto(server.url)
    opened.until_seen()
    yield opened
    context.close()
    assert not [url for url in opened.requests if not url.startswith((server.url, "data:"))]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path / "answers.csv", photos(), Drawn(), "luigi --module tasks Label --dataset viaduct") as server:
        yield server


def test_three_photos_are_answered_by_keys_and_the_next_ones_were_fetched_ahead(
    browser: Browser, server: Served
) -> None:
    with tab(browser, server) as one:
        assert one.shown() == "p0"
        one.press("y", "ArrowLeft", "Space")
        assert [row[2] for row in server.rows()] == ["crack", "no_crack", "skip"]
        assert (one.shown(), one.text("answered"), one.text("cracks"), one.text("no-cracks")) == ("p3", "3", "1", "1")
        fetched = [url.rsplit("/", 1)[1] for url in one.requests if "/photo/" in url]
        assert fetched == ["p0", "p1", "p2", "p3", "p4", "p5"]  # each once, though nothing may be kept by the browser
        assert not one.complaints


@pytest.mark.slow
def test_undo_brings_the_photo_back_also_after_a_reload(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        one.press("1", "0", "u")
        assert (one.shown(), one.text("answered")) == ("p1", "1")
        one.page.reload()
        one.until_seen()
        assert one.shown() == "p1"
        one.press("Backspace")
        assert (one.shown(), one.text("answered")) == ("p0", "0")
        one.press("z")
        assert "nothing to take back" in one.text("toast")
        assert [row[2] for row in server.rows()] == ["crack", "no_crack", "undone", "undone"]
        assert not one.complaints


@pytest.mark.slow
def test_a_reload_in_the_middle_goes_on_where_it_was(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        one.press("y", "n")
        one.page.reload()
        one.until_seen()
        assert (one.shown(), one.text("answered")) == ("p2", "2")
        one.press("y")
        assert [row[2] for row in server.rows()] == ["crack", "no_crack", "crack"]


@pytest.mark.slow
def test_two_tabs_lose_nothing_and_each_is_told_of_the_other(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one, tab(browser, server) as two:
        one.press("y", "y")
        two.press("n")
        assert "Another tab had said crack; now it is no crack" in two.text("toast")
        assert (one.shown(), two.shown()) == ("p2", "p2")
        two.press("s")
        one.press("y")
        assert [row[2] for row in server.rows()] == ["crack", "crack", "no_crack", "skip", "crack"]
        standing = AnswerStore(server.path).answers()
        assert list(standing.values()) == ["crack", "no_crack", "crack"]


def test_a_photo_s_name_is_text_whatever_it_says(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        alarms: list[str] = []
        one.page.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
        assert one.text("name") == NASTY
        one.press("y")
        assert NASTY in one.text("trail")
        assert one.page.locator("img[src=x]").count() == 0
        assert not alarms and not one.complaints
        assert list(AnswerStore(server.path).answers()) == [(NASTY, "")]


@pytest.mark.slow
def test_the_hint_is_hidden_until_asked_for_and_again_at_the_next_photo(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        assert not one.page.locator("#guess").is_visible()
        one.press("h")
        assert one.text("guess") == "20 % crack"
        one.press("n")
        assert not one.page.locator("#guess").is_visible()
        assert "network 20 %" in one.text("trail")  # after the answer it may be known


@pytest.mark.slow
def test_the_loupe_shows_the_photo_sharper_where_the_pointer_is(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        one.press("+")
        one.page.wait_for_function("() => document.querySelector('#frame img').src.endsWith('/large')")
        assert one.text("factor") == "2×"
        one.page.locator("#frame").hover(position={"x": 10, "y": 10})
        assert float(one.page.evaluate("seenAt[0]")) < 5
        one.press("-")
        one.page.locator("#frame").click(position={"x": 200, "y": 100})
        assert one.text("factor") == "4×"
        one.press("y")
        assert (one.text("factor"), one.shown()) == ("1×", "p1")
        assert not one.complaints


@pytest.mark.slow
def test_a_held_or_foreign_key_is_no_answer(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        one.press("Control+y", "x", "5", "Tab", "Shift")
        one.page.keyboard.down("y")
        one.page.keyboard.down("y")  # as a keyboard does that repeats
        one.page.keyboard.up("y")
        one.until_seen()
        one.press("?", "y", "Escape")  # a key under the list of keys
        assert server.rows() == [[NASTY, "", "crack"]]


@pytest.mark.slow
def test_space_skips_also_after_a_button_was_clicked(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        one.page.get_by_role("button", name="No crack").click()
        one.until_seen()
        one.press("Space")
        assert [row[2] for row in server.rows()] == ["no_crack", "skip"]


@pytest.mark.slow
def test_an_answer_that_is_not_saved_is_told_and_tried_again(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        server.path.mkdir()  # nothing can be written
        one.press("y")
        assert "“crack” is not saved" in one.text("why")
        assert (one.shown(), one.text("answered")) == ("p0", "0")
        one.shot("unsaved-1280-light")
        server.path.rmdir()
        one.press("Enter")
        assert one.page.locator("#note").is_hidden()
        assert (one.shown(), server.rows()) == ("p1", [[NASTY, "", "crack"]])


@pytest.mark.slow
def test_a_server_that_is_gone_is_told_and_the_answer_stays(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        server.told("done", {})
        one.page.wait_for_timeout(400)
        one.press("n")
        assert "“no crack” is not saved: the server does not answer" in one.text("why")
        assert one.shown() == "p0"


@pytest.mark.slow
def test_a_photo_that_cannot_be_seen_can_only_be_skipped(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path / "answers.csv", photos(2), Drawn({"p0"})) as server, tab(browser, server) as one:
        assert "cannot be shown" in one.text("frame")
        one.press("y")
        assert server.path.exists() is False
        one.press("s")
        assert (one.shown(), [row[2] for row in server.rows()]) == ("p1", ["skip"])


@pytest.mark.slow
def test_the_end_counts_says_what_to_run_next_and_stops_the_server(browser: Browser, server: Served) -> None:
    with tab(browser, server) as one:
        one.press("y", "n", "n", "s", "y", "n")
        assert (one.text("sum-crack"), one.text("sum-no-crack"), one.text("sum-skip")) == ("2", "3", "1")
        assert one.text("command") == "luigi --module tasks Label --dataset viaduct"
        assert one.text("end-title") == "All answered"
        one.page.locator("#again").click()
        one.until_seen()
        assert one.shown() == "p3"
        one.press("n")
        one.page.locator("#done").click()
        one.page.wait_for_function("() => over")
        assert "The server has stopped" in one.text("end-text")
        assert not one.complaints


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["1280", "390"])
def test_it_fits_the_screen_and_its_words_can_be_read(
    browser: Browser, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    name = f"{size[0]}-{'dark' if dark else 'light'}"
    asked = [*tiles(), *photos()]
    with (
        served(tmp_path / "answers.csv", asked, Drawn(), "luigi --module tasks Label --dataset viaduct") as server,
        tab(browser, server, size, dark=dark) as one,
    ):
        one.shot(f"photo-{name}")
        assert_fits(one)
        one.press("n", "n", "y", "y")
        one.shot(f"tile-{name}")
        assert_fits(one)
        one.press("h", "?")
        one.shot(f"help-{name}")
        one.press("Escape")
        while one.shown() != "None":
            one.press("n")
        one.shot(f"end-{name}")
        assert_fits(one)
        ground = one.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(16, 19, 22)" if dark else "rgb(244, 245, 246)")
        assert not one.complaints


BESIDE_THE_SCREEN = """() => [...document.querySelectorAll("body *:not(bdi)")].filter((part) => {
  const box = part.getBoundingClientRect();
  return part.checkVisibility() && !part.closest("#frame, #map, #toast") &&
    (box.left < 0 || box.right > innerWidth + .5);
}).map((part) => part.outerHTML.slice(0, 80))"""

HARD_TO_READ = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
      .map((value) => (value <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4));
    return .2126 * red + .7152 * green + .0722 * blue;
  };
  const ground = (part) => {
    for (let at = part; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "white";
  };
  return [...document.querySelectorAll("body *")].filter((part) => {
    const words = [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!words || !part.checkVisibility() || part.closest(":disabled, #toast, script")) return false;
    const [dark, bright] = [light(getComputedStyle(part).color), light(ground(part))].sort((one, two) => one - two);
    return (bright + .05) / (dark + .05) < 4.5;
  }).map((part) => part.outerHTML.slice(0, 80));
}"""


def assert_fits(one: Tab) -> None:
    """Nothing beside the screen, no button below a thumb's size, all words with a contrast of 4.5 or more."""
    one.page.evaluate("document.getAnimations().forEach((one) => { try { one.finish(); } catch { /* endless */ } })")
    assert one.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert one.page.evaluate(BESIDE_THE_SCREEN) == []
    assert one.page.evaluate(HARD_TO_READ) == []
    for button in one.page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None and box["height"] >= 40 and box["width"] >= 38, button.inner_text()
        assert box["y"] + box["height"] <= one.page.evaluate("innerHeight")
