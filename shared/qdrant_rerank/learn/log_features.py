"""Logging features: what a formula over these candidates would see for each judged topic, labels joined to it.

candidates = Nearest("dense", limit=100), Nearest("bm25", limit=100)
features = {"dense": score("dense"), "bm25": score("bm25"), "rating": field("rating", default=3.0)}
log = log_features(executor, candidates, topics, qrels, features)
ranker = fit_logistic(log)
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, get_args

from .. import Executor, Retries, SearchOptions, StrategyError
from .._internals import is_whole, warn
from ..errors import FitError
from ..evaluate import DocId, Qrels, Topics
from ..evaluate._internals import MEASURING, Progress, aliases
from ..planning import Target
from ..stages import Stage
from .definitions import candidates_json, feature_json
from .feature_log import FeatureLog, LogCoverage
from .features import Category, Feature, Features
from .log_asking import Labelling, Logging, Missed, PairWeights, Unjudged
from .log_assembling import assembled
from .log_candidates import CandidateSearch
from .log_checks import Seen, check_conditions, check_given, check_scores
from .log_columns import featured, selector
from .log_sampling import Negatives
from .log_stream import KIND, LogStream
from .sampling import reference_of, stored_points

__all__ = ["log_features"]

_VERSION: Final = 1


def log_features(
    executor: Executor,
    candidates: Sequence[Stage],
    topics: Topics,
    qrels: Qrels,
    features: Features,
    *,
    unjudged: Unjudged = "negative",
    negatives: Negatives | None = None,
    missed: Missed = "count",
    pair_weights: PairWeights | None = None,
    options: SearchOptions | None = None,
    doc_id: DocId = None,
    sample: int = 1000,
    batch_size: int = 16,
    retries: int | Retries = MEASURING,
    path: str | PathLike[str] | None = None,
    now: dt.datetime | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> FeatureLog:
    """The features of the candidates of each judged topic, computed with numpy as an engine computes them.

    Candidates are searched with the limits and filters that they have in `Formula(…).over(*candidates)`; one search for each
    candidate and
    topic, several topics in a round trip. A candidate that a candidate didn't find has that score's default, as in serving.
    Payload keys that features read and no candidate has are warned of (`absent-field`).

    Args:
        executor: the collection, and the encoders for the queries.
        candidates: the stages that find the candidates, as in `.over(*candidates)`.
        topics: the queries, with request-time values in `Topic.features`.
        qrels: the judgments; topics without any are left out.
        features: name → expression, `Feature` or `Category`.
        unjudged: whether candidates that nobody judged are negatives, or left out.
        negatives: which unjudged candidates are kept; all of them if None.
        missed: whether relevant documents that no candidate found are only counted, or fetched and logged with the defaults of
            all scores. In serving they aren't candidates: fetching them teaches what serving never sees.
        pair_weights: topic → document → weight, which that row's weight is multiplied by, e.g. `Clicks.weights`.
        scope: what a call asks for in serving: its limit (for candidates without one), its filter, its shard keys.
        doc_id: how a document's id is read from a point; see `evaluate`.
        sample: how many stored points are drawn to note how payload features are distributed, for `drift`; 0 for none.
        batch_size: how many topics share a round trip.
        retries: how often a search that fails in passing is made again; as of `evaluate`.
        path: a `.jsonl` file that keeps each topic as it comes; a run with the same arguments goes on from what it holds.
        now: what `now()` means for topics that don't say; this moment if None.
        seed: for what is drawn.
        progress: called with topics done and topics in all.

    Raises:
        FitError: no topic has judgments, or every topic failed.
        StrategyError: a feature or an argument is wrong.
        PlanError: a candidate doesn't fit the collection.
        FormatError: the file at `path` is of another log.
    """
    made, policy = featured(features), Retries.of(retries)
    _check_options(unjudged, missed, sample, batch_size)
    target = executor.target()
    asked = [topic for topic in topics if qrels.grades.get(topic.id)]
    if not asked:
        raise FitError(f"none of the {len(topics)} topics has judgments: there is nothing to learn from")
    labelling = Labelling(unjudged, negatives, missed, seed, pair_weights or {}, doc_id, aliases(qrels))
    options = replace(options or SearchOptions(), with_payload=_payload(made, doc_id), offset=None, stable_ties=False)
    prepared = CandidateSearch.of(candidates, options, target)
    executor.plan(prepared.formula, options)
    check_scores(made, prepared.formula)
    check_given(made, asked)
    check_conditions(made, target)
    header = _header(prepared, made, topics, qrels, labelling, now or dt.datetime.now(dt.UTC), options, target)
    with closing(LogStream(None if path is None else _jsonl(path), header)) as stream:
        resumed, seen, moment = bool(stream.done), Seen(made), dt.datetime.fromisoformat(stream.header["now"])
        asking = Logging(executor, prepared, made, qrels, labelling, target, moment, seen, policy)
        asking.run(asked, stream, batch_size, progress)
        stored = stored_points(executor, options.with_payload, sample, options.filter, policy) if sample else []
        for lint in seen.warnings(executor, [point.payload or {} for point in stored], resumed):
            warn(lint)
        reference = reference_of(made, stored, target.view)
        stream.finish({"reference": {name: one.as_dict() for name, one in reference.items()}})
    unjudged_topics = tuple(topic.id for topic in topics if not qrels.grades.get(topic.id))
    coverage = LogCoverage(unjudged=unjudged_topics, failed=asking.failed)
    done = [stream.done[topic.id] for topic in asked if topic.id in stream.done]
    return assembled(made, tuple(candidates), done, reference, coverage)


def _payload(features: Mapping[str, Feature | Category], doc_id: DocId) -> bool | list[str]:
    if callable(doc_id):
        return True
    return selector(features, ["_id"] if doc_id is None else [doc_id])


def _check_options(unjudged: str, missed: str, sample: int, batch_size: int) -> None:
    for name, value, kind in (("unjudged", unjudged, Unjudged), ("missed", missed, Missed)):
        if value not in get_args(kind):
            raise StrategyError(f"{name} is {' or '.join(map(repr, get_args(kind)))}, got {value!r}")
    if not is_whole(sample, 0) or not is_whole(batch_size, 1):
        raise StrategyError(f"sample is at least 0 and batch_size at least 1, got {sample!r} and {batch_size!r}")


def _jsonl(path: str | PathLike[str]) -> Path:
    if Path(path).suffix != ".jsonl":
        raise StrategyError(
            f"path= keeps a log as JSON lines, its name ends in .jsonl; got {str(path)!r}: write others with save()"
        )
    return Path(path)


def _header(
    candidates: CandidateSearch,
    features: Mapping[str, Feature | Category],
    topics: Topics,
    qrels: Qrels,
    labelling: Labelling,
    now: dt.datetime,
    options: SearchOptions,
    target: Target,
) -> dict[str, Any]:
    what: dict[str, Any] = {
        "features": {name: feature_json(feature) for name, feature in features.items()},
        "candidates": candidates_json(candidates.formula.candidates),
    }
    asked = {
        "collection": target.schema.collection,
        "topics": topics.fingerprint,
        "qrels": qrels.fingerprint,
        "limit": options.limit,
        "filter": repr(options.filter),
        "unjudged": labelling.unjudged,
        "negatives": None if labelling.negatives is None else asdict(labelling.negatives),
        "missed": labelling.missed,
        "seed": labelling.seed,
        "pair_weights": {topic: dict(weights) for topic, weights in labelling.pair_weights.items()},
        "doc_id": labelling.doc_id if isinstance(labelling.doc_id, str | None) else "a function",
    }
    fingerprint = hashlib.sha256(json.dumps([what, asked, _VERSION], sort_keys=True).encode()).hexdigest()[:16]
    return {"kind": KIND, "version": _VERSION, "fingerprint": fingerprint, "now": now.isoformat(), **what}
