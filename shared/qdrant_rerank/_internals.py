"""Names of `qdrant_rerank` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

# fmt: off
# ruff: isort: skip_file
# pyright: reportUnusedImport=false

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import load_lazily

if TYPE_CHECKING:
    from ._lazy import load_extra
    from .adapters import Executors, check_count, check_filter, check_flag, check_options, check_reranker, check_use
    from .adapters import KeepsExecutors, find_unknown
    from .agent_tools import BYTES_OF_A_TOKEN, FilterArgument, LowConfidence, TOOL_DESCRIPTION, TOOL_NAME, ToolCall
    from .agent_tools import ToolFilters, ToolHit, ToolSpec, USABLE, check_retriever, filter_keys, name_arguments, narrow
    from .agent_tools import PickedFilters, aask_filters, ask_filters, cap_k, pick_filters, pick_threshold
    from .capabilities import ABILITIES, Engine, engine_of
    from .clients import AsyncClientLike, Clients, client_options, close_on_error, find_delay, grpc_port_of
    from .coalescing import Coalescer, ThreadCoalescer, can_share, is_large
    from .costs import PRICES, estimate
    from .calls import DEADLINE, Deadline, INGEST, NO_RETRIES, lift_deadline, timeout_problem, whole_seconds, within
    from .edge.changes import make_change
    from .edge.groups import group_hits
    from .edge.shards import OPENING, RESERVE, Shard, disk_of, disk_usage
    from .edge.translate_query import Formulas
    from .edge.values import describe_misfits, refusals
    from .engine_errors import Failure, Kind, Place, address_of, describe_failures, read_failure, tell_error
    from .errors import Lint, OnError, did_you_mean, warn
    from .executor import SCHEMA_TTL, check_schema_ttl
    from .explain.plans import LATER, abridge, values_in
    from .explain.plot import check_picture, draw
    from .explain.results import Account, CandidateHit, Column, Explained, Found, ResultReason, Scored, Seed, Steering, Term
    from .explain.results import UNKNOWN, term_columns
    from .expressions.build import Sigmoid
    from .expressions.conditions import Conditions, undecidable_reason
    from .expressions.evaluation import Table, compute, read_codes, read_datetimes, read_distances, read_numbers, score_points
    from .expressions.forest import count_nodes, find_forest
    from .expressions.inspect import PayloadKey, candidate_scores, conditions, depth, feature_names, find_fixed_nodes
    from .expressions.inspect import map_names, payload_keys, place_names, placeholder_params, reads_model, walk
    from .expressions.lowering import Lowering, ScoreSource, holds_number, lower, score_index
    from .expressions.nodes import Affinity, CandidateScore, Constant, DatetimeField, Decay, Field, GeoDistance, Logarithm
    from .expressions.nodes import Maximum, Minimum, Now, Product, QueryTokens, Quotient, Raw, Sum, When, check_key
    from .expressions.text import brief_term
    from .expressions.view import Index, View, array_reader, group_keys, nanoseconds, nanoseconds_of, path_problem, quote
    from .expressions.view import reader, uuid_of
    from .expressions.wire import CLIENT_HAS_MAX_MIN, DIGITS, F32_MAX, digits
    from .feedback.coefficients import HASH_DIGITS, MOST_HASHES, Mode, Verdict, count_known, hashes_of, normalise_text
    from .feedback.rounds import fold, native_query, pairs_of, read_vector, similarities, weights_of
    from .feedback.strategy import RECALL_READS, SEEDS
    from .formula_limits import Extent, MAX_BYTES, MAX_CONDITIONS, extent, extent_problems, extent_warnings
    from .ingest.documents import point_ids
    from .ingest.writing import count_sent_numbers
    from .journal import Journal, JournalKind, Record, check_header, check_known, decode_records, read_journal, read_records
    from .jsonlines import VERSION, check_version, line_of, lines_of, parse_json, read_text
    from .models.base import AsyncReranker, Gate, Once, RerankerLike, ascore_texts, check_scores, score_texts
    from .models.encoders import AsyncEncoder, EncoderLike, as_encoder
    from .models.frameworks import CompressorModel, FrameworkStats, OfficialFeedback, PostprocessorModel, Returned
    from .models.frameworks import complete_scores
    from .models.llm_prompts import Bad, Fence, Order, OrderAnswer, ScoreAnswer, cut_text, is_blank, read_order, read_score
    from .models.llm_prompts import windows
    from .models.encoders import features_of_word
    from .models.names import OWN, full_name
    from .models.web_calls import ApiKey, Patience, retry_after, without_key
    from .models.wrappers import CacheCounts, as_reranker, find_fingerprint, score_keys
    from .payload import AnyMapping, Content, PRESETS, PayloadLike, TextSource, as_mapping, read_contents, value_at
    from .payload_mistakes import read_by_strategy
    from .payload_schema import hide_values, read_payloads
    from .plan import add_params, check_strategy, plan_on
    from .points import SPARE, annotate, notes_of, root_keys, select_payload, settle, widen, with_keys
    from .query import Inputs, both, check_vector, embed_query, not_a_filter, query_token_counts, restrict
    from .request_parts import conditions_of, models_within, parts_of, restricts, strict_limits
    from .rerank import BEYOND, Candidate, DocumentReranker, MUTE, MissingText, READ, Unread, warn_of_distances
    from .trained import names_points, random_points
    from .schema import Kind as VectorKind, ask_node_schema
    from .search import contradicts, guard, read_batch, read_points, search
    from .serialise import expression_from_json
    from .stages.client_ranking import scores_by_candidate
    from .stages.fusion import DEFAULT_RRF_K, FusionMethod
    from .steps import AsyncServices, Embed, Flow, Points, QueryVector, Request, Score, Scores, Search, Services, Step
    from .steps import Calls, Vectors, adrive, arun, arun_calls, drive, run, run_calls, together, watch
    from .threads import AsyncReads, PerLoop, Reads, Workers, call_worker, carry, carrying, in_time, in_worker, inherits
    from .threads import use_workers
    from .trained import FAR, MOVED, Reference, Trained, TrainedFeature, TrainedVector, by_chance, find_missing, has, instead
    from .trained import kind_of, leaves, psi, shift
    from .values import Bar, as_table, brief, call, check_counts, clip_text, identify, in_batches, is_finite, is_number
    from .values import is_whole, list_few, literal, model_name, qualname_of, share_arguments
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "_lazy": "load_extra",
            "adapters": "Executors, check_count, check_filter, check_flag, check_options, check_reranker, check_use, "
            "find_unknown, KeepsExecutors",
            "agent_tools": "BYTES_OF_A_TOKEN, FilterArgument, LowConfidence, TOOL_DESCRIPTION, TOOL_NAME, ToolCall, "
            "ToolFilters, ToolHit, ToolSpec, USABLE, check_retriever, filter_keys, name_arguments, narrow, pick_filters, "
            "pick_threshold, PickedFilters, aask_filters, ask_filters, cap_k",
            "capabilities": "ABILITIES, Engine, engine_of",
            "clients": "AsyncClientLike, Clients, client_options, close_on_error, find_delay, grpc_port_of",
            "coalescing": "Coalescer, ThreadCoalescer, can_share, is_large",
            "costs": "PRICES, estimate",
            "calls": "DEADLINE, Deadline, lift_deadline, timeout_problem, whole_seconds, within, INGEST, NO_RETRIES",
            "edge.changes": "make_change",
            "edge.groups": "group_hits",
            "edge.shards": "OPENING, RESERVE, Shard, disk_of, disk_usage",
            "edge.translate_query": "Formulas",
            "edge.values": "describe_misfits, refusals",
            "engine_errors": "Failure, Kind, Place, address_of, describe_failures, read_failure, tell_error",
            "errors": "Lint, OnError, did_you_mean, warn",
            "executor": "SCHEMA_TTL, check_schema_ttl",
            "explain.plans": "LATER, abridge, values_in",
            "explain.plot": "check_picture, draw",
            "explain.results": "Account, CandidateHit, Column, Explained, Found, ResultReason, Scored, Seed, "
            "Steering, Term, UNKNOWN, term_columns",
            "expressions.build": "Sigmoid",
            "expressions.conditions": "Conditions, undecidable_reason",
            "expressions.evaluation": "Table, compute, read_codes, read_datetimes, read_distances, read_numbers, score_points",
            "expressions.forest": "count_nodes, find_forest",
            "expressions.inspect": "PayloadKey, candidate_scores, conditions, depth, feature_names, "
            "find_fixed_nodes, map_names, payload_keys, place_names, placeholder_params, reads_model, walk",
            "expressions.lowering": "Lowering, ScoreSource, holds_number, lower, score_index",
            "expressions.nodes": "Affinity, CandidateScore, Constant, DatetimeField, Decay, Field, GeoDistance, "
            "Logarithm, Maximum, Minimum, Now, Product, QueryTokens, Quotient, Raw, Sum, When, check_key",
            "expressions.text": "brief_term",
            "expressions.view": "Index, View, array_reader, group_keys, nanoseconds, nanoseconds_of, path_problem, "
            "quote, reader, uuid_of",
            "expressions.wire": "CLIENT_HAS_MAX_MIN, DIGITS, F32_MAX, digits",
            "feedback.coefficients": "HASH_DIGITS, MOST_HASHES, Mode, Verdict, count_known, hashes_of, normalise_text",
            "feedback.rounds": "fold, native_query, pairs_of, read_vector, similarities, weights_of",
            "feedback.strategy": "RECALL_READS, SEEDS",
            "formula_limits": "Extent, MAX_BYTES, MAX_CONDITIONS, extent, extent_problems, extent_warnings",
            "ingest.documents": "point_ids",
            "ingest.writing": "count_sent_numbers",
            "journal": "Journal, JournalKind, Record, check_header, check_known, decode_records, read_journal, read_records",
            "jsonlines": "VERSION, check_version, line_of, lines_of, parse_json, read_text",
            "models.base": "AsyncReranker, Gate, Once, RerankerLike, ascore_texts, check_scores, score_texts",
            "models.encoders": "AsyncEncoder, EncoderLike, as_encoder, features_of_word",
            "models.frameworks": "CompressorModel, FrameworkStats, OfficialFeedback, PostprocessorModel, Returned, "
            "complete_scores",
            "models.llm_prompts": "Bad, Fence, Order, OrderAnswer, ScoreAnswer, cut_text, is_blank, read_order, "
            "read_score, windows",
            "models.names": "OWN, full_name",
            "models.web_calls": "ApiKey, Patience, retry_after, without_key",
            "models.wrappers": "CacheCounts, as_reranker, find_fingerprint, score_keys",
            "payload": "AnyMapping, Content, PRESETS, PayloadLike, TextSource, as_mapping, read_contents, value_at",
            "payload_mistakes": "read_by_strategy",
            "payload_schema": "hide_values, read_payloads",
            "plan": "add_params, check_strategy, plan_on",
            "points": "SPARE, annotate, notes_of, root_keys, select_payload, settle, widen, with_keys",
            "query": "Inputs, both, check_vector, embed_query, not_a_filter, query_token_counts, restrict",
            "request_parts": "conditions_of, models_within, parts_of, restricts, strict_limits",
            "rerank": "BEYOND, Candidate, DocumentReranker, MUTE, MissingText, READ, Unread, warn_of_distances",
            "trained": "names_points, random_points, FAR, MOVED, Reference, Trained, TrainedFeature, TrainedVector, by_chance, "
            "find_missing, has, instead, kind_of, leaves, psi, shift",
            "schema": "Kind as VectorKind, ask_node_schema",
            "search": "contradicts, guard, read_batch, read_points, search",
            "serialise": "expression_from_json",
            "stages.client_ranking": "scores_by_candidate",
            "stages.fusion": "DEFAULT_RRF_K, FusionMethod",
            "steps": "AsyncServices, Embed, Flow, Points, QueryVector, Request, Score, Scores, Search, Services, "
            "Step, Vectors, Calls, adrive, arun, arun_calls, drive, run, run_calls, together, watch",
            "threads": "AsyncReads, PerLoop, Reads, Workers, call_worker, carry, carrying, in_time, in_worker, "
            "inherits, use_workers",
            "values": "Bar, as_table, brief, call, check_counts, clip_text, identify, in_batches, is_finite, is_number, "
            "is_whole, list_few, literal, model_name, qualname_of, share_arguments",
        },
    )
