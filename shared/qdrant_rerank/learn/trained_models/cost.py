"""How large a formula is, and how long it takes: what there is to know before it is sent with every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qdrant_client import models

from ..._internals import Lowering, QueryTokens, ScoreSource, candidate_scores, extent, lower, placeholder_params, walk
from ...errors import FitError
from ...expressions import Expression
from ...planning import Capabilities

__all__ = ["ON_CLIENT", "WAYS_OUT", "FormulaCost", "check_budget", "formula_cost"]

ON_CLIENT: Final = (
    "or have it computed on the client, over the fetched candidates: Formula(from_model(…, on_client=True)).over(…).on_client()"
)
"""The way out for models that are too large to be sent."""
WAYS_OUT: Final = (
    "fit fewer trees or leaves (100 trees of 8 leaves are a good size) or fewer hidden units, allow more with max_conditions=, "
    f"max_bytes= and max_milliseconds=, {ON_CLIENT}"
)
"""What to do about a formula over the budget."""
_SERVER: Final = Capabilities((1, 20, 0))

# Milliseconds for 100 candidates, fitted to ensembles of 10 to 100 trees, linear models and networks on the embedded engine
# (qdrant-edge 0.9, two cores): good to a factor of two.
_SEARCH: Final = 0.2
_NODE: Final = 0.0004
_READ: Final = 0.01


@dataclass(frozen=True)
class FormulaCost:
    """What a compiled formula costs.

    Attributes:
        conditions: conditions on the payload; of the two or more that stand for one question each is counted.
        nodes: parts of the formula in all.
        bytes: its size as JSON; every request carries it.
        levels: how deep it is nested as JSON; servers take about 127.
        milliseconds: about how long a request for 100 candidates takes on the embedded engine with payload indexes,
            the search for the candidates included. Without indexes it is 6 to 19 times as long.
    """

    conditions: int
    nodes: int
    bytes: int
    levels: int
    milliseconds: float


def formula_cost(expression: Expression, capabilities: Capabilities = _SERVER) -> FormulaCost:
    """What `expression` costs once it is compiled for a server (1.20 unless `capabilities` says otherwise)."""
    formula = _compiled(expression, capabilities)
    size = extent(formula)
    query = models.FormulaQuery.model_construct(formula=formula)
    length = len(query.model_dump_json(exclude_unset=True, exclude_none=True, by_alias=True).encode())
    milliseconds = _SEARCH + size.nodes * _NODE + size.reads * _READ
    return FormulaCost(size.conditions, size.nodes, length, size.json_depth, milliseconds)


def check_budget(
    expression: Expression, max_conditions: int | None, max_bytes: int | None, max_milliseconds: float | None = None
) -> None:
    """Refuse a formula that is larger than the budget.

    Raises:
        FitError: it is; the message says by how much, and what to do.
    """
    size = formula_cost(expression)
    over: list[str] = []
    if max_conditions is not None and size.conditions > max_conditions:
        over.append(f"{size.conditions:,} conditions where {max_conditions:,} are allowed")
    if max_bytes is not None and size.bytes > max_bytes:
        over.append(f"{size.bytes:,} bytes where {max_bytes:,} are allowed")
    if max_milliseconds is not None and size.milliseconds > max_milliseconds:
        over.append(f"about {size.milliseconds:.1f} ms where {max_milliseconds:g} are allowed")
    if over:
        raise FitError(
            f"the formula has {' and '.join(over)} (about {size.milliseconds:.0f} ms for 100 candidates): {WAYS_OUT}"
        )


def _compiled(expression: Expression, capabilities: Capabilities) -> models.Expression:
    names = dict.fromkeys(score.name for score in candidate_scores(expression))
    tokens = {node.using: 32 for node in walk(expression) if isinstance(node, QueryTokens)}
    candidates = [ScoreSource(name) for name in names] or [ScoreSource(None)]
    features = placeholder_params(expression)
    return lower(expression, Lowering(candidates, capabilities, features, tokens=tokens, thorough=False))
