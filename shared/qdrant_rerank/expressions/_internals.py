"""Names of `qdrant_rerank.expressions` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import load_lazily

if TYPE_CHECKING:
    from .build import Sigmoid as Sigmoid
    from .conditions import Conditions as Conditions
    from .conditions import undecidable_reason as undecidable_reason
    from .evaluation import Table as Table
    from .evaluation import compute as compute
    from .evaluation import read_codes as read_codes
    from .evaluation import read_datetimes as read_datetimes
    from .evaluation import read_distances as read_distances
    from .evaluation import read_numbers as read_numbers
    from .evaluation import score_points as score_points
    from .forest import find_forest as find_forest
    from .inspect import PayloadKey as PayloadKey
    from .inspect import candidate_scores as candidate_scores
    from .inspect import conditions as conditions
    from .inspect import depth as depth
    from .inspect import feature_names as feature_names
    from .inspect import find_fixed_nodes as find_fixed_nodes
    from .inspect import map_names as map_names
    from .inspect import payload_keys as payload_keys
    from .inspect import place_names as place_names
    from .inspect import placeholder_params as placeholder_params
    from .inspect import reads_model as reads_model
    from .inspect import walk as walk
    from .lowering import Lowering as Lowering
    from .lowering import ScoreSource as ScoreSource
    from .lowering import holds_number as holds_number
    from .lowering import lower as lower
    from .lowering import score_index as score_index
    from .nodes import Affinity as Affinity
    from .nodes import CandidateScore as CandidateScore
    from .nodes import Constant as Constant
    from .nodes import DatetimeField as DatetimeField
    from .nodes import Decay as Decay
    from .nodes import Field as Field
    from .nodes import GeoDistance as GeoDistance
    from .nodes import Logarithm as Logarithm
    from .nodes import Maximum as Maximum
    from .nodes import Minimum as Minimum
    from .nodes import Now as Now
    from .nodes import Product as Product
    from .nodes import QueryTokens as QueryTokens
    from .nodes import Quotient as Quotient
    from .nodes import Raw as Raw
    from .nodes import Sum as Sum
    from .nodes import When as When
    from .nodes import check_key as check_key
    from .view import Index as Index
    from .view import View as View
    from .view import array_reader as array_reader
    from .view import group_keys as group_keys
    from .view import nanoseconds as nanoseconds
    from .view import nanoseconds_of as nanoseconds_of
    from .view import path_problem as path_problem
    from .view import quote as quote
    from .view import reader as reader
    from .view import uuid_of as uuid_of
    from .wire import CLIENT_HAS_MAX_MIN as CLIENT_HAS_MAX_MIN
    from .wire import DIGITS as DIGITS
    from .wire import F32_MAX as F32_MAX
    from .wire import digits as digits
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "conditions": "Conditions, undecidable_reason",
            "evaluation": "Table, compute, read_codes, read_datetimes, read_distances, read_numbers, score_points",
            "build": "Sigmoid",
            "forest": "find_forest",
            "inspect": "PayloadKey, candidate_scores, conditions, depth, feature_names, find_fixed_nodes, map_names, "
            "payload_keys, place_names, placeholder_params, reads_model, walk",
            "lowering": "Lowering, ScoreSource, holds_number, lower, score_index",
            "nodes": "Affinity, CandidateScore, Constant, DatetimeField, Decay, Field, GeoDistance, Logarithm, "
            "Maximum, Minimum, Now, Product, QueryTokens, Quotient, Raw, Sum, When, check_key",
            "view": "Index, View, array_reader, group_keys, nanoseconds, nanoseconds_of, path_problem, quote, reader, uuid_of",
            "wire": "CLIENT_HAS_MAX_MIN, DIGITS, F32_MAX, digits",
        },
    )
