"""The HTML page is valid, needs nothing else, and takes no text for markup; figures can be told apart and read aloud."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from qdrant_rerank.report import Coefficient, report
from qdrant_rerank.report._internals import systems_of

from . import reports

CASES = ("two", "six", "failing", "long_names", "hostile", "one")
VOID = {"meta", "br", "img", "link", "hr", "input"}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    extras: dict[str, Any] = {"calibration": reports.calibration(), "coefficients": reports.coefficients()}
    return {case: report(getattr(reports, case)(), **(extras if case == "six" else {})).html() for case in CASES}


class Reader(HTMLParser):
    """Notes all elements with their attributes, and complains of tags that don't match."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.headings: list[str] = []
        self.feed(page)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice: <{tag} {attrs}>"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("case", CASES)
def test_the_page_is_balanced_and_its_ids_are_its_own(pages: dict[str, str], case: str) -> None:
    reader = Reader(pages[case])
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = {found for _, attributes in reader.elements for found in _referred(attributes)}
    assert wanted <= set(ids)
    assert wanted


def _referred(attributes: dict[str, str | None]) -> set[str]:
    found: set[str] = set()
    for name, value in attributes.items():
        if name in ("aria-labelledby", "aria-describedby"):
            found |= set((value or "").split())
        if name == "href":
            assert value is not None
            assert value.startswith("#")
            found.add(value[1:])
        found |= set(re.findall(r"url\(#([^)]+)\)", value or ""))
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_strict_parser_finds_no_fault(pages: dict[str, str], case: str) -> None:
    html5lib = pytest.importorskip("html5lib")
    html5lib.HTMLParser(strict=True).parse(pages[case])


@pytest.mark.parametrize("case", CASES)
def test_the_page_asks_for_nothing_from_elsewhere(pages: dict[str, str], case: str) -> None:
    page = pages[case]
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    reader = Reader(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "image"} & {
        tag for tag, _ in reader.elements
    }
    assert not [name for _, attributes in reader.elements for name in attributes if name == "src" or name.startswith("on")]
    policies = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_texts_that_look_like_markup_are_shown_as_they_are(pages: dict[str, str]) -> None:
    page = pages["hostile"]
    assert "<script" not in page
    assert "onerror=alert(2)&gt;" in page
    assert "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; | &lt;img src=x" in page
    assert "&lt;/text&gt;&lt;script&gt;b" in page
    assert "<b>a</b>" not in page


def test_titles_details_and_coefficients_are_escaped_too() -> None:
    hostile = reports.HOSTILE
    made = report(
        reports.one(),
        title=hostile,
        date=hostile,
        details={hostile: hostile},
        coefficients=[Coefficient(hostile, 1.0)],
    )
    page = made.html()
    Reader(page)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 6  # the title twice


def test_markdown_takes_no_text_for_markup() -> None:
    text = report(reports.hostile()).markdown()
    assert "<" not in text
    assert r"\| &lt;img src=x onerror=alert(2)&gt; \`code\` \*\*bold\*\* \$x\$ &amp; more" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
    for before, after, line in zip(widths, widths[1:], tables[1:], strict=False):
        if line.startswith(("|:-", "|--")):
            assert before == after
    assert tables


@pytest.mark.parametrize("case", CASES)
def test_tables_and_figures_can_be_read_aloud(pages: dict[str, str], case: str) -> None:
    reader = Reader(pages[case])
    assert reader.all("html") == [{"lang": "en"}]
    assert all(head.get("scope") in ("col", "row") for head in reader.all("th"))
    assert len(reader.all("th")) > 3
    plots = [attributes for _, attributes in reader.elements if attributes.get("role") == "img"]
    assert len(plots) == len(reader.all("figure"))
    assert all(len(plot["aria-label"] or "") > 40 for plot in plots)
    assert all(svg.get("aria-hidden") == "true" for svg in reader.all("svg"))
    assert all(area.get("tabindex") == "0" for _, area in reader.elements if area.get("class") == "scroll")
    assert any(meta.get("name") == "viewport" for meta in reader.all("meta"))
    assert "@media print" in pages[case]
    assert "@media (max-width" in pages[case]


def test_figures_follow_the_colours_of_the_page_and_keep_their_text(pages: dict[str, str]) -> None:
    page = pages["six"]
    plots = re.findall(r'<svg viewBox="[\d. ]+" aria-hidden="true" focusable="false">\n.*?</svg>', page, re.S)
    assert len(plots) == 4  # two costs, the gains, the reliability diagram
    for plot in plots:
        assert "currentColor" in plot
        assert "#010203" not in plot
        assert "DejaVu" not in plot
    assert "nDCG@10</text>" in plots[0]
    for system in ("plain BM25", "hybrid (DBSF)", "cross-encoder"):
        assert f"{system}</text>" in plots[0]


def test_costs_that_are_the_same_for_all_are_not_drawn(pages: dict[str, str]) -> None:
    assert 'id="cost-p50-ms-' in pages["two"]
    assert 'id="cost-round-trips-' not in pages["two"]
    assert 'id="cost-round-trips-' in pages["six"]


def test_without_times_the_page_draws_what_is_known() -> None:
    from qdrant_rerank.evaluate import compare

    topics, qrels = reports.world(26)
    pair = [reports.system(topics, qrels, name, skill, milliseconds=None) for name, skill in (("a", 0.3), ("b", 0.8))]
    page = report(compare(pair)).html()
    assert 'id="cost-p50-ms-' not in page
    assert 'id="cost-round-trips-' in page
    read = [reports.system(topics, qrels, "a", 0.3, milliseconds=None), reports.system(topics, qrels, "b", 0.8, texts_read=50)]
    assert 'id="cost-model-texts-' in report(compare(read)).html()


def test_of_many_topics_bars_become_one_shape() -> None:
    few, many = (report(reports.two(count)).html() for count in (40, 200))
    assert many.count("<path") < few.count("<path") + 10


def test_systems_differ_in_shape_and_colour() -> None:
    systems = systems_of([f"s{number}" for number in range(42)], "s0")
    assert len({(one.colour, one.marker) for one in systems.values()}) == 42
    assert all(one.label == name for name, one in systems.items())
    assert [one.is_baseline for one in systems.values()].count(True) == 1


def test_one_long_name_gives_all_letters() -> None:
    labels = [one.label for one in systems_of(["short", *("x" * 30 + str(number) for number in range(27))], None).values()]
    assert labels[:3] == ["A", "B", "C"]
    assert labels[25:] == ["Z", "AA", "AB"]
