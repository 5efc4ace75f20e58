"""report.html in a real browser: what an eye, a hand on a keyboard, or a hostile file name can rely on."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from pipeline.reports.crack_tables import PhotoResult, Scale
from pipeline.reports.report_page import report
from tests.test_report import CLASSES, HOSTILE, MM, crack, photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = (1280, 800), (390, 844)
SHOTS = os.environ.get("HAIRLINE_SCREENSHOTS", "")  # a folder to look at


@dataclass
class Tab:
    """A page, and all that it asked for and complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def shown(self) -> list[str]:
        """The photos of the gallery that are not filtered away."""
        return list(self.page.locator(".card:visible h3").all_inner_texts())

    def column(self, number: int) -> list[str]:
        return list(self.page.locator(f"#cracks tbody td:nth-child({number})").all_inner_texts())

    def number_of(self, what: str) -> int:
        return int(self.page.locator(what).count())


@contextlib.contextmanager
def opened(browser: Browser, path: Path, size: tuple[int, int] = WIDE, *, script: bool = True) -> Iterator[Tab]:
    """From disk, as a person opens it; nothing may be asked for or complained of."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, java_script_enabled=script, accept_downloads=True
    )
    context.set_default_timeout(5000)
    page = context.new_page()
    tab = Tab(page)
    page.on("request", lambda request: tab.requests.append(request.url))
    page.on("console", lambda message: tab.complaints.append(message.text))
    page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    page.on("dialog", lambda dialog: (tab.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.goto(path.as_uri())
    yield tab
    asked = [url for url in tab.requests if not url.startswith(("data:", "blob:"))]
    assert {url.partition("#")[0] for url in asked} == {path.as_uri()}
    assert tab.complaints == []
    context.close()


def written(
    folder: Path,
    results: Sequence[PhotoResult],
    *,
    scale: Scale = MM,
    about: Mapping[str, str] | None = None,
    title: str = "bridge",
    reviews: Mapping[str, str] | None = None,
) -> Path:
    path = folder / "report.html"
    text = report(results, scale, about or {}, title=title, reviews=reviews or {}, width_classes_mm=CLASSES)
    path.write_text(text, encoding="utf-8")
    return path


def some() -> list[PhotoResult]:
    return [
        photo(name="a/wide.jpg", cracks=[crack(widest=9), crack(widest=2, length=30)]),
        photo(name="a/long.jpg", cracks=[crack(widest=4, length=200)], doubt=0.8, uncertain="Not sure."),
        photo(name="b/unread.jpg", cracks=[crack(width=math.nan, length=60, at_border=True)]),
        photo(name="b/none.jpg", doubt=0.7),
    ]


def test_hostile_texts_stay_texts(browser: Browser, tmp_path: Path) -> None:
    place = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    results = [
        photo(name=text, cracks=[crack(), crack()], uncertain=text, georeference=place, crs=text) for text in HOSTILE
    ]
    about = {text: text for text in HOSTILE} | {"network": HOSTILE[0], "warning": HOSTILE[1], "made on": HOSTILE[15]}
    plain = [photo(name=f"{place}.jpg", cracks=[crack(), crack()], uncertain="x") for place in range(len(HOSTILE))]
    counts = []
    for texts in (False, True):
        reviews = dict.fromkeys(HOSTILE, "approve") if texts else {}
        told = about if texts else {f"k{place}": "x" for place in range(len(about) - 1)} | {"warning": "x"}
        shown = results if texts else plain
        title = "".join(HOSTILE) if texts else "x"
        with opened(browser, written(tmp_path, shown, about=told, title=title, reviews=reviews)) as tab:
            kinds = "script, iframe, style, object, embed, form, base, img, meta, [onerror], [onload], [onmouseover]"
            counts.append(tab.number_of(kinds))
            assert tab.number_of("[onerror], [onload], [onmouseover], iframe, svg[onload]") == 0
            assert tab.number_of(".card") == len(HOSTILE)
            assert tab.page.evaluate("document.documentElement.scrollWidth") == WIDE[0]
            tab.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
            assert tab.page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
            if texts:
                body = tab.page.inner_text("body")
                assert "{{7*7}}" in body
                assert "<script>alert(1)</script>.jpg" in body
                assert "\u202e" not in body
                assert tab.page.inner_text("#marked") == f"{len(HOSTILE)} of {len(HOSTILE)} marked"
    assert counts[0] == counts[1], "nothing more than in a page of harmless names"


def test_marks_are_kept_saved_to_a_file_and_shown_by_the_next_run(browser: Browser, tmp_path: Path) -> None:
    results = [*some(), photo(name="__proto__")]
    path = written(tmp_path, results, reviews={"b/none.jpg": "reject", "gone.jpg": "approve"})
    with opened(browser, path) as tab:
        page = tab.page
        page.locator("#photo-1 [data-mark=approve]").click()
        page.locator("[data-photo]", has_text="__proto__").locator("[data-mark=correct]").click()
        page.locator("[data-photo]", has_text="none.jpg").locator("[data-mark=reject]").click()
        page.reload()
        assert page.locator("#photo-1 [data-mark=approve]").get_attribute("aria-pressed") == "true"
        assert page.inner_text("#marked") == "2 of 5 marked"
        with page.expect_download() as waiting:
            page.locator("#save").click()
        assert waiting.value.suggested_filename == "review.json"
        content = json.loads(Path(waiting.value.path()).read_text())
        assert content["marks"] == {"a/wide.jpg": "approve", "__proto__": "correct", "gone.jpg": "approve"}
        assert "beside this report" in page.inner_text("#said")
    again = written(tmp_path, results, reviews=content["marks"])
    with opened(browser, again) as tab:
        assert tab.page.locator("#photo-1").get_attribute("data-mark") == "approve"


def test_the_table_is_sorted_by_click_and_by_key_and_says_how(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, some())) as tab:
        page, head = tab.page, tab.page.locator("#cracks th")
        assert head.nth(3).get_attribute("aria-sort") == "descending"
        assert [cell.split("\n")[0] for cell in tab.column(4)] == ["4.50 mm", "2.00 mm", "1.00 mm", "not measurable"]
        head.nth(3).locator("button").click()
        assert [cell.split("\n")[0] for cell in tab.column(4)] == ["1.00 mm", "2.00 mm", "4.50 mm", "not measurable"]
        head.nth(2).locator("button").focus()
        page.keyboard.press("Enter")
        assert tab.column(3) == ["100 mm", "50.0 mm", "≥ 30.0 mm", "15.0 mm"]
        assert head.nth(2).get_attribute("aria-sort") == "descending"
        assert head.nth(3).get_attribute("aria-sort") is None
        assert page.inner_text("#said") == "Sorted by Length, downwards"
        head.nth(0).locator("button").click()
        assert tab.column(1) == ["a/long.jpg", "a/wide.jpg", "a/wide.jpg", "b/unread.jpg"]


def test_filters_leave_the_photos_that_are_asked_for(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, some())) as tab:
        assert tab.shown() == ["a/wide.jpg", "a/long.jpg", "b/unread.jpg", "b/none.jpg"]
        tab.page.get_by_label("only doubtful").check()
        assert tab.shown() == ["a/long.jpg", "b/none.jpg"]
        tab.page.get_by_label("only with cracks").check()
        assert tab.shown() == ["a/long.jpg"]
        assert tab.page.inner_text("#shown") == "1 of 4 photos"
        assert tab.number_of("#cracks tbody tr:visible") == 1


def coloured(png: bytes) -> int:
    """Pixels that are no grey."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).astype(int)
    return int((np.ptp(pixels, axis=2) > 100).sum())


def test_the_slider_shows_more_or_less_of_the_cracks_by_key_and_by_hand(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, some())) as tab:
        slide = tab.page.locator("#photo-1 .slide")

        def seen() -> float:
            """The share of the picture that shows the cracks."""
            return float(
                tab.page.evaluate(
                    "getComputedStyle(document.querySelector('#photo-1 .over')).clipPath"
                    ".match(/calc\\(100% - ([\\d.]+)%\\)|([\\d.]+)%/).slice(1).map(Number)"
                    ".map((value, place) => place ? 100 - value : value).find(isFinite)"
                )
            )

        before = seen()
        slide.focus()
        tab.page.keyboard.press("ArrowLeft")
        assert seen() == before - 1
        tab.page.keyboard.press("Home")
        assert seen() == 0
        assert coloured(tab.page.locator("#photo-1 .frame").screenshot()) == 0
        tab.page.keyboard.press("End")
        assert 50 < coloured(tab.page.locator("#photo-1 .frame").screenshot()) < 5000, "thin, and seen on grey"
        box = tab.page.locator("#photo-1 .frame").bounding_box()
        assert box
        tab.page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2)
        assert abs(seen() - 25) <= 2, "the line is where the hand is"
        assert slide.get_attribute("aria-valuetext") == f"{seen():.0f}% of the picture show the cracks"


def test_nothing_is_wider_than_a_phone_and_every_button_can_be_hit(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, some()), NARROW) as tab:
        assert tab.page.evaluate("document.documentElement.scrollWidth") == NARROW[0]
        for box in tab.page.locator(".card button, #save, .filters label").all():
            size = box.bounding_box()
            assert size
            assert size["height"] >= 36


def test_without_scripts_the_cracks_are_drawn_and_no_dead_button_is_seen(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, some()), script=False) as tab:
        assert tab.number_of(".tools:visible, .marks:visible, .slide:visible") == 0
        assert tab.number_of(".drawn:visible") == 3


def test_on_paper_the_cracks_are_drawn_and_controls_are_gone_but_marks_stay(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, written(tmp_path, some(), reviews={"a/wide.jpg": "approve"})) as tab:
        tab.page.emulate_media(media="print", color_scheme="dark")
        assert tab.number_of(".tools:visible, .slide:visible, .edge:visible, #cracks th button:visible") == 0
        assert tab.page.locator(".marks button:visible").all_inner_texts() == ["approve"]
        over = "getComputedStyle(document.querySelector('.over')).clipPath"
        assert tab.page.evaluate(over) == "none"
        assert tab.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = rgb(getComputedStyle(node).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || !node.checkVisibility() || node.closest("script, .dot, .unseen")) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(node.className + " " + node.textContent.trim().slice(0, 30));
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_by_weak_eyes(browser: Browser, tmp_path: Path, scheme: str) -> None:
    about = {"warning": "A starter.", "network": "unet"}
    path = written(tmp_path, some(), about=about, reviews={"a/wide.jpg": "approve"})
    with opened(browser, path) as tab:
        tab.page.emulate_media(color_scheme=scheme)
        tab.page.locator("#photo-2 [data-mark=reject]").click()
        tab.page.get_by_label("only with cracks").check()
        tab.page.wait_for_timeout(250)
        assert tab.page.evaluate(CONTRAST) == []
        if SHOTS:
            tab.page.screenshot(path=str(Path(SHOTS) / f"report-{scheme}.png"), full_page=True)
