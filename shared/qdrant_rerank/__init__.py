"""Rerank strategies that Qdrant runs: written as values, checked against a collection, sent as one request.

    from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, field, score

    strategy = Formula(0.8 * score() + 0.2 * field("rating", default=3.0)).over(Nearest("dense", limit=100))
    points = Executor(client, "docs", encoders=…).retrieve(strategy, Query("how do I …?"), SearchOptions(limit=5))

`langchain_qdrant_rerank` and `llama_index_qdrant_rerank` make retrievers of it. This package imports no framework, and loads a
name when it is first used. More is in its packages: `expressions`, `planning`, `models`, `learn`, `evaluate`, `tune`, `report`,
`ingest`, `edge`; every error is in `errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import load_lazily

if TYPE_CHECKING:
    from .calls import Retries
    from .errors import PlanError, PlanWarning, QdrantRerankError, QueryError, ScoringError, StrategyError
    from .errors import TimeoutError as TimeoutError  # not in __all__: `import *` would take Python's own from its users
    from .executor import AsyncExecutor, Executor
    from .expressions import (
        affinity,
        clip,
        datetime_field,
        decay_exp,
        decay_gauss,
        decay_lin,
        exp,
        field,
        geo_distance,
        log,
        max_,
        min_,
        now,
        param,
        score,
        sigmoid,
        sqrt,
        when,
    )
    from .feedback import Coefficients, RelevanceFeedback
    from .models.encoders import ServerInference
    from .payload import PayloadMapping
    from .points import RankedPoint
    from .query import Query, SearchOptions
    from .rerank import Rerank
    from .serialise import from_json, load, save, to_json
    from .stages import Formula, Fusion, Mmr, Nearest, late_interaction
    from .strategies import Strategy
else:
    __getattr__ = load_lazily(
        __name__,
        {
            "errors": "PlanError, PlanWarning, QdrantRerankError, QueryError, ScoringError, StrategyError, TimeoutError",
            "executor": "AsyncExecutor, Executor",
            "expressions": "affinity, clip, datetime_field, decay_exp, decay_gauss, decay_lin, exp, field, geo_distance, log, "
            "max_, min_, now, param, score, sigmoid, sqrt, when",
            "feedback": "Coefficients, RelevanceFeedback",
            "models.encoders": "ServerInference",
            "payload": "PayloadMapping",
            "points": "RankedPoint",
            "query": "Query, SearchOptions",
            "rerank": "Rerank",
            "calls": "Retries",
            "serialise": "from_json, load, save, to_json",
            "stages": "Formula, Fusion, Mmr, Nearest, late_interaction",
            "strategies": "Strategy",
        },
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncExecutor",
    "Coefficients",
    "Executor",
    "Formula",
    "Fusion",
    "Mmr",
    "Nearest",
    "PayloadMapping",
    "PlanError",
    "PlanWarning",
    "QdrantRerankError",
    "Query",
    "QueryError",
    "RankedPoint",
    "RelevanceFeedback",
    "Rerank",
    "Retries",
    "ScoringError",
    "SearchOptions",
    "ServerInference",
    "Strategy",
    "StrategyError",
    "__version__",
    "affinity",
    "clip",
    "datetime_field",
    "decay_exp",
    "decay_gauss",
    "decay_lin",
    "exp",
    "field",
    "from_json",
    "geo_distance",
    "late_interaction",
    "load",
    "log",
    "max_",
    "min_",
    "now",
    "param",
    "save",
    "score",
    "sigmoid",
    "sqrt",
    "to_json",
    "when",
]
