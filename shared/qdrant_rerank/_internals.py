"""Names of `qdrant_rerank` that tests and neighbours need and users don't.

Nothing is defined here, and a name is loaded when it is first used. Who moves or renames what lies behind changes the
two lines here, and no test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import load_lazily

if TYPE_CHECKING:
    from .adapters import Executors as Executors
    from .adapters import answer_query as answer_query
    from .adapters import check_count as check_count
    from .adapters import check_filter as check_filter
    from .adapters import check_flag as check_flag
    from .adapters import check_options as check_options
    from .adapters import check_reranker as check_reranker
    from .adapters import find_unknown as find_unknown
    from .agent_tools import BYTES_OF_A_TOKEN as BYTES_OF_A_TOKEN
    from .agent_tools import TOOL_DESCRIPTION as TOOL_DESCRIPTION
    from .agent_tools import TOOL_NAME as TOOL_NAME
    from .agent_tools import FilterArgument as FilterArgument
    from .agent_tools import LowConfidence as LowConfidence
    from .agent_tools import ToolCall as ToolCall
    from .agent_tools import ToolFilters as ToolFilters
    from .agent_tools import ToolHit as ToolHit
    from .agent_tools import ToolSpec as ToolSpec
    from .agent_tools import check_retriever as check_retriever
    from .agent_tools import filter_keys as filter_keys
    from .agent_tools import name_arguments as name_arguments
    from .agent_tools import narrow as narrow
    from .agent_tools import pick_filters as pick_filters
    from .agent_tools import pick_threshold as pick_threshold
    from .answers import contradicts as contradicts
    from .answers import guard as guard
    from .answers import read_batch as read_batch
    from .answers import read_points as read_points
    from .capabilities import ABILITIES as ABILITIES
    from .capabilities import Engine as Engine
    from .clients import AsyncClientLike as AsyncClientLike
    from .clients import Clients as Clients
    from .clients import client_options as client_options
    from .clients import close_on_error as close_on_error
    from .clients import engine_of as engine_of
    from .clients import find_delay as find_delay
    from .clients import grpc_port_of as grpc_port_of
    from .coalescing import Coalescer as Coalescer
    from .coalescing import can_share as can_share
    from .coalescing import is_large as is_large
    from .costs import PRICES as PRICES
    from .costs import estimate as estimate
    from .deadline import Deadline as Deadline
    from .deadline import lift_deadline as lift_deadline
    from .deadline import timeout_problem as timeout_problem
    from .deadline import whole_seconds as whole_seconds
    from .deadline import within as within
    from .engine_errors import Failure as Failure
    from .engine_errors import Kind as Kind
    from .engine_errors import Place as Place
    from .engine_errors import address_of as address_of
    from .engine_errors import describe_failures as describe_failures
    from .engine_errors import read_failure as read_failure
    from .engine_errors import tell_error as tell_error
    from .errors import Lint as Lint
    from .errors import did_you_mean as did_you_mean
    from .errors import warn as warn
    from .executor import SCHEMA_TTL as SCHEMA_TTL
    from .executor import check_schema_ttl as check_schema_ttl
    from .explain.plans import abridge as abridge
    from .explain.plans import values_in as values_in
    from .explain.plot import check_picture as check_picture
    from .explain.plot import draw as draw
    from .explain.results import UNKNOWN as UNKNOWN
    from .explain.results import Account as Account
    from .explain.results import CandidateHit as CandidateHit
    from .explain.results import Explained as Explained
    from .explain.results import Found as Found
    from .explain.results import ResultReason as ResultReason
    from .explain.results import Scored as Scored
    from .explain.results import Term as Term
    from .explain.results import term_columns as term_columns
    from .expressions.text import brief_term as brief_term
    from .formula_limits import MAX_BYTES as MAX_BYTES
    from .formula_limits import MAX_CONDITIONS as MAX_CONDITIONS
    from .formula_limits import Extent as Extent
    from .formula_limits import extent as extent
    from .formula_limits import extent_problems as extent_problems
    from .formula_limits import extent_warnings as extent_warnings
    from .journal import Journal as Journal
    from .journal import JournalKind as JournalKind
    from .journal import Record as Record
    from .journal import check_header as check_header
    from .journal import decode_records as decode_records
    from .journal import read_journal as read_journal
    from .journal import read_records as read_records
    from .jsonlines import VERSION as VERSION
    from .jsonlines import check_version as check_version
    from .jsonlines import line_of as line_of
    from .jsonlines import lines_of as lines_of
    from .jsonlines import parse_json as parse_json
    from .jsonlines import read_text as read_text
    from .notebooks import Bar as Bar
    from .notebooks import as_table as as_table
    from .payload import PRESETS as PRESETS
    from .payload import AnyMapping as AnyMapping
    from .payload import Content as Content
    from .payload import PayloadLike as PayloadLike
    from .payload import TextSource as TextSource
    from .payload import as_mapping as as_mapping
    from .payload import read_contents as read_contents
    from .payload import value_at as value_at
    from .plan import check_strategy as check_strategy
    from .plan import plan_on as plan_on
    from .points import SPARE as SPARE
    from .points import annotate as annotate
    from .points import notes_of as notes_of
    from .points import root_keys as root_keys
    from .points import select_payload as select_payload
    from .points import settle as settle
    from .points import widen as widen
    from .query import Inputs as Inputs
    from .query import both as both
    from .query import check_vector as check_vector
    from .query import embed_query as embed_query
    from .query import not_a_filter as not_a_filter
    from .query import query_token_counts as query_token_counts
    from .query import restrict as restrict
    from .request_parts import conditions_of as conditions_of
    from .request_parts import models_within as models_within
    from .request_parts import parts_of as parts_of
    from .request_parts import strict_limits as strict_limits
    from .rerank import BEYOND as BEYOND
    from .rerank import MUTE as MUTE
    from .rerank import READ as READ
    from .rerank import Candidate as Candidate
    from .rerank import DocumentReranker as DocumentReranker
    from .rerank import MissingText as MissingText
    from .rerank import OnError as OnError
    from .rerank import Unread as Unread
    from .retries import INGEST as INGEST
    from .retries import NO_RETRIES as NO_RETRIES
    from .retries import Left as Left
    from .sampling import names_points as names_points
    from .sampling import random_points as random_points
    from .schema import Kind as VectorKind
    from .schema import read_node_schema as read_node_schema
    from .serialise import expression_from_json as expression_from_json
    from .stages.formula import scores_by_candidate as candidate_scores
    from .stages.fusion import DEFAULT_RRF_K as DEFAULT_RRF_K
    from .stages.fusion import FusionMethod as FusionMethod
    from .steps import AsyncServices as AsyncServices
    from .steps import Embed as Embed
    from .steps import Flow as Flow
    from .steps import Points as Points
    from .steps import QueryVector as QueryVector
    from .steps import Request as Request
    from .steps import Score as Score
    from .steps import Scores as Scores
    from .steps import Search as Search
    from .steps import Services as Services
    from .steps import Step as Step
    from .steps import Vectors as Vectors
    from .steps import arun as arun
    from .steps import run as run
    from .steps import together as together
    from .steps import watch as watch
    from .strategies import search as search
    from .threads import AsyncReads as AsyncReads
    from .threads import PerLoop as PerLoop
    from .threads import Reads as Reads
    from .threads import Workers as Workers
    from .threads import call_worker as call_worker
    from .threads import carry as carry
    from .threads import carrying as carrying
    from .threads import in_time as in_time
    from .threads import in_worker as in_worker
    from .threads import inherits as inherits
    from .threads import use_workers as use_workers
    from .trained import FAR as FAR
    from .trained import MOVED as MOVED
    from .trained import Reference as Reference
    from .trained import Trained as Trained
    from .trained import TrainedFeature as TrainedFeature
    from .trained import by_chance as by_chance
    from .trained import find_missing as find_missing
    from .trained import has as has
    from .trained import instead as instead
    from .trained import kind_of as kind_of
    from .trained import leaves as leaves
    from .trained import psi as psi
    from .trained import shift as shift
    from .values import brief as brief
    from .values import call as call
    from .values import clip_text as clip_text
    from .values import few as few
    from .values import in_batches as in_batches
    from .values import is_finite as is_finite
    from .values import is_number as is_number
    from .values import is_whole as is_whole
    from .values import literal as literal
else:
    __getattr__ = load_lazily(
        __package__,
        {
            "adapters": "Executors, answer_query, check_count, check_filter, check_flag, check_options, "
            "check_reranker, find_unknown",
            "agent_tools": "BYTES_OF_A_TOKEN, TOOL_DESCRIPTION, check_retriever, narrow, TOOL_NAME, FilterArgument, "
            "LowConfidence, ToolCall, ToolFilters, ToolHit, ToolSpec, filter_keys, name_arguments, pick_filters, "
            "pick_threshold",
            "answers": "contradicts, guard, read_batch, read_points",
            "capabilities": "ABILITIES, Engine",
            "clients": "AsyncClientLike, Clients, client_options, close_on_error, engine_of, find_delay, grpc_port_of",
            "coalescing": "Coalescer, can_share, is_large",
            "costs": "PRICES, estimate",
            "deadline": "Deadline, lift_deadline, timeout_problem, whole_seconds, within",
            "engine_errors": "Failure, Kind, Place, address_of, describe_failures, read_failure, tell_error",
            "errors": "Lint, did_you_mean, warn",
            "executor": "SCHEMA_TTL, check_schema_ttl",
            "explain.plans": "abridge, values_in",
            "explain.plot": "check_picture, draw",
            "explain.results": "UNKNOWN, Account, CandidateHit, Explained, Found, ResultReason, Scored, Term, term_columns",
            "expressions.text": "brief_term",
            "formula_limits": "MAX_BYTES, MAX_CONDITIONS, Extent, extent, extent_problems, extent_warnings",
            "journal": "Journal, JournalKind, Record, check_header, decode_records, read_journal, read_records",
            "jsonlines": "VERSION, check_version, line_of, lines_of, parse_json, read_text",
            "notebooks": "Bar, as_table",
            "payload": "PRESETS, AnyMapping, Content, PayloadLike, TextSource, as_mapping, read_contents, value_at",
            "plan": "check_strategy, plan_on",
            "points": "SPARE, annotate, notes_of, root_keys, select_payload, settle, widen",
            "query": "Inputs, both, check_vector, embed_query, not_a_filter, query_token_counts, restrict",
            "request_parts": "conditions_of, models_within, parts_of, strict_limits",
            "rerank": "BEYOND, MUTE, READ, Candidate, DocumentReranker, MissingText, OnError, Unread",
            "retries": "INGEST, NO_RETRIES, Left",
            "sampling": "names_points, random_points",
            "schema": "Kind as VectorKind, read_node_schema",
            "serialise": "expression_from_json",
            "stages.formula": "scores_by_candidate as candidate_scores",
            "stages.fusion": "DEFAULT_RRF_K, FusionMethod",
            "steps": "AsyncServices, Embed, Flow, Points, QueryVector, Request, Score, Scores, Search, Services, "
            "Step, Vectors, arun, run, together, watch",
            "strategies": "search",
            "threads": "AsyncReads, PerLoop, Reads, Workers, call_worker, carry, carrying, in_time, in_worker, "
            "inherits, use_workers",
            "trained": "FAR, MOVED, Reference, Trained, TrainedFeature, by_chance, find_missing, has, instead, "
            "kind_of, leaves, psi, shift",
            "values": "brief, call, clip_text, few, in_batches, is_finite, is_number, is_whole, literal",
        },
    )

__all__ = ["VectorKind", "candidate_scores"]  # names given here are handed on by this alone
