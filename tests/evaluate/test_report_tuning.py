"""What a report says and draws of a tuning: which configuration is what, and each family's means over what it varies."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from qdrant_rerank import Fusion, Nearest
from qdrant_rerank.report import report
from qdrant_rerank.report._internals import Curve, curves_of, describe_curve, draw_curve, introduce_curves, sum_up_curve
from qdrant_rerank.tune import Grid, Rrf, SingleCandidates, Space, Tuning, WeightedSum, tune

from . import reports
from .reports import text_of
from .tuning_worlds import world

KS = (1, 2, 3, 5, 8, 13, 21, 34, 55)
CANDIDATES = Nearest("a", limit=20), Nearest("b", limit=20)


def tuned(noise: tuple[float, float], *families: Any) -> Tuning:
    executor, topics, qrels = world(noise)
    return tune(executor, topics, qrels, space=Space(families))


@pytest.fixture(scope="module")
def switched() -> Tuning:
    found = tuned(
        (9.0, 0.3), SingleCandidates(), Rrf(), WeightedSum(), Grid("mine", lambda k: Fusion.rrf(k).over(*CANDIDATES), {"k": KS})
    )
    assert found.recommended
    assert found.chosen == "b alone"
    return found


@pytest.fixture(scope="module")
def kept() -> Tuning:
    found = tuned((0.6, 0.8), WeightedSum())
    assert not found.recommended
    return found


def signs(found: Tuning) -> dict[str, str]:
    page = re.findall(r'class="long">(.*?) <span class="tag">(.*?)</span></th>', report(tuning=found).html())
    markdown = re.findall(r"^\| (.*?) \((.*?)\) \|", report(tuning=found).markdown(), re.M)
    assert page == markdown
    return dict(page)


def test_a_configuration_to_switch_to_is_called_chosen_and_the_default_nothing_but_default(switched: Tuning) -> None:
    assert signs(switched) == {"b alone": "chosen"}


def test_what_is_picked_but_not_recommended_is_said_not_to_be_better(kept: Tuning) -> None:
    assert kept.chosen.startswith("sum ")
    assert signs(kept) == {kept.chosen: "picked, but not shown to be better", "default": "kept"}


def test_a_default_that_is_the_best_is_kept_rather_than_picked() -> None:
    found = tuned((0.6, 0.5), SingleCandidates())
    assert found.chosen == "default"
    assert signs(found) == {"default": "kept"}


def test_each_family_that_varies_a_number_is_drawn_over_it(switched: Tuning) -> None:
    curves = {curve.family: curve for curve in curves_of(switched)}
    assert list(curves) == ["RRF", "weighted sum", "mine"]  # neither single candidates nor the default vary a number
    assert curves["RRF"].parameter == "k"
    assert curves["weighted sum"].parameter == "weight of a"
    assert len(curves["RRF"].points) == len(switched.curves["RRF"])
    for number, mean in curves["RRF"].best:
        tried = [point.mean for point in switched.curves["RRF"] if point.parameters["k"] == number]
        assert mean == max(tried)
        assert len(tried) > 1
    assert [number for number, _ in curves["RRF"].best] == [1, 2, 10, 20, 61, 100]
    assert {curve.default for curve in curves.values()} == {switched["default"].mean}
    assert [curve.chosen for curve in curves.values()] == [None, None, None]


def test_the_page_draws_the_curves_and_markdown_tells_them(switched: Tuning) -> None:
    made = report(tuning=switched)
    page, markdown = made.html(), made.markdown()
    for number, curve in enumerate(curves_of(switched)):
        assert f'aria-label="{describe_curve(curve)}"' in page
        assert f'id="tuning-{number}-' in page
        assert sum_up_curve(curve) in text_of(page)
        assert f"- {describe_curve(curve)} (Drawn in the HTML report.)" in markdown
    assert "The upright axis is the same in all figures." in text_of(page)


def test_beside_a_comparison_by_another_measure_the_figures_name_the_tuning_s(kept: Tuning) -> None:
    made = report(reports.two(), replace(kept, measure="RR"))
    assert "mean RR" in text_of(made.html())
    assert "Mean RR over weight of a, weighted sum. The best at each: " in made.markdown()


def test_without_numbers_to_draw_over_there_is_no_figure() -> None:
    once = Grid("once", lambda k: Fusion.rrf(k).over(*CANDIDATES), {"k": [7]})
    switch = Grid("switch", lambda deep: Fusion.rrf(5 if deep else 6).over(*CANDIDATES), {"deep": [True, False]})
    found = tuned((0.6, 0.5), SingleCandidates(), once, switch)
    assert {"once", "switch"} < set(found.curves)
    page = report(tuning=found).html()
    assert "<figure>" not in page
    assert "Each circle" not in page


def test_the_diamond_is_spoken_of_where_there_is_one(kept: Tuning, switched: Tuning) -> None:
    [curve] = curves_of(kept)
    assert curve.chosen == (kept[kept.chosen].parameters["weight of a"], kept[kept.chosen].mean)
    assert "diamond" in introduce_curves([curve])
    assert "diamond" not in introduce_curves(list(curves_of(switched)))
    without = draw_curve(replace(curve, chosen=None), [curve], "k")
    assert "#d55e00" in draw_curve(curve, [curve], "k")
    assert "#d55e00" not in without


def test_numbers_far_apart_get_equal_ratios_and_many_are_not_all_written() -> None:
    assert numbers_below(curve_over(1, 2, 10, 20, 61, 100)) == [1, 2, 10, 20, 61, 100]
    assert numbers_below(curve_over(0, 50, 100)) == [0, 50, 100]
    assert numbers_below(curve_over(*KS)) == [1, 3, 8, 21, 55]
    even, uneven = (places_below(curve_over(*numbers)) for numbers in ((10, 20, 30), (1, 10, 100)))
    assert even[1] - even[0] == pytest.approx(even[2] - even[1], abs=0.01)
    assert uneven[1] - uneven[0] == pytest.approx(uneven[2] - uneven[1], abs=0.01)


def test_all_figures_have_the_same_upright_axis_with_room_for_means_that_are_all_the_same() -> None:
    low, high = curve_over(1, 2, means=(0.1, 0.2)), curve_over(1, 2, means=(0.8, 0.9))
    assert upright(low, [low, high]) == upright(high, [low, high]) != upright(low, [low])
    flat = curve_over(1, 2, means=(0.5, 0.5))
    assert len(upright(flat, [flat])) > 1


def test_a_legend_says_which_line_is_the_default_and_which_point_is_picked() -> None:
    curve = curve_over(1, 2, means=(0.5, 0.9))
    assert [text.strip() for _, text in figure(curve)][-1] == "default"
    assert [text.strip() for _, text in figure(replace(curve, chosen=(2, 0.9)))][-2:] == ["picked", "default"]


def test_configurations_are_counted_in_the_singular_too() -> None:
    curve = curve_over(1, 2, means=(0.25, 0.5))
    assert sum_up_curve(curve) == "RRF, 2 configurations: the best mean is 0.5000, with k 2."
    assert sum_up_curve(replace(curve, points=curve.points[:1])).startswith("RRF, 1 configuration: ")
    assert describe_curve(curve) == "Mean RR over k, RRF. The best at each: 0.2500 at 1, 0.5000 at 2. The default: 0.5000."


def curve_over(*numbers: float, means: tuple[float, ...] = ()) -> Curve:
    points = tuple(zip(numbers, means or [0.4 + 0.01 * place for place in range(len(numbers))], strict=True))
    return Curve("RRF", "RR", "k", points, points, None, 0.5)


def figure(curve: Curve, among: list[Curve] | None = None) -> list[tuple[str, str]]:
    """The attributes and the content of each text, in the order drawn: numbers below, the label, numbers at the side."""
    found = re.findall(r"<text ([^>]*)>([^<]+)</text>", draw_curve(curve, among or [curve], "t"))
    assert found
    return found


def numbers_below(curve: Curve) -> list[float]:
    written = [text for _, text in figure(curve)]
    return [float(text) for text in written[: written.index("k (RRF)")]]


def places_below(curve: Curve) -> list[float]:
    return [float(x) for style, _ in figure(curve)[:3] for x in re.findall(r'\bx="([\d.]+)"', style)]


def upright(curve: Curve, among: list[Curve]) -> list[str]:
    written = [text for _, text in figure(curve, among)]
    return written[written.index("k (RRF)") + 1 : written.index("mean RR")]
