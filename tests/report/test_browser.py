"""The page in a real browser: asks for nothing, says no error, works by keyboard, fits a phone and paper, and axe finds no serious
fault. Skipped where there is no Chromium.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flawsight.images import image
from flawsight.report import html
from flawsight.types import Region, Report, Row

playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright, see requirements/test.txt")
axe = pytest.importorskip("axe_playwright_python.base", reason="the browser tests need axe, see requirements/test.txt")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed here; on Debian: apt install chromium"),
    pytest.mark.xdist_group("browser"),
]
DESK, PHONE = (1300, 900), (390, 844)
LONG = "line-3/camera-a/2026-11-30/part_0000000000000000000000000000000000000000000017_front.png"
Open = Callable[..., "playwright.Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def report(make_report: Callable[..., Report], make_row: Callable[..., Row]) -> Report:
    """Labelled pictures, one with a long name, one tall, and two unreadable ones."""
    made = make_report(unreadable={"test/broken.png": "is damaged.", "test/empty.png": "is empty."})
    tall = make_row("test/tall.png", None, 2.2, size_hw=(600, 40), heat=np.zeros((150, 10), np.float16))
    image.write(tall.sample.path, np.full((600, 40, 3), 90, np.uint8))
    region = Region((20, 16, 24, 20), 16, 3.0, (21, 17))
    long = make_row(f"test/{LONG}", None, 2.1, regions=(region,))
    metrics = {**made.metrics, "f1_max": 0.8, "image_f1": math.nan}
    return replace(made, rows=[*made.rows, tall, long], metrics=metrics, settings={**made.settings, "a_rather.long_name": "x" * 90})


@pytest.fixture
def open_page(browser: playwright.Browser, report: Report, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a report at a size; at the end there must have been no error and no request but for the page itself."""
    wrong: list[str] = []
    pages = []

    def opened(size: tuple[int, int] = DESK, dark: bool = False, **rendering: int) -> playwright.Page:
        file = tmp_path / "report.html"
        html.write(file, report, **rendering)
        page = browser.new_page(
            viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme="dark" if dark else "light"
        )
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on("request", lambda request: wrong.append(request.url) if not request.url.startswith("data:") else None)
        page.goto(file.as_uri())
        assert wrong == [file.as_uri()]
        wrong.clear()
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert wrong == []


def shown_cards(page: playwright.Page) -> int:
    return int(page.evaluate("Array.from(document.querySelectorAll('.card')).filter(one => one.offsetParent !== null).length"))


def focus_by_tab(page: playwright.Page, selector: str, at_most: int = 60) -> None:
    for _ in range(at_most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} cannot be reached by the Tab key")


def test_filters_work_by_keyboard_and_count_every_picture(open_page: Open) -> None:
    page = open_page(max_pictures=6)
    assert page.locator("#shown").inner_text() == "Showing 11 of 14 pictures"  # six cards, three more rejected, two unreadable
    focus_by_tab(page, "[data-value=rejected]")
    page.keyboard.press("Enter")
    assert page.locator("#shown").inner_text() == "Showing 7 of 7 pictures"
    assert shown_cards(page) == 4
    assert page.get_attribute("[data-value=rejected]", "aria-pressed") == "true"
    assert page.get_attribute("[data-value='']", "aria-pressed") == "false"
    assert all(
        one == "rejected" for one in page.eval_on_selector_all(".card:not([hidden])", "all => all.map(a => a.dataset.verdict)")
    )
    focus_by_tab(page, "[data-value=unreadable]")
    page.keyboard.press("Space")
    assert page.locator("#shown").inner_text() == "Showing 2 of 2 pictures"
    assert shown_cards(page) == 0
    assert page.locator("li[data-verdict]:visible").count() == 2


def test_pictures_are_enlarged_by_key_and_by_click(open_page: Open) -> None:
    page = open_page()
    focus_by_tab(page, ".enlarge")
    first = page.evaluate("document.activeElement.dataset.name")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert page.locator("#large-name").inner_text() == first
    assert page.locator("#large-picture .layers").bounding_box()["width"] > 500
    assert not page.locator("#large-picture .heat").is_visible()
    page.keyboard.press("h")
    assert page.locator("#large-picture .heat").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-name").inner_text() != first
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#large-name").inner_text() == first
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert page.evaluate("document.activeElement.dataset.name") == first
    page.locator(".enlarge").nth(2).click()
    assert dialog.is_visible()
    page.locator("#close").click()
    assert not dialog.is_visible()


def test_the_layers_are_switched(open_page: Open) -> None:
    page = open_page()
    layers = {kind: page.locator(f".card .layer.{kind}").first for kind in ("heat", "found", "truth")}
    for choice, visible in (("lines", (False, True, True)), ("heat", (True, True, True)), ("nothing", (False, False, False))):
        page.check(f"#over-{choice}")
        assert tuple(layer.is_visible() for layer in layers.values()) == visible


def test_cards_of_long_pictures_are_bounded(open_page: Open) -> None:
    page = open_page()
    card = page.locator(".card", has_text="tall.png")
    assert card.bounding_box()["height"] < 800
    boxes = [view.bounding_box() for view in card.locator(".layers").all()]
    assert boxes[0]["width"] > 200, "the close-up comes first"
    assert boxes[1]["height"] < 400


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_nothing_reaches_beyond_the_page_and_no_word_is_broken_letter_by_letter(open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(size)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
    broken = page.evaluate("""() => Array.from(document.querySelectorAll("h1, h2, h3, h4, p, th, td, dt, dd, li, .chip, button"))
      .filter(one => one.offsetParent !== null && one.children.length === 0 && one.textContent.trim().length > 5)
      .map(one => { const range = document.createRange(); range.selectNodeContents(one);
                    const lines = new Set(Array.from(range.getClientRects()).map(r => Math.round(r.top))).size;
                    return [one.textContent, one.textContent.trim().length / lines]; })
      .filter(one => one[1] < 4)""")
    assert broken == []


def test_a_table_that_scrolls_shows_that_it_does(open_page: Open) -> None:
    page = open_page(PHONE)
    scrolling = page.evaluate("""() => Array.from(document.querySelectorAll(".scroll"))
      .filter(one => one.scrollWidth > one.clientWidth)
      .map(one => [getComputedStyle(one).backgroundImage.split("gradient").length - 1, one.tabIndex])""")
    assert scrolling, "no table is wide enough to try it on"
    assert all(shades == 4 and index == 0 for shades, index in scrolling)


def test_on_paper_there_is_nothing_to_press(open_page: Open) -> None:
    page = open_page()
    page.emulate_media(media="print")
    for selector in ("#filters", ".over", "nav", ".skip", "dialog"):
        assert not page.locator(selector).first.is_visible(), selector
    assert shown_cards(page) == 12
    assert len(page.pdf()) > 10_000


@pytest.mark.parametrize(("size", "dark"), [(DESK, False), (PHONE, True)], ids=["desk-light", "phone-dark"])
def test_axe_finds_no_serious_fault(open_page: Open, size: tuple[int, int], dark: bool) -> None:
    page = open_page(size, dark, max_pictures=4)
    page.evaluate(axe.AXE_SCRIPT)
    for enlarged in (False, True):
        if enlarged:
            page.locator(".enlarge").first.click()
        found = page.evaluate("axe.run()")["violations"]
        serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
        assert serious == []
