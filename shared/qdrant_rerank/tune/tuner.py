"""`tune`: which strategy to use on a collection, by judgments, with what it is worth on topics that it wasn't chosen on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from .. import Executor, Retries, Strategy, StrategyError
from .._internals import brief, is_whole
from ..errors import FitError
from ..evaluate import LEAST_TOPICS, DocId, Qrels, Topics
from ..evaluate._internals import MEASURING, Progress, Work, aliases, other_ids, parse_measures
from ..planning import Schema
from ..stages import Stage
from .configurations import Ground, Lessons, effort_of
from .gathering import Budget, Gathering, Meter, Pool, PoolFile, PoolHeader, Spread, Wants, check_executor, spreads
from .results import Tuning
from .space import DEFAULT, Space, check_candidates, default_strategy, find_candidates, propose, teach, wants_of
from .summary import Judged, conclude
from .trial import Trial

__all__ = ["tune"]


def tune(
    executor: Executor,
    topics: Topics,
    qrels: Qrels,
    candidates: Sequence[Stage] | None = None,
    *,
    baseline: Strategy | None = None,
    space: Space | None = None,
    budget: Budget | None = None,
    measure: str = "nDCG@10",
    splits: int = 20,
    alpha: float = 0.05,
    power: float = 0.8,
    seed: int = 0,
    doc_id: DocId = None,
    batch_size: int = 32,
    retries: int | Retries = MEASURING,
    cache: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Find out which strategy to use, and whether it is worth leaving the default for.

    Each candidate is searched once for each topic, deep; fusions, formulas and what a model makes of the candidates are
    recomputed from that. A configuration is chosen on a random half of the topics and judged on the other, many times
    over; it is recommended only if that held-out gain over the baseline is above 0 beyond chance. Of configurations that
    can't be told from the best, the cheapest is chosen (texts read by a model, round trips, searches, in this order), and
    the baseline before others that cost the same. Otherwise the answer is to keep the baseline.

    Args:
        executor: the collection, with encoders, and with a model if rescoring is to be tried.
        topics: the queries. Those without judgments are left out.
        qrels: the judgments.
        candidates: the plain searches to combine; if None one for each dense and sparse vector that there is an encoder for. A
            candidate's `limit` is added to the space's depths.
        baseline: what there is to beat; RRF as Qdrant does it by default, or the only candidate, if None.
        space: what is tried; see `Space`.
        budget: what may be spent; what is left out for it is listed in the result. A model reads nothing unless it says so.
        measure: an ir-measures' name. Say it beforehand.
        splits: how many times to choose and judge, an even number: each halving is used both ways.
        alpha: how often a gain may be claimed where there is none.
        power: how sure a gain should be found, for `detectable`.
        seed: of the halvings and resampling.
        doc_id: where a result's document id is; see `DocId`.
        batch_size: how many topics share a round trip.
        retries: how often a search that fails in passing is made again; as of `evaluate`.
        cache: a file that keeps what the candidates found; the same tuning with another space then asks nothing of Qdrant
            again,
            as long as the space needs no deeper candidates and no more payload.
        progress: is called with how many topics have been searched, and how many there are.

    Raises:
        FitError: there are too few judged topics, or all of them failed.
        StrategyError: an argument is wrong, nothing found was judged, or the budget doesn't cover the candidates.
        PlanError: a candidate or the baseline doesn't fit the collection.
        MissingExtra: ir-measures or scipy isn't installed.
    """
    check_executor(executor)
    settings = _Settings(splits, alpha, power, seed)
    work = Work(topics, qrels, [measure], batch_size, retries=retries)
    _check_topics(work)
    target, space, meter = executor.target(), space or Space(), Meter(budget or Budget())
    ground = _ground(executor, work, candidates, baseline, space)
    wants = wants_of(propose(space, ground, target).options, ground, doc_id)
    _check_budget(wants, len(work.asked), meter)
    with _file(cache, executor, wants, work, doc_id) as file:
        gathering = Gathering(executor, wants, doc_id, aliases(qrels), meter, batch_size, file, Retries.of(retries))
        pools = gathering.pools(list(work.asked), progress)
    _check_found(pools, qrels)
    ground = replace(ground, spreads=_spreads(pools, wants, target.schema))
    proposed = propose(space, ground, target)  # again, now that scores are known
    proposed = teach(proposed, ground, Lessons(pools, qrels, target, seed))
    [name] = parse_measures([measure])
    trial = Trial(executor, pools, qrels, name, ground.limit, meter, doc_id, gathering.names, batch_size, gathering.retries)
    trial.left_out.extend(proposed.left_out)
    trial.measure_all(proposed.options)
    trial.check_baseline(DEFAULT)
    options = [option for _, option in proposed.options if option.name in trial.values]
    options.sort(key=lambda option: (option.complexity, effort_of(option.strategy, ground.limit, ground.schema)))
    judged = Judged(options, trial, ground, gathering.failed, topics.synthetic)
    return conclude(judged, settings.splits, settings.alpha, settings.power, settings.seed)


@dataclass(frozen=True)
class _Settings:
    """The numbers that a caller chose.

    Raises:
        StrategyError: one is out of range.
    """

    splits: int
    alpha: float
    power: float
    seed: int

    def __post_init__(self) -> None:
        if not is_whole(self.splits, 2) or self.splits % 2:
            raise StrategyError(
                f"splits must be an even number, at least 2, as each halving is used both ways; got {self.splits!r}"
            )
        if not 0 < self.alpha < 1 or not 0 < self.power < 1:
            raise StrategyError(f"alpha and power must be between 0 and 1, got {self.alpha!r} and {self.power!r}")


def _check_topics(work: Work) -> None:
    count = len(work.judged)
    if count < LEAST_TOPICS:
        few = "1 topic with judgments is" if count == 1 else f"{count} topics with judgments are"
        raise FitError(
            f"{few} too few to tune with: half of them have to choose, half to judge. It takes at least {LEAST_TOPICS}, and "
            "hundreds to see gains of 0.02; compare(…) of two strategies says how many topics a difference takes"
        )


def _ground(
    executor: Executor, work: Work, candidates: Sequence[Stage] | None, baseline: Strategy | None, space: Space
) -> Ground:
    schema = executor.target().schema
    given = find_candidates(executor, list(work.asked)) if candidates is None else check_candidates(candidates, schema)
    if baseline is not None and not isinstance(baseline, Strategy):
        raise StrategyError(f"the baseline must be a strategy, got {brief(baseline)}")
    depths = {*space.depths, *(candidate.limit for candidate in given if candidate.limit is not None)}
    plain = tuple(replace(candidate, limit=None) for candidate in given)
    return Ground(
        candidates=plain,
        depths=tuple(sorted(depths)),
        limit=work.deepest,
        baseline=default_strategy(plain) if baseline is None else baseline.resolve(schema),
        schema=schema,
        has_model=executor.reranker is not None,
        queries=tuple(topic.text for topic in work.asked),
    )


def _spreads(pools: Sequence[Pool], wants: Wants, schema: Schema) -> dict[str, Spread]:
    depths = {key: depth for key, (_, depth) in wants.leaves.items()}
    vectors = {key: schema.vectors[leaf.vector or ""] for key, (leaf, _) in wants.leaves.items()}
    return spreads(pools, depths, vectors)


def _check_budget(wants: Wants, topics: int, meter: Meter) -> None:
    needed = len(wants.leaves) * topics
    limit = meter.budget.requests
    if limit is not None and needed > limit:
        raise StrategyError(
            f"the budget's {limit:,} requests are too few: {len(wants.leaves)} candidates for {topics:,} topics take "
            f"{needed:,}; "
            f"allow as many, or tune with {limit // len(wants.leaves):,} topics"
        )


def _check_found(pools: Sequence[Pool], qrels: Qrels) -> None:
    """Refuse to measure where not one document found was judged: the ids are others."""
    if len(pools) < LEAST_TOPICS:
        raise FitError(f"only {len(pools)} topics could be searched for; tuning takes at least {LEAST_TOPICS}")
    found = {document for pool in pools for document in pool.documents.values()}
    if not found:
        raise StrategyError(
            "the candidates found nothing for any topic: is the collection empty, or the topics' filter too narrow?"
        )
    if qrels.documents.isdisjoint(found):
        raise StrategyError(f"{other_ids(sorted(found), qrels.documents)} where a result's document id is")


def _file(
    path: str | os.PathLike[str] | None, executor: Executor, wants: Wants, work: Work, doc_id: DocId
) -> AbstractContextManager[PoolFile | None]:
    if path is None:
        return nullcontext()
    candidates = ", ".join(f"{key} to {depth}" for key, (_, depth) in sorted(wants.leaves.items()))
    told = doc_id if isinstance(doc_id, str) or doc_id is None else "function"
    header = PoolHeader(executor.collection, candidates, repr(wants.payload), work.asked.fingerprint, repr(told))
    return PoolFile(path, header)
