"""Pages: complete, escaped, readable on any background, written as a whole."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from napari_semimultipose.errors import SemiMultiPoseError
from napari_semimultipose.evaluation.figures import new_figure
from napari_semimultipose.reports.page import Image, Page, checked_name, jpeg_of, number, svg_of

from .reading import Report

NASTY = "<script>alert('1')</script> & \"x\""


def drawn(title: str = "errors"):
    figure = new_figure(3, 2)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black")
    axes.grid(color="#DDDDDD")
    axes.set_title(title, parse_math=False)
    return figure


@pytest.fixture
def page() -> Page:
    page = Page(NASTY, NASTY)
    section = page.section(NASTY)
    section.heading(NASTY)
    section.text(NASTY)
    section.note(NASTY)
    section.facts([(NASTY, NASTY)])
    section.highlights([(NASTY, NASTY)])
    section.table((NASTY, "n"), [(NASTY, "1.5")], NASTY)
    section.plot(drawn(NASTY), NASTY)
    section.plot(drawn(), "again")
    section.gallery([Image(np.zeros((8, 9, 3), np.uint8), NASTY)])
    section.key({NASTY: "red"})
    section.folded(NASTY, NASTY)
    page.section("nothing")
    return page


def test_everything_is_escaped(page: Page, tmp_path: Path) -> None:
    page.write(tmp_path / "report.html")
    report = Report(tmp_path / "report.html")  # refuses scripts and tags that do not close
    assert report.headings == [NASTY] * 3
    assert report.notes == [NASTY]
    assert report.tiles == {NASTY: NASTY}
    assert report.tables == [[[NASTY, NASTY]], [[NASTY, "n"], [NASTY, "1.5"]]]
    assert report.captions == [NASTY, "again", NASTY]


def test_the_page_needs_nothing_else_and_has_no_id_twice(page: Page, tmp_path: Path) -> None:
    page.write(tmp_path / "report.html")
    report = Report(tmp_path / "report.html")
    assert report.links
    assert all(link.startswith(("data:", "#")) for link in report.links)
    assert len(set(report.ids)) == len(report.ids)
    inside = {link[1:] for link in report.links if link.startswith("#")}
    assert inside <= set(report.ids)
    for part in report.source.split("url(#")[1:]:
        assert part.split(")")[0] in report.ids
    assert "http://" not in report.source.replace("http://www.w3.org/", "")


def test_a_section_without_content_is_left_out(page: Page) -> None:
    assert "nothing" not in page.html()


def test_black_and_grey_of_plots_follow_the_text(page: Page) -> None:
    text = svg_of(drawn())
    assert "currentColor" in text
    assert "var(--line)" in text
    assert "#000000" not in text
    assert "#ffffff" not in text  # the background stays that of the page


def test_pictures_are_kept() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200
    kind, _, code = jpeg_of(picture).partition(",")
    assert kind == "data:image/jpeg;base64"
    back = np.asarray(Pillow.open(io.BytesIO(base64.b64decode(code))))
    assert np.abs(back.astype(int) - picture).max() < 30
    assert back.shape == picture.shape


def test_an_old_report_stays_when_a_new_one_fails(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")

    def broken(self: Path, text: str, **how: str) -> None:
        self.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", broken)
    with pytest.raises(OSError, match="disk full"):
        page.write(out)
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_reports_have_the_ending_of_a_page(tmp_path: Path) -> None:
    assert checked_name(tmp_path / "a.HTML") == tmp_path / "a.HTML"
    with pytest.raises(SemiMultiPoseError, match="a browser prints them to PDF"):
        checked_name(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("value", "form", "unit", "text"),
    [(0.12345, ".3f", "", "0.123"), (None, ".3f", "px", "–"), (float("nan"), "d", "", "–"),
     (2.0, ".1f", "px", "2.0 px"), (7, "d", "", "7")],
)  # fmt: skip
def test_numbers(value: float | None, form: str, unit: str, text: str) -> None:
    assert number(value, form, unit) == text
