"""The page: whole, closed to the network, readable without pictures, honest about what is missing."""

import base64
import math
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from flawsight import image
from flawsight.errors import UsageError
from flawsight.report import cards, html
from flawsight.types import Report, Row

MakeReport = Callable[..., Report]
VOID = {"meta", "img", "wbr", "br", "link", "input"}


class Page(HTMLParser):
    """Collects tags and text; fails on a tag that does not close the last one opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        self.words.append(" " * (tag in ("td", "th", "dt", "dd")))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def names(page: Page) -> list[str]:
    """Names of the pictures in the order of the page."""
    alts = [attributes["alt"] or "" for attributes in page.all("img")]
    return [alt.split(" under its heat map")[0] for alt in alts if " under its heat map" in alt]


def test_page_is_balanced_and_asks_nothing_of_a_network(make_report: MakeReport) -> None:
    text = html.render(make_report())
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "base")
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"] for attributes in page.all("a")} <= {f"#{name}" for name in ids}


def test_page_is_for_everyone(make_report: MakeReport) -> None:
    page = Page(html.render(make_report()))
    assert page.all("html")[0]["lang"] == "en"
    assert any(attributes.get("name") == "viewport" for attributes in page.all("meta"))
    assert all(attributes.get("alt") for attributes in page.all("img"))
    assert all(attributes.get("aria-label") for attributes in page.all("svg"))
    assert len(page.all("h1")) == 1
    assert all(attributes["type"] == "button" and "aria-pressed" in attributes for attributes in page.all("button"))
    filters = next(attributes for _, attributes in page.tags if attributes.get("id") == "filters")
    assert "hidden" in filters, "without a script there is nothing that a filter could do"


def test_page_tells_the_result_in_words_and_numbers(make_report: MakeReport) -> None:
    text = Page(html.render(make_report())).text
    assert "1 of 4 good pictures rejected; 2 of 6 defective pictures missed" in text
    assert "Rejected above a score of 1.000. At most 1 of 20 good pictures is rejected." in text
    assert "Image AUROC 91.67 %" in text
    assert "Pixel AUROC 98.77 %" in text
    assert "PRO 90.00 %" in text
    assert "Image AP 90.00 %" in text
    assert "own metric 50.00 %" in text
    assert "preprocess.size 224, 224" in text
    assert "preprocess.crop none" in text
    assert "score all 1.50 s" in text
    assert "seed 7" in text


@pytest.mark.parametrize("promise", ["with 95% confidence at most 5 % will be", "With 95% confidence at most 5 % will be."])
def test_the_promise_is_a_sentence(make_report: MakeReport, promise: str) -> None:
    text = Page(html.render(make_report(rows=[], threshold={"value": 1.0, "promise": promise}))).text
    assert " With 95% confidence at most 5 % will be. " in text


def test_a_threshold_that_promises_nothing(make_report: MakeReport) -> None:
    assert "score of 1.000. Result" in Page(html.render(make_report(threshold={"value": 1.0}))).text


def test_mistakes_come_first_and_the_worst_of_them_leads(make_report: MakeReport) -> None:
    found = names(Page(html.render(make_report())))
    assert found[:3] == ["test/good/003.png", "test/scratch/000.png", "test/scratch/001.png"]
    assert found[3:] == [
        "test/dent/größe/001.png",
        "test/scratch/003.png",
        "test/scratch/002.png",
        "test/dent/größe/000.png",
        "test/good/002.png",
        "test/good/001.png",
        "test/good/000.png",
    ]


def test_too_many_pictures_are_thinned_and_counted(make_report: MakeReport) -> None:
    page = Page(html.render(make_report(), max_pictures=5))
    assert names(page)[3:] == ["test/dent/größe/000.png", "test/good/002.png"]
    assert "5 pictures of 10 not shown" in page.text
    assert "1 of 4 good pictures rejected" in page.text


@pytest.mark.parametrize(("at_most", "n_wrong", "n_rest"), [(0, 0, 0), (2, 2, 0), (3, 3, 0), (99, 3, 7)])
def test_choice_keeps_to_its_number(make_report: MakeReport, at_most: int, n_wrong: int, n_rest: int) -> None:
    wrong, rest = cards.choose(make_report().rows, 1.0, at_most)
    assert (len(wrong), len(rest)) == (n_wrong, n_rest)


def test_foreign_text_is_escaped_and_kept(make_report: MakeReport, make_row: Callable[..., Row]) -> None:
    evil = '<script>alert("x")</script>/ü 漢字 \'"&.png'
    rows = [make_row(evil, 1, 2.0, "<img src=x>"), make_row("b.png", 0, 0.5, '"><b>')]
    text = html.render(make_report(rows=rows, title=evil, settings={evil: evil}, threshold={"value": 1.0, "promise": evil}))
    page = Page(text)
    assert len(page.all("script")) == 1
    assert not page.all("b")
    assert all((attributes.get("src") or "").startswith("data:") for attributes in page.all("img"))
    assert names(page)[0] == evil
    assert evil in page.text
    assert "One note <b>bold</b>." in page.text


def test_what_cannot_be_measured_says_why(make_report: MakeReport) -> None:
    report = make_report()
    goods = [row for row in report.rows if row.sample.label == 0]
    metrics = {"image_auroc": math.nan, "image_ap": math.nan, "pixel_auroc": math.nan}
    counts = {"good": 4, "defective": 0, "false_rejects": 1, "misses": 0}
    text = Page(html.render(replace(report, rows=goods, metrics=metrics, counts=counts, curves={}))).text
    assert "nan" not in text.lower()
    assert text.count("Not measurable: there are no defective pictures.") == 4
    assert "Image AP not measurable" in text
    assert "ROC" not in text.replace("AUROC", "")


def test_missing_masks_are_the_reason_for_missing_pixel_metrics(make_report: MakeReport) -> None:
    report = make_report(metrics={"image_auroc": 0.9})
    rows = [replace(row, sample=replace(row.sample, mask=None)) for row in report.rows]
    text = Page(html.render(replace(report, rows=rows))).text
    assert text.count("Not measurable: there are no masks of the true defects.") == 2
    assert "true defect outlined" not in text


def test_masks_left_out_by_choice_are_told(make_report: MakeReport) -> None:
    text = Page(html.render(make_report(metrics={"image_auroc": 0.9, "pro": math.nan}))).text
    assert text.count("Not measurable: the masks were not used.") == 1
    assert text.count("Not measurable: the pictures or masks do not allow it.") == 1


def test_pictures_without_labels(make_report: MakeReport) -> None:
    report = make_report(metrics={}, curves={}, counts={}, held_out=np.zeros(0, np.float32), notes=[])
    rows = [replace(row, sample=replace(row.sample, label=None, kind="", mask=None)) for row in report.rows]
    page = Page(html.render(replace(report, rows=rows)))
    assert "5 of 10 pictures rejected" in page.text
    assert "AUROC" not in page.text
    assert "Mistakes" not in page.text
    assert names(page)[0] == "test/dent/größe/001.png"
    assert "10 of 10 pictures" in page.text


def test_no_pictures_at_all(make_report: MakeReport) -> None:
    page = Page(html.render(make_report(rows=[], metrics={}, curves={}, counts={})))
    assert "0 of 0 pictures rejected" in page.text


def test_evidence_is_drawn_beside_the_nearest_good_patch(make_report: MakeReport) -> None:
    page = Page(html.render(make_report()))
    alts = [attributes["alt"] or "" for attributes in page.all("img")]
    assert len(alts) == 40
    assert alts.count("Nearest good patch, in train/good/000.png") == 10
    assert "Nearest good patch from train/good/000.png" in page.text


def test_training_pictures_not_at_hand_are_told_once(make_report: MakeReport) -> None:
    for train in ({}, {"train/good/000.png": Path("moved.png")}):
        page = Page(html.render(make_report(train=train)))
        assert page.text.count("not at hand") == 1
        assert "Nearest good patch from train/good/000.png" in page.text
        assert len(page.all("img")) == 30


def test_a_picture_that_is_gone_leaves_a_card_and_a_note(make_report: MakeReport) -> None:
    report = make_report()
    report.rows[0].sample.path.unlink()
    report.rows[5].sample.mask.unlink()  # type: ignore[union-attr]
    text = Page(html.render(report)).text
    assert "2 pictures could not be read" in text
    assert "Not shown: " in text
    assert "there is no such file" in text


def test_pictures_nobody_looked_at_in_full_are_explained(make_report: MakeReport) -> None:
    report = make_report()
    assert "nobody looked" not in html.render(report)
    report.rows[0].heat[:, :2] = np.nan
    assert "nobody looked" in html.render(report)


def test_thumbnails_are_small_pictures(make_report: MakeReport, make_row: Callable[..., Row]) -> None:
    row = make_row("big.png", 0, 0.5, "good", evidence=None)
    image.write(row.sample.path, np.full((500, 1000, 3), 70, np.uint8))
    found = Page(html.render(make_report(rows=[row]))).all("img")
    assert [(picture["width"], picture["height"]) for picture in found] == [("320", "160")] * 2
    data = base64.b64decode((found[1]["src"] or "").partition(",")[2])
    assert np.abs(image.read(data).astype(int) - 70).max() <= 3


def test_filters_carry_counts_and_match_the_cards(make_report: MakeReport) -> None:
    page = Page(html.render(make_report()))
    counted = dict(re.findall(r"(All|Mistakes|Rejected|Passed|good|scratch|dent/größe) (\d+) ", page.text))
    shown = page.all("article")
    assert len(shown) == int(counted["All"]) == 10
    assert sum(card["data-mistake"] == "mistake" for card in shown) == int(counted["Mistakes"]) == 3
    assert sum(card["data-verdict"] == "rejected" for card in shown) == 5
    assert sum(card["data-kind"] == "dent/größe" for card in shown) == 2
    values = {button["data-value"] for button in page.all("button") if button["data-key"] == "kind"}
    assert values == {"", "good", "scratch", "dent/größe"}


def test_progress_counts_up(make_report: MakeReport) -> None:
    calls: list[tuple[str, int, int]] = []
    html.render(make_report(), max_pictures=4, progress=lambda phase, done, total: calls.append((phase, done, total)))
    assert calls == [("drawing pictures", done, 4) for done in (1, 2, 3, 4)]


def test_same_report_same_page(make_report: MakeReport) -> None:
    report = make_report()
    assert html.render(report) == html.render(report)


def test_write_is_whole_or_not_at_all(make_report: MakeReport, tmp_path: Path) -> None:
    path = tmp_path / "bericht-ä.html"
    report = make_report(title="gl\udce4ser")  # a name that is no text, as a file system may give it
    html.write(path, report)
    Page(path.read_text("utf-8"))
    with pytest.raises(UsageError, match="no-folder"):
        html.write(tmp_path / "no-folder" / "report.html", report, max_pictures=0)


def test_importing_is_light() -> None:
    """The command line starts before anyone asks for a picture."""
    code = "import sys, flawsight.report.html; print({'PIL', 'jinja2', 'scipy', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_other_thresholds_are_offered_and_the_set_one_marked(make_report) -> None:
    page = html.render(make_report())
    assert "Other thresholds" in page
    assert page.count(" (fits best)</th>") == 1
    assert page.count("(set)") == 1
    assert "Other thresholds" not in html.render(make_report(held_out=np.zeros(0, np.float32)))


def test_without_maps_the_page_shows_the_pictures_and_says_so(make_report: MakeReport) -> None:
    report = make_report(metrics={"image_auroc": 0.9})
    mapped = Page(html.render(report))
    page = Page(html.render(replace(report, rows=[replace(row, heat=None, evidence=None) for row in report.rows])))
    assert "This method gives no map" in page.text
    assert "This method gives no map" not in mapped.text
    assert page.text.count("Not measurable: this method gives no map.") == 2  # pixel AUROC and PRO
    assert "heat map" not in page.text
    assert (len(page.all("img")), len(mapped.all("img"))) == (10, 40)
    assert sum("the true defect outlined" in str(picture["alt"]) for picture in page.all("img")) == 6
    assert all("with score" in str(picture["alt"]) for picture in page.all("img"))
