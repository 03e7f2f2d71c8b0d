"""A formula learned from the judgments, and for each topic one learned from other topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast, get_args

import numpy as np

from .. import StrategyError
from .._internals import brief, candidate_scores, is_finite, is_whole
from ..errors import FitError
from ..expressions import Expression
from ..planning import Target
from ..stages import ClientFormula, Formula
from .configurations import Option, Scorer, Setting, TrainingTopics
from .families import score_of
from .gathering import Hit, TopicHits
from .trial import read_by, recompute

if TYPE_CHECKING:  # learning builds on the reading of topics and judgments, which loads this package
    from ..learn import Feature, FeatureLike, FeatureLog
    from ..learn._internals import Array, Problem

Loss: TypeAlias = Literal["pairwise", "pointwise"]
_LEAST_FOLD: Final = 2


@dataclass(frozen=True)
class Learned:
    """A logistic formula over the candidates' scores and whatever features are named, learned from the judgments.

    The topics are divided into folds. A formula learned from the other folds ranks each, so that none knew the topics that it
    ranks; the strategy to use is learned from all. The choice falls on one half of the topics, but the formulas that rank that
    half learned from the other half too: a chance pattern that both share favours the choice and its worth, and held-out gains
    come out a little too high, by less than a quarter of their standard error where nothing can be learned, with no more false
    alarms than without the family (`benchmarks/tuning_nulls.py`). Learning anew from each half would avoid it, at twenty times
    the work and from half the judgments.

    On several shards, each of which hands a formula candidates of its own, the strategy is computed on the client
    (`Formula(…).on_client()`), over the candidates that it was learned from.

    Features are standardised, and the penalty is fixed beforehand: each topic (for pairs) or row (pointwise) counts as one
    observation beside it.

    Attributes:
        features: name → expression or `Feature`, beside the candidates' scores: payload and request-time values with defaults.
            A candidate whose score one of them reads isn't added again.
        losses: `pairwise` learns which of two candidates of a topic is more relevant, `pointwise` which ones are relevant;
            each is an option. See `fit_logistic`.
        c: inverse strength of the L2 penalty.
        folds: into how many groups the topics are divided.
        least_topics: how many topics must have a relevant candidate.

    Raises:
        StrategyError: a feature can't be learned from, or a number is out of range.
    """

    features: Mapping[str, FeatureLike] = field(default_factory=dict[str, Any])
    losses: tuple[Loss, ...] = ("pairwise",)
    c: float = 1.0
    folds: int = 5
    least_topics: int = 50
    name: str = "learned"

    def __post_init__(self) -> None:
        if not self.losses or any(loss not in get_args(Loss) for loss in self.losses):
            raise StrategyError(f"losses are 'pairwise' and 'pointwise', got {self.losses!r}")
        if not is_finite(self.c) or self.c <= 0:
            raise StrategyError(f"c is a number above 0, got {self.c!r}")
        if not is_whole(self.folds, _LEAST_FOLD) or not is_whole(self.least_topics, self.folds):
            raise StrategyError(
                f"folds is at least {_LEAST_FOLD} and least_topics at least that, got {self.folds!r} and {self.least_topics!r}"
            )
        if self.features:
            object.__setattr__(self, "features", _check_features(self.features))

    def options(self, setting: Setting) -> Iterator[Option]:
        columns = self._columns(setting)
        if len(columns) < 2:
            return  # one candidate's score alone ranks as that candidate
        form = Formula(reduce(add, columns.values())).over(*setting.deep(setting.deepest))
        for loss in self.losses:
            settings = {"loss": loss, "folds": self.folds, "depth": setting.deepest}
            yield Option(f"{self.name}, {loss}", form, self.name, settings, 3 * len(columns))

    def _columns(self, setting: Setting) -> dict[str, Expression]:
        """The candidates' scores and the features, by name."""
        given = {name: cast("Feature", feature).expression for name, feature in self.features.items()}
        read = {node.name for expression in given.values() for node in candidate_scores(expression)}
        found: dict[str, Expression] = {}
        for candidate in setting.candidates:
            if candidate.title in read or (None in read and len(setting.candidates) == 1):
                continue
            title = setting.title(candidate)
            found[f"score of {title}" if title in given else title] = score_of(candidate, setting)
        return found | given

    def learn(self, option: Option, setting: Setting, data: TrainingTopics) -> Option:
        from ..learn._internals import make_pairs, margin_expression, one_thread, prepare

        columns, form = self._columns(setting), Formula.of(option.strategy)
        with one_thread():
            log = _log(columns, form, data, setting.limit)
            self._check_topics(log, len(data.hits))
            prepared = prepare(log)
            pairwise = option.parameters["loss"] == "pairwise"
            problem = make_pairs(prepared, data.seed) if pairwise else prepared.problem
            fold_of = _deal_folds([each.topic.id for each in data.hits], self.folds, data.seed)
            topics = sorted(set(prepared.log.topics.tolist()))  # as `prepare` numbers them
            groups = np.array([fold_of[topic] for topic in topics])
            whole = self._solve(problem)
            apart = [self._solve(problem.only(groups[problem.groups] != fold)) for fold in range(self.folds)]
        alike = form.alike_on_shards(data.target.schema)

        def strategy_of(solution: Array) -> Formula | ClientFormula:
            weighed = replace(form, expression=margin_expression(prepared, solution))
            return weighed if alike else weighed.on_client()

        ranked_by = [strategy_of(solution) for solution in apart]
        weights = {f"weight of {name}": float(w) for name, w in zip(columns, whole[:-1] / prepared.deviations, strict=True)}
        where = "" if alike else " It is computed on the client, as each shard would hand Qdrant's formula its own candidates."
        return replace(
            option,
            strategy=strategy_of(whole),
            parameters={**option.parameters, **weights},
            by_topic={topic: ranked_by[fold] for topic, fold in fold_of.items()},
            note=(
                f"Its weights are learned: each topic is ranked by weights learned without it ({self.folds} folds); those to "
                f"use are learned from all {len(data.hits)} topics.{where}"
            ),
        )

    def _check_topics(self, log: FeatureLog, topics: int) -> None:
        found = len(set(log.topics[log.relevant()].tolist()))
        if found < self.least_topics:
            raise FitError(
                f"{found} of {topics} topics have a relevant document among the candidates, and learning weights takes at "
                f"least {self.least_topics}"
            )

    def _solve(self, problem: Problem) -> Array:
        """The weights, and the intercept last: shape (f + 1,)."""
        from ..learn._internals import solve

        share = 1.0 if problem.intercept else len(np.unique(problem.groups)) / float(problem.w.sum())
        return solve(problem, self.c * share, None, np.zeros(problem.x.shape[1] + 1))

    def rank(self, option: Option, topic_hits: TopicHits, target: Target, limit: int, scorer: Scorer) -> Sequence[Hit]:
        return recompute(Formula.of(option.strategy), topic_hits, target, limit)


def _check_features(features: Mapping[str, FeatureLike]) -> dict[str, Feature]:
    from ..learn import Feature
    from ..learn._internals import check_features

    found: dict[str, Feature] = {}
    for name, feature in check_features(features).items():
        if not isinstance(feature, Feature) or feature.missing is not None:
            raise StrategyError(
                f"the feature {name!r}: a formula weighs numbers that are always there, got {brief(feature)}; write field(key, "
                "default=…), or when(…) for a category"
            )
        found[name] = feature
    return found


def _log(columns: Mapping[str, Expression], form: Formula, data: TrainingTopics, limit: int) -> FeatureLog:
    """The columns of all candidates, with their grades; documents that nobody judged aren't relevant."""
    from ..learn import Feature, FeatureLog
    from ..learn._internals import compute_features

    features = {name: Feature(expression) for name, expression in columns.items()}
    values, topics, documents = [np.empty((0, len(features)))], list[str](), list[str]()
    for topic_hits in data.hits:
        hits, table = read_by(form, topic_hits, data.target, limit)
        values.append(compute_features(features, table))
        topics += [topic_hits.topic.id] * len(hits)
        documents += [topic_hits.documents[hit.id] for hit in hits]
    judged = [data.qrels[topic].get(document) for topic, document in zip(topics, documents, strict=True)]
    return FeatureLog(
        features=features,
        candidates=form.candidates,
        topics=np.array(topics, np.str_),
        documents=np.array(documents, np.str_),
        grades=np.array([grade or 0 for grade in judged], np.int64),
        judged=np.array([grade is not None for grade in judged], np.bool_),
        weights=np.ones(len(topics)),
        values=np.concatenate(values),
    )


def _deal_folds(topics: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """Topic → fold, as even as possible, whatever the topics' order."""
    drawn = np.random.default_rng(seed).permutation(len(topics)) % folds
    return dict(zip(sorted(topics), drawn.tolist(), strict=True))
