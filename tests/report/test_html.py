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
from typing import Any

import numpy as np
import pytest

from flawsight.errors import UsageError
from flawsight.images import image
from flawsight.report import cards, html
from flawsight.types import Crop, Evidence, Report, Row

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
    return [button["data-name"] or "" for button in page.all("button") if button.get("class") == "enlarge"]


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
    assert all(attributes.get("alt") for attributes in page.all("img") if not (attributes.get("class") or "").startswith("layer"))
    assert all(attributes.get("aria-label") for attributes in page.all("svg"))
    assert len(page.all("h1")) == 1
    assert all(attributes["type"] == "button" for attributes in page.all("button"))
    assert all("aria-pressed" in attributes for attributes in page.all("button") if "data-key" in attributes)
    assert all(attributes.get("aria-label") for attributes in page.all("button") if attributes.get("class") == "enlarge")
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
    assert names(page)[3:] == ["test/dent/größe/001.png", "test/scratch/003.png"]
    assert "5 pictures of 10 not drawn" in page.text
    assert "1 of 4 good pictures rejected" in page.text


@pytest.mark.parametrize(
    ("at_most", "drawn", "n_left"), [(0, (0, 0, 0), 5), (2, (2, 0, 0), 4), (5, (3, 2, 0), 2), (8, (3, 4, 1), 0), (99, (3, 4, 3), 0)]
)
def test_choice_keeps_to_its_number(make_report: MakeReport, at_most: int, drawn: tuple[int, int, int], n_left: int) -> None:
    chosen = cards.choose(make_report().rows, 1.0, at_most)
    assert (len(chosen.mistakes), len(chosen.rejected), len(chosen.passed)) == drawn
    assert len(chosen.left) == n_left


def without_labels(report: Report, **changes: Any) -> Report:
    rows = [replace(row, sample=replace(row.sample, label=None, kind="", mask=None)) for row in report.rows]
    return replace(report, rows=rows, metrics={}, curves={}, counts={}, **changes)


@pytest.fixture
def crowded(make_report: MakeReport, make_row: Callable[..., Row]) -> Report:
    """Ten pictures without labels of which five are far above the threshold, twenty just below it, and two unreadable ones."""
    report = without_labels(make_report())
    near = [make_row(f"near/{number:02}.png", None, 0.99 - number / 1000) for number in range(20)]
    return replace(report, rows=[*near, *report.rows], unreadable={"a.png": "is empty. Copy it.", "<b>.png": "is gone."})


def test_rejected_pictures_are_drawn_before_those_near_the_threshold(crowded: Report) -> None:
    page = Page(html.render(crowded, max_pictures=7))
    found = names(page)
    assert found[:5] == [
        f"test/{name}.png" for name in ("dent/größe/001", "scratch/003", "scratch/002", "good/003", "dent/größe/000")
    ]
    assert found[5:] == ["near/00.png", "near/01.png"]
    assert "All rejected pictures 5 " in page.text
    assert "All passed pictures 25 Highest score first. 2 of 25 are drawn." in page.text


def test_filters_and_headline_count_pictures_that_are_not_drawn(crowded: Report) -> None:
    for at_most, n_shown in ((2, 2 + 3 + 2), (7, 7 + 2), (99, 32)):  # drawn, rejected and only named, unreadable
        page = Page(html.render(crowded, max_pictures=at_most))
        assert re.search(r"All 32 \s*Rejected 5 \s*Passed 25 \s*Unreadable 2 ", page.text)
        assert "5 of 30 pictures rejected; 2 more could not be read" in page.text
        assert f"Showing {n_shown} of 32 pictures" in page.text


def test_rejected_pictures_without_room_are_named(crowded: Report) -> None:
    page = Page(html.render(crowded, max_pictures=2))
    assert "Rejected pictures that are not drawn 3 " in page.text
    assert "test/scratch/002.png score 1.800 test/good/003.png score 1.300 test/dent/größe/000.png score 1.100" in page.text


def test_the_folder_that_all_pictures_share_is_said_once(make_report: MakeReport) -> None:
    page = Page(html.render(make_report(notes=[])))
    assert page.text.count("test/") == 1
    assert "All lie in test/ " in page.text
    assert "dent/größe/001.png rejected" in page.text


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/a/b/1.png", "/a/b/2.png"], "/a/b/"),
        (["/a/b/1.png", "/a/bc/2.png"], "/a/"),
        (["a/1.png", "2.png"], ""),
        (["/1.png", "/x/2.png"], "/"),
        (["a/b/1.png"], "a/b/"),
        (["1.png"], ""),
        ([], ""),
    ],
)
def test_shared_folder(paths: list[str], folder: str) -> None:
    assert cards.shared_folder(paths) == folder


def test_unreadable_pictures_are_listed_once_with_the_reason(crowded: Report) -> None:
    message = [f"Left out, unreadable: {name}: {reason}" for name, reason in crowded.unreadable.items()]
    page = Page(html.render(replace(crowded, notes=[*message, "Another note."])))
    assert "Unreadable pictures 2 a.png is empty. Copy it. <b>.png is gone." in page.text
    assert page.text.count("is empty.") == page.text.count("Another note.") == 1
    assert sum(item.get("data-verdict") == "unreadable" for item in page.all("li")) == 2


def test_foreign_text_is_escaped_and_kept(make_report: MakeReport, make_row: Callable[..., Row]) -> None:
    evil = '<script>alert("x")</script>/ü 漢字 \'"&.png'
    rows = [make_row(evil, 1, 2.0, "<img src=x>"), make_row("b.png", 0, 0.5, '"><b>')]
    text = html.render(make_report(rows=rows, title=evil, settings={evil: evil}, threshold={"value": 1.0, "promise": evil}))
    page = Page(text)
    assert len(page.all("script")) == 2  # its own: filters, and the view that enlarges
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
    page = Page(html.render(without_labels(make_report(), held_out=np.zeros(0, np.float32), notes=[])))
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
    plain, defective, rejected = 10, 6, 5
    assert len(alts) == 4 * plain + defective + rejected, "picture, heat map, two patches; outline of the truth; what was found"
    assert alts.count("Nearest good patch, in train/good/000.png") == 10
    assert "Nearest good patch from train/good/000.png" in page.text


def test_training_pictures_not_at_hand_are_told_once(make_report: MakeReport) -> None:
    for train in ({}, {"train/good/000.png": Path("moved.png")}):
        page = Page(html.render(make_report(train=train)))
        assert page.text.count("not at hand") == 1
        assert "Nearest good patch from train/good/000.png" in page.text
        assert len(page.all("img")) == 41


@pytest.mark.parametrize("is_nearest", [True, False])
def test_crops_are_drawn_where_training_pictures_are_not_at_hand(
    make_report: MakeReport, make_row: Callable[..., Row], is_nearest: bool
) -> None:
    crop = Crop(
        np.full((48, 48, 3), (20, 200, 20), np.uint8), (1 / 3, 1 / 3, 2 / 3, 2 / 3), is_nearest, "other.png", (8, 8, 16, 16)
    )
    rows = [make_row("a.png", None, 2.0, evidence=Evidence((16, 16, 24, 24), "train/good/000.png", (8, 8, 16, 16), crop))]
    page = Page(html.render(make_report(rows=rows, train={})))
    (drawn,) = [one for one in page.all("img") if "as the network sees it" in (one["alt"] or "")]
    pixels = image.read(base64.b64decode((drawn["src"] or "").partition(",")[2]))
    assert pixels.shape == (240, 240, 3)
    assert np.abs(pixels[120, 120].astype(int) - (20, 200, 20)).max() <= 8
    assert (pixels > 200).all(2).any(), "the patch is framed"
    assert "not drawn" not in page.text
    assert ("a good patch like it, kept in the model" in page.text) != is_nearest
    assert ("Nearest good patch from train/good/000.png, as kept in the model" in page.text) == is_nearest
    assert ("one most like it of those kept in the model, from other.png" in page.text) != is_nearest
    assert ("flawsight score --good DIR" in page.text) != is_nearest
    good = Page(html.render(replace(make_report(), rows=rows)))
    assert not [one for one in good.all("img") if "as the network sees it" in (one["alt"] or "")], "the picture itself comes first"
    assert "kept in the model" not in good.text


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
    found, heat = Page(html.render(make_report(rows=[row]))).all("img")
    assert (found["width"], found["height"]) == ("480", "240")
    data = base64.b64decode((found["src"] or "").partition(",")[2])
    assert np.abs(image.read(data).astype(int) - 70).max() <= 3
    assert heat["class"] == "layer heat"


def test_filters_carry_counts_and_match_the_cards(make_report: MakeReport) -> None:
    page = Page(html.render(make_report()))
    counted = dict(re.findall(r"(All|Mistakes|Rejected|Passed|good|scratch|dent/größe) (\d+) ", page.text))
    shown = page.all("article")
    assert len(shown) == int(counted["All"]) == 10
    assert sum(card["data-mistake"] == "mistake" for card in shown) == int(counted["Mistakes"]) == 3
    assert sum(card["data-verdict"] == "rejected" for card in shown) == 5
    assert sum(card["data-kind"] == "dent/größe" for card in shown) == 2
    values = {button["data-value"] for button in page.all("button") if button.get("data-key") == "kind"}
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
    assert (len(page.all("img")), len(mapped.all("img"))) == (16, 51)  # outlines of six true defects among them
    assert sum(picture.get("class") == "layer truth" for picture in page.all("img")) == 6
    assert sum("with score" in str(picture["alt"]) for picture in page.all("img")) == 10
