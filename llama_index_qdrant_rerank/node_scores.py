"""Strategies over points that are already known: what their candidates are, and how the answer becomes nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, TypeAlias

from llama_index.core.schema import NodeWithScore
from qdrant_client import models

from qdrant_rerank import Formula, Nearest, QueryError, StrategyError, when
from qdrant_rerank._internals import Points, Raw, candidate_scores, walk, warn_of_distances
from qdrant_rerank.expressions import Expression
from qdrant_rerank.stages import Stage

from .nodes import PointId, point_id, with_hidden

__all__ = [
    "Missing",
    "ScoreSource",
    "check_over_nodes",
    "over_nodes",
    "over_scored_nodes",
    "place_points",
    "to_ranked_nodes",
]

Missing: TypeAlias = Literal["keep_at_end", "drop", "raise"]
ScoreSource: TypeAlias = Literal["qdrant", "nodes"]


@dataclass(frozen=True, repr=False)
class Listed(Stage):
    """All points that meet the filter, in no order, each with the score 1: candidates that need no query vector."""

    def query(self, inputs: Any, limit: int) -> Any:
        return None


def over_nodes(strategy: Stage, using: str | None) -> Stage:
    """`strategy` with candidates for each formula that has none; the call's filter makes them the nodes' points.

    A formula that reads `score()` gets `Nearest(using)`, any other gets `Listed()`, so that no query is needed.
    """
    return _over(strategy, lambda formula: Nearest(using) if _reads_score(formula) else Listed())


def over_scored_nodes(strategy: Stage, scores: Mapping[PointId, float]) -> Stage:
    """As `over_nodes`, with these scores, by the points' ids, as `score()`."""
    warn_of_distances(list(scores.values()))
    by_score: dict[float, list[PointId]] = {}
    for point, score in scores.items():
        by_score.setdefault(score, []).append(point)
    terms = [when(models.HasIdCondition(has_id=list(points)), score) for score, points in by_score.items()]
    scored = Formula(sum(terms[1:], start=terms[0])).over(Listed())
    return _over(strategy, lambda formula: scored if _reads_score(formula) else Listed())


def _over(strategy: Stage, candidates_of: Callable[[Stage], Stage]) -> Stage:
    if strategy.candidates:
        return replace(strategy, candidates=tuple(_over(stage, candidates_of) for stage in strategy.candidates))
    return strategy.over(candidates_of(strategy)) if _computes(strategy) else strategy


def _bare_formulas(strategy: Stage) -> list[Stage]:
    return [stage for stage in strategy.stages() if _computes(stage) and not stage.candidates]


def _computes(stage: Stage) -> bool:
    return next(stage.own_expressions(), None) is not None


def _reads_score(stage: Stage) -> bool:
    return any(map(_names_score, stage.own_expressions()))


def _names_score(expression: Expression) -> bool:
    raw = (str(node.expression) for node in walk(expression) if isinstance(node, Raw))
    return bool(candidate_scores(expression)) or any("$score" in text for text in raw)


def check_over_nodes(strategy: object, using: str | None, score_source: str, missing: str) -> Stage:
    """The strategy, if it can rescore nodes with these settings.

    Raises:
        StrategyError: it can't, or a setting has no effect on it.
    """
    if not isinstance(strategy, Stage):
        raise StrategyError(
            f"strategy must be one that Qdrant runs by itself, such as Formula(…) or Nearest('colbert'), got {strategy!r}"
        )
    if score_source not in ("qdrant", "nodes"):
        raise StrategyError(f"score_source must be 'qdrant' or 'nodes', got {score_source!r}")
    if missing not in ("keep_at_end", "drop", "raise"):
        raise StrategyError(f"missing must be 'keep_at_end', 'drop' or 'raise', got {missing!r}")
    if missing != "drop" and any(stage.filter or stage.score_threshold is not None for stage in strategy.stages()):
        raise StrategyError(
            f"nodes that a filter or score_threshold in {strategy!r} leaves out can't be told from nodes that Qdrant doesn't "
            "have: pass missing='drop'"
        )
    reading = [formula for formula in _bare_formulas(strategy) if _reads_score(formula)]
    if using is not None and (not reading or score_source == "nodes"):
        raise StrategyError(f"using={using!r} has no effect: it is the vector behind score() in a formula without candidates")
    if score_source == "nodes":
        _check_reads_nodes(strategy, reading)
    return strategy


def _check_reads_nodes(strategy: Stage, reading: Iterable[Stage]) -> None:
    expressions = (expression for formula in reading for expression in formula.own_expressions())
    names = {score.name for expression in expressions for score in candidate_scores(expression)}
    if not names:
        raise StrategyError(f"score_source='nodes' has no effect: no formula without candidates in {strategy!r} reads score()")
    if names != {None}:
        raise StrategyError(f"with score_source='nodes' there is one score, without a name: write score() in {strategy!r}")


def place_points(nodes: Sequence[NodeWithScore]) -> dict[PointId, list[int]]:
    """Where in `nodes` each point is; nodes whose ids no point can have aren't in it."""
    places: dict[PointId, list[int]] = {}
    for place, node in enumerate(nodes):
        point = point_id(node.node.node_id)
        if point is not None:
            places.setdefault(point, []).append(place)
    return places


def to_ranked_nodes(
    nodes: Sequence[NodeWithScore],
    points: Points,
    strategy: Stage,
    missing: Missing,
    keep_retrieval_score: bool,
) -> list[NodeWithScore]:
    """New nodes with scores in Qdrant's order; where scores are equal, as they came.

    Raises:
        QueryError: Qdrant has no score for a node, and `missing` is "raise".
    """
    order = _order(place_points(nodes), points, strategy)
    left = sorted(set(range(len(nodes))).difference(place for place, _ in order))
    if left and missing == "raise":
        listed = ", ".join(repr(nodes[place].node.node_id) for place in left[:5])
        raise QueryError(
            f"Qdrant has no score for {len(left)} of {len(nodes)} nodes, e.g. {listed}: they aren't in the collection, or lack "
            "the vector; pass missing='keep_at_end' or 'drop' to go on without"
        )
    if missing == "keep_at_end":
        order += [(place, None) for place in left]
    return [_renew(nodes[place], score, keep_retrieval_score) for place, score in order]


def _order(places: Mapping[PointId, list[int]], points: Points, strategy: Stage) -> list[tuple[int, float | None]]:
    """The nodes that Qdrant scored: where they were, and their scores, best first."""
    scores = [(point_id(point.id), float(point.score)) for point in points]
    found = [(place, score) for point, score in scores if point is not None for place in places.get(point, [])]
    if not strategy.ranks_by_score:  # MMR's order is the order of choice, which equal scores don't undo
        return list(found)
    return [each for _, equal in groupby(found, key=lambda each: each[1]) for each in sorted(equal)]


def _renew(node: NodeWithScore, score: float | None, keep_retrieval_score: bool) -> NodeWithScore:
    kept = with_hidden(node.node, {"retrieval_score": node.score}) if keep_retrieval_score else node.node
    return NodeWithScore(node=kept, score=score)
