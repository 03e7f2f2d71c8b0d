"""Compiled formulas evaluated as a server would, by local mode's interpreter, for versions that can't be run here."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel
from qdrant_client import models
from qdrant_client.hybrid.formula import evaluate_expression

from qdrant_rerank._internals import Lowering, ScoreSource, Table, lower
from qdrant_rerank.expressions import Expression
from qdrant_rerank.planning import Capabilities

NEWER = (models.MaxExpression, models.MinExpression, models.AcoshExpression)


def interpret(expression: Expression, table: Table, capabilities: Capabilities) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The score of each point, from what that version would be sent."""
    candidates = [ScoreSource(name) for name in table.scores]
    lowering = Lowering(candidates, capabilities, table.params, table.now)
    formula = lower(expression, lowering)
    if not capabilities.supports("max_min"):
        assert not any(isinstance(node, NEWER) for node in _nodes(formula))
    scores: list[dict[Any, float]] = [dict(zip(table.ids, column.tolist(), strict=True)) for column in table.scores.values()]
    values = [
        evaluate_expression(formula, point, scores, dict(payload), {}, lowering.defaults)
        for point, payload in zip(table.ids, table.payloads, strict=True)
    ]
    return np.array(values, np.float32)


def _nodes(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return [value, *(node for name in type(value).model_fields for node in _nodes(getattr(value, name)))]
    if isinstance(value, list):
        return [node for item in value for node in _nodes(item)]
    return []
