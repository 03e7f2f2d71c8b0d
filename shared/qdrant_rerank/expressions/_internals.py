"""Names of `qdrant_rerank.expressions` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .conditions import Conditions as Conditions
    from .dates import nanoseconds as nanoseconds
    from .dates import nanoseconds_of as nanoseconds_of
    from .evaluation import Table as Table
    from .evaluation import evaluate as evaluate
    from .evaluation import score_points as score_points
    from .inspect import candidate_scores as candidate_scores
    from .inspect import depth as depth
    from .inspect import fixed_nodes as fixed_nodes
    from .inspect import payload_keys as payload_keys
    from .inspect import placeholder_features as placeholder_features
    from .inspect import walk as walk
    from .lowering import Candidate as Candidate
    from .lowering import Lowering as Lowering
    from .lowering import lower as lower
    from .nodes import Affinity as Affinity
    from .nodes import Constant as Constant
    from .nodes import Decay as Decay
    from .nodes import GeoDistance as GeoDistance
    from .nodes import Logarithm as Logarithm
    from .nodes import Maximum as Maximum
    from .nodes import Minimum as Minimum
    from .nodes import Product as Product
    from .nodes import Raw as Raw
    from .nodes import Sum as Sum
    from .nodes import When as When
    from .paths import group_keys as group_keys
    from .paths import quote as quote
    from .paths import reader as reader
    from .paths import stored as stored
    from .view import Index as Index
    from .view import View as View
    from .view import uuid_of as uuid_of
    from .wire import CLIENT_HAS_MAX_MIN as CLIENT_HAS_MAX_MIN
    from .wire import DIGITS as DIGITS
    from .wire import digits as digits
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "conditions": "Conditions",
            "dates": "nanoseconds, nanoseconds_of",
            "evaluation": "Table, evaluate, score_points",
            "inspect": "candidate_scores, depth, fixed_nodes, payload_keys, placeholder_features, walk",
            "lowering": "Candidate, Lowering, lower",
            "nodes": "Affinity, Constant, Decay, GeoDistance, Logarithm, Maximum, Minimum, Product, Raw, Sum, When",
            "paths": "group_keys, quote, reader, stored",
            "view": "Index, View, uuid_of",
            "wire": "CLIENT_HAS_MAX_MIN, DIGITS, digits",
        },
    )
