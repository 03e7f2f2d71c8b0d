"""`tune`: which strategy to use on a collection, by judgments, and its worth on topics that it wasn't chosen on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from .. import Executor, PlanError, QdrantRerankError, QueryError, Retries, SearchOptions, Strategy, StrategyError
from .._internals import brief, check_known, is_whole, plan_on
from ..errors import FitError, MissingExtra
from ..evaluate import LEAST_TOPICS, DocId, Qrels, Topic, Topics
from ..evaluate._internals import (
    MEASURING,
    Experiment,
    Progress,
    aliases,
    describe_doc_id,
    id_payload,
    identify_doc_id,
    other_ids,
    parse_measures,
)
from ..planning import Schema, Target
from ..stages import Fusion, Nearest, Stage
from .choice import ChoiceSettings, conclude
from .configurations import DEFAULT, Family, Learner, LeftOut, Option, Setting, TrainingTopics, Tuning, effort_of
from .families import Baseline, Dbsf, Reranked, Rrf, SingleCandidates, WeightedSum
from .gathering import Access, Budget, Gathering, HitsFile, Meter, PlannedSearches, TopicHits, key_of, leaf_depths, spreads
from .learned import Learned
from .trial import Trial, is_local, is_recomputable, reads_payload

_Proposed: TypeAlias = "list[tuple[Family, Option]]"


@dataclass(frozen=True)
class Space:
    """What `tune` tries.

    Attributes:
        families: propose strategies; by default single candidates, RRF, DBSF, weighted sums, a learned formula and a model's
            reading.
        depths: how many points a candidate hands on; the candidates are searched to the deepest of them.

    Raises:
        StrategyError: there is no family or no depth, or one of them is none.
    """

    families: tuple[Family, ...] = (SingleCandidates(), Rrf(), Dbsf(), WeightedSum(), Learned(), Reranked())
    depths: tuple[int, ...] = (20, 50, 100)

    def __post_init__(self) -> None:
        object.__setattr__(self, "families", tuple(self.families))
        object.__setattr__(self, "depths", tuple(sorted(set(self.depths))))
        if not self.families:
            raise StrategyError("the space has no families: there is nothing to try")
        for family in self.families:
            if not isinstance(family, Family):
                raise StrategyError(f"{family!r} is no family: it needs name, options(setting) and rank(…)")
        if not self.depths or not all(is_whole(depth, 1) for depth in self.depths):
            raise StrategyError(f"depths must be whole numbers of at least 1, got {self.depths!r}")

    def plus(self, *families: Family) -> Space:
        """This space with further families."""
        return replace(self, families=(*self.families, *families))


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

    Each candidate is searched once for each topic, deep; fusions, formulas and reranking are recomputed from that. A
    configuration is chosen on a random half of the topics and judged on the other, many times over; it is recommended only if
    that held-out gain over the baseline is above 0 beyond chance, else keep the baseline. Of configurations that can't be told
    from the best, the cheapest is chosen (texts read by a model, round trips, searches, in this order), and the baseline
    before others that cost the same.

    Args:
        executor: the collection, with encoders, and with a model to try reranking.
        topics: the queries. Those without judgments are left out.
        qrels: the judgments.
        candidates: the plain searches to combine; if None one for each dense and sparse vector that has an encoder. A
            candidate's `limit` is added to the space's depths.
        baseline: the strategy to beat; RRF as Qdrant does it by default, or the only candidate, if None.
        space: what to try; see `Space`.
        budget: what may be spent, no model's reading by default; the result lists what is left out for it.
        measure: an ir-measures' name. Choose it beforehand.
        splits: how many times to choose and judge, an even number: each halving is used both ways.
        alpha: how often a gain may be claimed where there is none.
        power: how sure a gain should be found, for `detectable`.
        seed: of the halvings and resampling.
        doc_id: where a result's document id is; see `DocId`.
        batch_size: how many topics share a round trip.
        retries: how often a search that fails in passing is made again; as of `evaluate`.
        cache: a file that keeps the candidates' points; the same tuning with another space then asks nothing of Qdrant again,
            as long as the space needs no deeper candidates and no more payload.
        progress: called with how many topics have been searched, and how many there are.

    Raises:
        FitError: there are too few judged topics, or all of them failed.
        StrategyError: an argument is wrong, nothing found was judged, or the budget doesn't cover the candidates.
        PlanError: a candidate or the baseline doesn't fit the collection.
        MissingExtra: ir-measures or scipy isn't installed.
    """
    if not isinstance(executor, Executor):
        raise StrategyError(f"tune needs an Executor, got {type(executor).__name__}: Executor(client, collection, encoders=…)")
    settings = ChoiceSettings(splits, alpha, power, seed)
    experiment = Experiment(topics, qrels, [measure], batch_size, retries=retries)
    _check_topics(experiment)
    target, space = executor.target(), space or Space()
    access = Access(executor, Meter(budget or Budget()), doc_id, aliases(qrels), batch_size, Retries.of(retries))
    setting = _make_setting(executor, experiment, candidates, baseline, space)
    planned = _plan_searches(_propose(space, setting, target)[0], setting, doc_id)
    _check_budget(planned, len(experiment.asked), access.meter)
    with _file(cache, executor, planned, experiment, doc_id) as file:
        gathering = Gathering(access, planned, file)
        all_hits = gathering.gather(list(experiment.asked), progress)
    _check_found(all_hits, qrels)
    vectors = target.schema.vectors
    asked = {key: (vectors[leaf.vector or ""], depth) for key, (leaf, depth) in planned.leaves.items()}
    setting = replace(setting, spreads=spreads(all_hits, asked))
    proposed, left_out = _propose(space, setting, target)  # again, now that scores are known
    proposed = _teach(proposed, left_out, setting, TrainingTopics(all_hits, qrels, target, seed))
    [name] = parse_measures([measure])
    trial = Trial(access, all_hits, qrels, name, setting.limit, left_out)
    trial.measure_all(proposed)
    trial.check_baseline(DEFAULT)
    options = [option for _, option in proposed if option.name in trial.values]
    options.sort(key=lambda option: (option.complexity, effort_of(option.strategy, setting.limit, setting.schema)))
    return conclude(options, trial, setting, settings, gathering.failed, topics.synthetic)


def _check_topics(experiment: Experiment) -> None:
    count = len(experiment.judged)
    if count < LEAST_TOPICS:
        few = "1 topic with judgments is" if count == 1 else f"{count} topics with judgments are"
        raise FitError(
            f"{few} too few to tune with: half of them have to choose, half to judge. It takes at least {LEAST_TOPICS}, and "
            "hundreds to see gains of 0.02; compare(…) of two strategies says how many topics a difference takes"
        )


def _make_setting(
    executor: Executor, experiment: Experiment, candidates: Sequence[Stage] | None, baseline: Strategy | None, space: Space
) -> Setting:
    schema = executor.target().schema
    asked = list(experiment.asked)
    given = _list_candidates(executor, asked) if candidates is None else _resolve_candidates(candidates, schema)
    if baseline is not None and not isinstance(baseline, Strategy):
        raise StrategyError(f"the baseline must be a strategy, got {brief(baseline)}")
    depths = {*space.depths, *(candidate.limit for candidate in given if candidate.limit is not None)}
    plain = tuple(replace(candidate, limit=None) for candidate in given)
    default = plain[0] if len(plain) == 1 else Fusion.rrf().over(*plain)  # as Qdrant does it
    return Setting(
        candidates=plain,
        depths=tuple(sorted(depths)),
        limit=experiment.deepest,
        baseline=default if baseline is None else baseline.resolve(schema),
        schema=schema,
        has_reranker=executor.reranker is not None,
        queries=tuple(topic.text for topic in experiment.asked),
    )


def _check_budget(planned: PlannedSearches, topics: int, meter: Meter) -> None:
    needed = len(planned.leaves) * topics
    limit = meter.budget.requests
    if limit is not None and needed > limit:
        raise StrategyError(
            f"the budget's {limit:,} requests are too few: {len(planned.leaves)} candidates for {topics:,} topics take "
            f"{needed:,}; allow as many, or tune with {limit // len(planned.leaves):,} topics"
        )


def _check_found(all_hits: Sequence[TopicHits], qrels: Qrels) -> None:
    """Refuse to measure where no document found was judged, as its ids are others."""
    if len(all_hits) < LEAST_TOPICS:
        raise FitError(f"only {len(all_hits)} topics could be searched for; tuning takes at least {LEAST_TOPICS}")
    found = {document for topic_hits in all_hits for document in topic_hits.documents.values()}
    if not found:
        raise StrategyError(
            "the candidates found nothing for any topic: is the collection empty, or the topics' filter too narrow?"
        )
    if qrels.documents.isdisjoint(found):
        raise StrategyError(f"{other_ids(sorted(found), qrels.documents)} where a result's document id is")


def _file(
    path: str | os.PathLike[str] | None, executor: Executor, planned: PlannedSearches, experiment: Experiment, doc_id: DocId
) -> AbstractContextManager[HitsFile | None]:
    if path is None:
        return nullcontext()
    candidates = ", ".join(f"{key} to {depth}" for key, (_, depth) in sorted(planned.leaves.items()))
    about: dict[str, Any] = {"collection": executor.collection, "candidates": candidates, "payload": repr(planned.payload)}
    depends_on = executor.target().identify(planned.vectors) | identify_doc_id(doc_id)
    check_known(path, depends_on)
    about |= {"topics": experiment.asked.fingerprint, "doc_id": repr(describe_doc_id(doc_id)), "depends_on": depends_on}
    return HitsFile(path, about)


def _resolve_candidates(candidates: Sequence[Any], schema: Schema) -> tuple[Stage, ...]:
    """A caller's candidates, as plain searches of this collection.

    Raises StrategyError: one isn't a plain search, or two have the same name, or there are none.
    """
    resolved: list[Stage] = []
    for candidate in candidates:
        if not isinstance(candidate, Stage) or not candidate.is_search or candidate.candidates:
            raise StrategyError(
                f"a candidate is a plain search, Nearest(name), got {brief(candidate)}; put other strategies into the space"
            )
        resolved.append(candidate.resolve(schema))
    titles = [candidate.title for candidate in resolved]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise StrategyError(f"two candidates are called {twice[0]!r}: tell them apart with Nearest(…, name=…)")
    if not resolved:
        raise StrategyError("candidates is empty: name at least one, e.g. Nearest('dense'), or leave it out")
    return tuple(resolved)


def _list_candidates(executor: Executor, topics: Sequence[Topic]) -> tuple[Stage, ...]:
    """A candidate for each dense and sparse vector with an encoder, dense ones first. Raises StrategyError if there is none."""
    schema = executor.target().schema
    candidates = []
    for kind in ("dense", "sparse"):
        for name in schema.names(kind):
            try:
                executor.encoders.encoder(name, schema)
            except QueryError:
                if not all(name in topic.vectors for topic in topics):
                    continue
            candidates.append(Nearest(name))
    if not candidates:
        raise StrategyError(
            f"no candidates to tune: the collection {schema.collection!r} has {schema.describe_vectors()}, and the executor "
            "has an encoder for none of its dense and sparse vectors: pass encoders=… to it"
        )
    return tuple(candidates)


def _propose(space: Space, setting: Setting, target: Target) -> tuple[_Proposed, list[LeftOut]]:
    """All options with their families, the baseline first; and those that don't fit the collection.

    Raises PlanError: the baseline doesn't fit the collection, or an option that must. Raises StrategyError: two options have
    the same name.
    """
    found: _Proposed = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    names: set[str] = set()
    for family in (Baseline(), *space.families):
        for option in family.options(setting):
            if option.name in names:
                raise StrategyError(f"two configurations are called {option.name!r}: give the families names of their own")
            names.add(option.name)
            try:
                checked = plan_on(option.strategy, target, SearchOptions(limit=setting.limit))
            except (PlanError, StrategyError) as error:
                if option.name == DEFAULT or option.must_fit:
                    raise
                left_out.append(LeftOut(option.name, f"it doesn't fit: {error}".replace("\n", "; ")))
                continue
            same = checked.strategy.fill_limits(setting.limit)
            if isinstance(family, Learner) or same not in seen:  # e.g. the baseline is in the space, too
                seen.add(same)
                found.append((family, replace(option, strategy=checked.strategy)))
    return found, left_out


def _teach(proposed: _Proposed, left_out: list[LeftOut], setting: Setting, data: TrainingTopics) -> _Proposed:
    """The options, learned from judgments where their family learns; those with too little to learn from are left out."""
    found: _Proposed = []
    for family, option in proposed:
        try:
            found.append((family, family.learn(option, setting, data) if isinstance(family, Learner) else option))
        except QdrantRerankError as error:  # e.g. a request-time value that a topic lacks
            kind = "" if isinstance(error, FitError | MissingExtra) else f"{type(error).__name__}: "
            left_out.append(LeftOut(option.name, f"{kind}{error}"))
    return found


def _plan_searches(options: _Proposed, setting: Setting, doc_id: Any) -> PlannedSearches:
    """The plain searches that the options are recomputed from, each as deep as the deepest of them needs."""
    leaves: dict[str, tuple[Stage, int]] = {
        key_of(candidate): (candidate, max(setting.deepest, setting.limit)) for candidate in setting.candidates
    }
    payload = False
    for family, option in options:
        below, needed = _below(option.strategy, setting.limit)
        # a learner learns from the candidates, however its strategies are put to Qdrant
        if below is None or not (is_local(below) if isinstance(family, Learner) else is_recomputable(below, setting.schema)):
            continue
        payload = payload or reads_payload(option.strategy)
        for key, (leaf, depth) in leaf_depths(below, needed).items():
            there = leaves.get(key)
            leaves[key] = (leaf, depth) if there is None else (there[0], max(depth, there[1]))
    return PlannedSearches(leaves, True if payload else id_payload(doc_id))


def _below(strategy: Strategy, limit: int) -> tuple[Stage | None, int]:
    """The stage that Qdrant runs, and for how many points."""
    below = strategy.first_search
    if strategy.model_use == "steer" or not isinstance(below, Stage):
        return None, limit
    return below, strategy.candidate_options(SearchOptions(limit=limit)).limit
