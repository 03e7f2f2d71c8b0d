"""Strategies recomputed from what their candidates found: the ranking that Qdrant would return, without asking it again.

Law (tested on local mode and the embedded engine): for a strategy that `is_local`, `recomputed` ranks as Qdrant does, but
for points that tie, whose order is random on the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

import numpy as np

from .. import Rerank, ScoringError, Strategy
from .._internals import candidate_scores, fused_terms
from ..expressions._internals import Affinity, DatetimeField, Field, GeoDistance, Raw, Table, When, evaluate, walk
from ..planning import Schema, Target
from ..stages import Formula, Fusion, Nearest, Stage
from .pools import Hit, Pool, key_of

__all__ = ["is_local", "is_recomputable", "read_by", "reads_payload", "recomputed"]

_PAYLOAD = Affinity | DatetimeField | Field | GeoDistance | Raw | When


def is_local(strategy: Strategy) -> bool:
    """Whether a strategy can be recomputed from its plain searches.

    That is so for plain searches, fusions and formulas, nested in any way, if only the plain searches have filters,
    thresholds and search parameters of their own, and formulas hold nothing that only an engine can compute.
    """
    if not isinstance(strategy, Stage):
        return False
    if not strategy.candidates:
        return isinstance(strategy, Nearest)
    if not isinstance(strategy, Fusion | Formula):
        return False
    own = strategy.filter, strategy.score_threshold, strategy.search_params
    if any(value is not None for value in own) or not all(map(is_local, strategy.candidates)):
        return False
    return not isinstance(strategy, Formula) or not any(_needs_engine(node) for node in walk(strategy.expression))


def is_recomputable(strategy: Strategy, schema: Schema) -> bool:
    """Whether a strategy that `is_local` ranks the same on the collection's shards as over its plain searches.

    Several shards hand a formula each its own candidates, other than those of the plain search over the collection: there
    Qdrant has to be asked.
    """
    return is_local(strategy) and isinstance(strategy, Stage) and strategy.alike_on_shards(schema)


def _needs_engine(node: Any) -> bool:
    return isinstance(node, Raw) or (isinstance(node, When) and "HasVectorCondition" in repr(node.condition))


def reads_payload(strategy: Strategy) -> bool:
    """Whether points' payload is read to rank them."""
    formulas = [stage for stage in strategy.stages() if isinstance(stage, Formula)]
    nodes = (node for formula in formulas for node in walk(formula.expression))
    return isinstance(strategy, Rerank) or any(isinstance(node, _PAYLOAD) for node in nodes)


def recomputed(stage: Stage, pool: Pool, target: Target, limit: int) -> list[Hit]:
    """The first `limit` points of `stage` for the pool's topic, best first.

    Args:
        stage: one that `is_local`; its plain searches must be in the pool, as deep as it needs.
        pool: what the candidates found.
        target: the collection.
        limit: how many points the call asks for.

    Raises:
        PlanError: a point lacks a payload key that a formula reads without a default; Qdrant would refuse, too.
        ScoringError: a formula isn't finite for some point; likewise.
    """
    if isinstance(stage, Nearest):  # alone, its ties are settled; below a fusion the engine's own order of them counts
        groups = groupby(pool.candidates[key_of(stage)], key=lambda hit: hit.score)
        return [hit for _, ties in groups for hit in sorted(ties, key=lambda hit: pool.places[hit.id])][:limit]
    return _ranked(stage, limit, limit, pool, target)


def read_by(formula: Formula, pool: Pool, target: Target, limit: int) -> tuple[list[Hit], Table]:
    """The points that a formula ranks, each once, and what it is computed from; arguments as of `recomputed`."""
    union, found = _candidates(formula, limit, pool, target)
    return union, _table(formula, union, found, pool, target)


def _ranked(stage: Stage, limit: int, needed: int, pool: Pool, target: Target) -> list[Hit]:
    """The first `limit` points of a stage whose candidates have to find `needed`."""
    if isinstance(stage, Nearest):
        return list(pool.candidates[key_of(stage)][:limit])
    union, found = _candidates(stage, needed, pool, target)
    if not union:
        return []
    if isinstance(stage, Fusion):
        scores = np.sum(fused_terms(stage, cast(Any, union), cast(Any, found)), axis=0)  # reads ids and scores only
    else:
        assert isinstance(stage, Formula)
        scores = _formula(stage, union, found, pool, target)
    rounded = scores.astype(np.float32)  # as engines give them: what ties there must tie here
    rows = _first(rounded, limit)
    order = rows[np.lexsort(([pool.places[union[row].id] for row in rows], -rounded[rows]))][:limit]
    return [Hit(union[row].id, float(rounded[row])) for row in order]


def _candidates(stage: Stage, needed: int, pool: Pool, target: Target) -> tuple[list[Hit], list[list[Hit]]]:
    """All points that the candidates find, each once, and what each candidate finds."""
    found = [_ranked(each, each.reach(needed), each.needs_points(needed), pool, target) for each in stage.candidates]
    return list({hit.id: hit for hits in found for hit in hits}.values()), found


def _first(scores: Any, limit: int) -> Any:
    """The rows of the `limit` highest scores, and of all that tie with the last of them."""
    if len(scores) <= limit:
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, -limit)[-limit])


def _table(formula: Formula, union: Sequence[Hit], found: Sequence[Sequence[Hit]], pool: Pool, target: Target) -> Table:
    ids = [hit.id for hit in union]
    return Table(
        payloads=[pool.payloads.get(id, {}) for id in ids],
        ids=ids,
        scores=candidate_scores(formula, ids, found, target.schema),
        params=pool.topic.params,
        now=pool.now,
        tokens=pool.tokens,
        view=target.view,
    )


def _formula(formula: Formula, union: Sequence[Hit], found: Sequence[Sequence[Hit]], pool: Pool, target: Target) -> Any:
    table = _table(formula, union, found, pool, target)
    with np.errstate(all="ignore"):
        values = evaluate(formula.expression, table).astype(np.float32)  # scores are, and must fit
    if not np.isfinite(values).all():
        worst = union[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise ScoringError(f"the formula isn't finite for point {worst.id!r}, and Qdrant would refuse the query")
    return values
