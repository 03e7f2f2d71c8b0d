"""Rerank strategies that Qdrant runs: written as values, checked against a collection, sent as one request.

    from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, field, score

    strategy = Formula(0.8 * score() + 0.2 * field("rating", default=3.0)).over(Nearest("dense", limit=100))
    points = Executor(client, "docs", encoders=…).retrieve(strategy, Query("how do I …?"), SearchOptions(limit=5))

`langchain_qdrant_rerank` and `llama_index_qdrant_rerank` make retrievers of it. This package imports no framework.
"""

from __future__ import annotations

from .capabilities import Capabilities
from .client_formula import ClientFormula
from .description import PlanDescription
from .errors import (
    BudgetError,
    ClientError,
    EngineError,
    FitError,
    FormatError,
    IngestError,
    MeasurementError,
    MissingExtra,
    PayloadError,
    PlanError,
    PlanWarning,
    QdrantRerankError,
    QueryError,
    ScoringError,
    StrategyError,
)
from .errors import TimeoutError as TimeoutError  # not in __all__: `import *` would take Python's own from its users
from .executor import AsyncExecutor, Executor
from .expressions import (
    Expression,
    affinity,
    clip,
    constant,
    datetime_field,
    decay_exp,
    decay_gauss,
    decay_lin,
    divide,
    exp,
    field,
    geo_distance,
    instant,
    log,
    log10,
    max_,
    max_sim,
    min_,
    now,
    param,
    parse_expression,
    query_tokens,
    raw,
    relu,
    rerank_score,
    score,
    sigmoid,
    sqrt,
    tanh,
    when,
)
from .feedback import Coefficients, FeedbackCandidates, Provenance, RelevanceFeedback
from .models.base import Reranker
from .models.encoders import Encoder, Encoders, ServerInference
from .payload import PayloadMapping
from .plan import Plan, plan
from .query import Query, SearchOptions, Target
from .rerank import Rerank
from .results import RankedPoint
from .retries import Retries
from .schema import Schema, VectorInfo, aread_schema, read_schema
from .serialise import from_json, load, save, to_json
from .stages import Formula, Fusion, Mmr, Nearest, late_interaction
from .strategies import Cost, Stage, Strategy

__version__ = "0.1.0"

__all__ = [
    "AsyncExecutor",
    "BudgetError",
    "Capabilities",
    "ClientError",
    "ClientFormula",
    "Coefficients",
    "Cost",
    "Encoder",
    "Encoders",
    "EngineError",
    "Executor",
    "Expression",
    "FeedbackCandidates",
    "FitError",
    "FormatError",
    "Formula",
    "Fusion",
    "IngestError",
    "MeasurementError",
    "MissingExtra",
    "Mmr",
    "Nearest",
    "PayloadError",
    "PayloadMapping",
    "Plan",
    "PlanDescription",
    "PlanError",
    "PlanWarning",
    "Provenance",
    "QdrantRerankError",
    "Query",
    "QueryError",
    "RankedPoint",
    "RelevanceFeedback",
    "Rerank",
    "Reranker",
    "Retries",
    "Schema",
    "ScoringError",
    "SearchOptions",
    "ServerInference",
    "Stage",
    "Strategy",
    "StrategyError",
    "Target",
    "VectorInfo",
    "__version__",
    "affinity",
    "aread_schema",
    "clip",
    "constant",
    "datetime_field",
    "decay_exp",
    "decay_gauss",
    "decay_lin",
    "divide",
    "exp",
    "field",
    "from_json",
    "geo_distance",
    "instant",
    "late_interaction",
    "load",
    "log",
    "log10",
    "max_",
    "max_sim",
    "min_",
    "now",
    "param",
    "parse_expression",
    "plan",
    "query_tokens",
    "raw",
    "read_schema",
    "relu",
    "rerank_score",
    "save",
    "score",
    "sigmoid",
    "sqrt",
    "tanh",
    "to_json",
    "when",
]
