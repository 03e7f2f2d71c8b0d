"""`Rerank`: the candidates of any strategy, read and ranked by a model, and its score blended with business terms.

`DocumentReranker` does the same for texts that were found elsewhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias, cast, get_args

import numpy as np
from qdrant_client import models

from .calls import within
from .capabilities import AbilityName, Capabilities
from .errors import Lint, OnError, QueryError, ScoringError, StrategyError, tolerate, warn
from .explain.results import CandidateHit, Column, Explained, ResultReason, Term
from .expressions.evaluation import Table, compute
from .expressions.inspect import candidate_scores, payload_keys, placeholder_params, reads_model
from .expressions.nodes import Expression, ExpressionLike, Sum, as_expression
from .expressions.view import View
from .formula_limits import path_problems
from .models.base import Reranker, ascore_texts, check_scores, score_texts
from .payload import PayloadMapping, keys_of, read_texts
from .payload_mistakes import find_absent_keys
from .points import annotate, notes_of, select_payload, trim, turn_around, with_keys
from .query import Inputs, Query, SearchOptions, Target
from .schema import Schema
from .stages import Nearest
from .steps import AsyncServices, Flow, Points, Request, Score, Services, arun, run
from .strategies import Cost, Latest, ModelUse, Stage, Strategy
from .threads import Workers, use_workers
from .values import brief, is_whole, literal

READ: Final = 50
"""How many candidates a model reads where neither `Rerank` nor the strategy below says how many."""
BEYOND: Final = "beyond what the model reads"
"""What `not_reranked` says of a candidate that the model wasn't to read."""
MUTE: Final = "no text"
"""What it says of one that there is nothing to read of; else it names the error in which the model failed."""

_IN_ORDER: Final = "results are in the order of the search, each with the note 'not_reranked'"

MissingText: TypeAlias = Literal["last", "drop", "raise"]
Unread: TypeAlias = Literal["drop", "last"]


@dataclass(frozen=True, kw_only=True, repr=False, init=False)
class Rerank(Strategy, kind="rerank"):
    """The candidates of a strategy, scored by the executor's model, which reads their texts.

    Each result notes its `retrieval_score` (what the strategy below gave, minus that for distances) and its `relevance_score`
    (what the model gave); its `score` is the latter, or the blend of both, and of a point that the model didn't read the
    former. Higher is better in all three. Equal scores keep the order of the search.

    Args:
        reads: how many candidates the model reads; if None, as many as the strategy below says that it hands on, else 50.
        top_n: how many results to return at most, even where the call asks for more.
        on_error: what happens when the model fails: "raise" its error, or "keep_order", which returns the candidates as
            the search ranked them, each with the note `not_reranked`, and warns.
        missing_text: what happens to a point without text: it comes "last", behind all that were read, with the note
            `not_reranked`; or it is left out ("drop"); or the query fails ("raise").
        unread: what happens to the other candidates, where the call asks for more results than the model reads:
            "drop" makes such a call an error; with "last" they come behind those that were read, in the order of the
            search, with the note `not_reranked`.
        blend: an expression of `rerank_score()`, e.g. `0.9 * sigmoid(rerank_score()) + 0.1 * decay_exp(…)`, computed here for
            the final
            score. It may read `score()` (of the strategy below), payload, request-time values and the time.

    Raises:
        StrategyError: an argument is wrong.
    """

    model_use: ClassVar[ModelUse] = "rank"

    reads: int | None = None
    top_n: int | None = None
    on_error: OnError = "raise"
    missing_text: MissingText = "last"
    unread: Unread = "drop"
    blend: Expression | None = None
    candidate: Strategy | None = None

    def __init__(
        self,
        *,
        reads: int | None = None,
        top_n: int | None = None,
        on_error: OnError = "raise",
        missing_text: MissingText = "last",
        unread: Unread = "drop",
        blend: ExpressionLike | None = None,
        candidate: Strategy | None = None,
    ) -> None:
        # written out because what is given and what is kept differ: a number becomes an expression
        object.__setattr__(self, "reads", reads)
        object.__setattr__(self, "top_n", top_n)
        object.__setattr__(self, "on_error", on_error)
        object.__setattr__(self, "missing_text", missing_text)
        object.__setattr__(self, "unread", unread)
        object.__setattr__(self, "blend", None if blend is None else as_expression(blend))
        object.__setattr__(self, "candidate", candidate)
        self.__post_init__()

    def __post_init__(self) -> None:
        for name, value in (("reads", self.reads), ("top_n", self.top_n)):
            if value is not None and not is_whole(value, 1):
                raise StrategyError(f"{name} of Rerank must be a whole number of at least 1, got {value!r}")
        _check_choice("on_error", self.on_error, get_args(OnError))
        _check_choice("unread", self.unread, get_args(Unread))
        if self.unread == "drop" and self.reads is not None and self.top_n is not None and self.top_n > self.reads:
            raise StrategyError(f"Rerank reads {self.reads} candidates, and can't return top_n={self.top_n} of them")
        _check_choice("missing_text", self.missing_text, get_args(MissingText))
        if self.candidate is not None and not isinstance(self.candidate, Strategy):
            raise StrategyError(f"Rerank runs over a strategy, got {brief(self.candidate)}")
        if self.blend is not None:
            check_blend(self.blend)

    def over(self, candidate: Strategy) -> Self:
        """This reranking, of what that strategy finds."""
        return replace(self, candidate=candidate)

    # What it is made of

    @property
    def below(self) -> Strategy:
        """The strategy whose candidates are read. Raises StrategyError where there is none."""
        if self.candidate is None:
            raise StrategyError(f"{brief(self)} has nothing to read: add .over(Nearest(limit=50))")
        return self.candidate

    @property
    def read_count(self) -> int:
        """How many candidates the model reads."""
        below = self.candidate
        return self.reads or getattr(below, "limit", None) or getattr(below, "read_count", None) or READ

    @property
    def cost(self) -> Cost:
        below = self.below.cost
        return Cost(below.round_trips, below.reads + self.read_count)

    def needs(self) -> frozenset[str]:
        return self.below.needs()

    def resolve(self, schema: Schema) -> Self:
        return replace(self, candidate=self.below.resolve(schema))

    def stages(self) -> Iterator[Stage]:
        yield from self.below.stages()

    def problems(self, target: Target) -> Iterator[str]:
        yield from self.below.problems(target)
        if self.blend is not None:
            yield from path_problems(self.blend)

    def warnings(self, target: Target) -> Iterator[Lint]:
        yield from self.below.warnings(target)

    def shard_warnings(self, schema: Schema) -> Iterator[Lint]:
        yield from self.below.shard_warnings(schema)

    def shard_round_trips(self, schema: Schema) -> int:
        return self.below.shard_round_trips(schema)

    def abilities(self) -> frozenset[AbilityName]:
        return self.below.abilities()

    def params(self) -> Mapping[str, Any]:
        return {**self.below.params(), **({} if self.blend is None else placeholder_params(self.blend))}

    def expressions_as_written(self) -> Iterator[Expression]:
        yield from self.below.expressions_as_written()
        if self.blend is not None:
            yield self.blend

    def abbreviations(self) -> Iterator[tuple[str, str]]:
        yield from self.below.abbreviations()

    @property
    def first_search(self) -> Strategy:
        return self.below

    def fill_limits(self, limit: int) -> str:
        below = self.below.fill_limits(self.candidates_for(limit))
        return f"{replace(self, reads=self.read_count, candidate=None)!r} over {below}"

    def uncheck(self) -> Self:
        below = self.below.uncheck()
        return self if below is self.candidate else replace(self, candidate=below)

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self.below.first_requests(inputs, self.candidate_options(options, inputs.target))

    def later_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self.below.later_requests(inputs, self.candidate_options(options, inputs.target))

    def weigh_places(self, inputs: Inputs, options: SearchOptions) -> str:
        return self.below.weigh_places(inputs, self.candidate_options(options, inputs.target))

    def look(self, target: Target, options: SearchOptions) -> Flow[Target]:
        return (yield from self.below.look(target, options))

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        if options.group_by is not None:
            yield "group_by can't be combined with Rerank: a model ranks points, not groups"
            return
        wanted = options.reach if self.top_n is None else min(options.reach, self.top_n)
        if wanted > self.candidates_for(options.reach):
            yield (
                f"the call asks for {wanted} points, but Rerank reads {self.read_count}: set reads={wanted}, ask for fewer, or "
                "set unread='last'"
            )
        if isinstance(self.below, Stage):
            reach, page = self.candidates_for(options.reach), self.candidates_for(options.needed)
            yield from self.below.shortfalls(reach, "Rerank takes", page)
        else:
            yield from self.below.options_problems(self.candidate_options(options), target)

    @property
    def takes_search_params(self) -> bool:
        return self.below.takes_search_params

    def candidates_for(self, wanted: int) -> int:
        """How many candidates the strategy below is asked for, where the call wants `wanted` results."""
        return self.read_count if self.unread == "drop" else max(self.read_count, wanted)

    def candidate_options(self, options: SearchOptions, target: Target | None = None) -> SearchOptions:
        """What the strategy below is asked for: the same object as for the last call, by which it finds what it made then."""

        def make() -> SearchOptions:
            limit, page = self.candidates_for(options.reach), self.candidates_for(options.needed)
            payload = self._payload(options, target)
            return replace(options, limit=limit, page=page, offset=None, score_threshold=None, with_payload=payload)

        return self._latest_options.get(make, options, target)

    @cached_property
    def _latest_options(self) -> Latest[SearchOptions]:
        return Latest()

    def _payload(self, options: SearchOptions, target: Target | None) -> models.WithPayloadInterface:
        """What to fetch of the payload: what the model and the blend read, and what the call wants to see."""
        text = None if target is None else keys_of(target.payload)
        if text is None or not isinstance(options.with_payload, list | models.PayloadSelectorInclude):
            return True  # so that an error can say what there is
        read = [] if self.blend is None else [key.key for key in payload_keys(self.blend)]
        return with_keys(options.with_payload, [*text, *read])

    # What it does

    def flow(self, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        points = yield from self.below.flow(query, self.candidate_options(options, target), target)
        return (yield from self.rank(points, query, options, target))

    def explain(self, query: Query, options: SearchOptions, target: Target) -> Flow[Explained]:
        """What the strategy below made of each result, and what the model's score adds to it."""
        below = yield from self.below.explain(query, self.candidate_options(options, target), target)
        points = yield from self.rank(below.points, query, replace(options, with_payload=True), target)
        before = {reason.id: reason for reason in below.reasons}
        read = [point for point in points if "relevance_score" in notes_of(point)]
        columns = summands(self.blend, read, query, target.view)
        terms = {point.id: [Term(text, float(column[row])) for text, column in columns] for row, point in enumerate(read)}
        reasons = []
        for rank, point in enumerate(points, (options.offset or 0) + 1):
            found = before[point.id]
            hits = *found.candidates, CandidateHit("retrieval", found.rank, found.score)
            unread = f"the model didn't read it ({notes_of(point).get('not_reranked')})"
            reasons.append(ResultReason.of(point, rank, hits, terms.get(point.id, ()), unread))
        return Explained(trim(points, options), tuple(reasons))

    def rank(self, points: Points, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        """`points`, candidates in the order of the search, in the order of the model's scores, cut to the options.

        Raises:
            QueryError: the query has no text for the model to read.
            ScoringError: a point has no text, and `missing_text` is "raise"; or the model's scores are unusable.
        """
        if not query.text.strip():
            raise QueryError(f"the query's text is empty ({query.text!r}): a model has to read it to score texts against it")
        if not points:
            return []
        if self.below.is_distance(target.schema):
            points = turn_around(points)
        points, beyond = self._split(points)
        texts = read_texts(points, target.payload, target.schema.collection)
        read = [row for row, text in enumerate(texts) if text.strip()]
        unread = [row for row, text in enumerate(texts) if not text.strip()]
        self._check_missing(points, unread)
        try:
            relevance = (yield from Score(query.text, [texts[row] for row in read])) if read else []
            scores = blend_scores(self.blend, [points[row] for row in read], relevance, query, target.view)
        except Exception as error:
            kind = tolerate(error, self.on_error, _IN_ORDER)
            kept: Points = [annotate(point, not_reranked=kind, retrieval_score=float(point.score)) for point in points]
            return self._cut(kept + _note_beyond(beyond), options)
        order = np.argsort(-scores, kind="stable")
        ranked: Points = [
            annotate(
                points[read[place]],
                float(scores[place]),
                retrieval_score=float(points[read[place]].score),
                relevance_score=float(relevance[place]),
            )
            for place in order
        ]
        if options.score_threshold is None:  # the others have no score that could reach it
            if self.missing_text == "last":
                ranked += [annotate(points[row], not_reranked=MUTE) for row in unread]
            ranked += _note_beyond(beyond)
        return self._cut(ranked, options)

    def _split(self, points: Points) -> tuple[Points, Points]:
        """Those that the model is to read, and the others."""
        return (points, []) if self.unread == "drop" else (points[: self.read_count], points[self.read_count :])

    def _check_missing(self, points: Points, unread: Sequence[int]) -> None:
        if unread and self.missing_text == "raise":
            listed = ", ".join(repr(points[row].id) for row in unread[:5])
            raise ScoringError(
                f"{len(unread)} of {len(points)} candidates have no text, e.g. {listed}: set missing_text='last' or 'drop'"
            )

    def _cut(self, ranked: Points, options: SearchOptions) -> Points:
        if options.score_threshold is not None:
            threshold = options.score_threshold
            ranked = [point for point in ranked if point.score >= threshold or "not_reranked" in notes_of(point)]
        start = options.offset or 0
        end = start + options.limit if self.top_n is None else min(start + options.limit, self.top_n)
        cut = ranked[start:end]
        for point in cut if options.with_payload is not True else ():  # they are copies
            point.payload = select_payload(point.payload, options.with_payload)
        return cut

    def __repr__(self) -> str:
        own = [attribute for attribute in fields(self) if attribute.name != "candidate"]
        changed = {each.name: value for each in own if (value := getattr(self, each.name)) != each.default}
        written = ", ".join(f"{name}={literal(value)}" for name, value in changed.items())
        return f"Rerank({written})" + ("" if self.candidate is None else f".over({self.candidate!r})")


def _note_beyond(points: Points) -> Points:
    return [annotate(point, not_reranked=BEYOND) for point in points]


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise StrategyError(f"the {name} of Rerank is one of {', '.join(map(repr, allowed))}; got {value!r}")


def check_blend(blend: Expression) -> None:
    """Refuse a blend that can't be computed, or that would leave the model without effect.

    Raises StrategyError where it doesn't read `rerank_score()`, or reads the score of one candidate by name.
    """
    if not reads_model(blend):
        raise StrategyError(f"blend={blend!r} doesn't read rerank_score(): without it the model's scores would have no effect")
    if named := [score.name for score in candidate_scores(blend) if score.name is not None]:
        raise StrategyError(
            f"blend reads score({named[0]!r}), but here only score() is known: the score of the strategy that Rerank runs over"
        )


def blend_scores(blend: Expression | None, points: Points, relevance: Sequence[float], query: Query, view: View) -> Column:
    """The final score of each of n points that a model read: shape (n,); the model's own, `relevance`, without a blend.

    Raises ScoringError where a score isn't finite, PlanError where a point lacks a payload key that the blend reads without a
    default, QueryError where a request-time value is missing.
    """
    if blend is None:
        return np.array(relevance, np.float64)
    scores = compute(blend, _table(points, [point.score for point in points], relevance, query, view))
    if not np.isfinite(scores).all():
        worst = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise ScoringError(f"the blend of point {points[worst].id!r} is {scores[worst]}: {blend!r} must be finite")
    return scores


def summands(blend: Expression | None, points: Points, query: Query, view: View) -> list[tuple[str, Column]]:
    """What adds up to the final scores of n points that a model read and that note it: texts, each with n values."""
    notes = [notes_of(point) for point in points]
    relevance = [note.get("relevance_score", np.nan) for note in notes]
    if blend is None:
        return [("rerank_score()", np.array(relevance, np.float64))]
    before = [note.get("retrieval_score", np.nan) for note in notes]
    table = _table(points, before, relevance, query, view)
    terms = blend.terms if isinstance(blend, Sum) else (blend,)
    return [(repr(term), compute(term, table)) for term in terms]


def _table(points: Points, before: Sequence[float], relevance: Sequence[float], query: Query, view: View) -> Table:
    scores: dict[str | None, Any] = {None: np.array(before, np.float64)}
    return Table(
        payloads=[point.payload or {} for point in points],
        ids=[point.id for point in points],
        scores=scores,
        params=query.params,
        now=query.now or dt.datetime.now(dt.UTC),
        relevance=np.array(relevance, np.float64),
        view=view,
    )


_TEXT: Final = "_qdrant_rerank_text"  # in a payload of which the rest is for blends


@dataclass(frozen=True)
class Candidate:
    """A text to rank, the payload that a blend reads, and its score before; NaN if there is none."""

    text: str
    payload: Mapping[str, Any]
    score: float


@dataclass(frozen=True)
class DocumentReranker:
    """Ranks candidates as `Rerank` would had Qdrant found them: by the reranker, as `rerank` says.

    `timeout` is in seconds, None for no limit; what blocks runs in `workers`, those that all share if None.
    """

    reranker: Reranker
    rerank: Rerank
    timeout: float | None = None
    workers: Workers | None = None

    def rank(self, query: Query, candidates: Sequence[Candidate], threshold: float | None = None) -> Points:
        """The candidates best first, as points whose ids are places in `candidates`; see `Rerank` for their notes.

        Candidates are in the order of their search; `threshold` is the final score to reach. Raises QueryError where the query
        is empty; ScoringError where the model's scores are unusable, or a text is missing and `rerank` says to raise; and
        TimeoutError.
        """
        with within(self.timeout), use_workers(self.workers):
            return run(self._flow(query, candidates, threshold), cast(Services, _Scores(self.reranker)))

    async def arank(self, query: Query, candidates: Sequence[Candidate], threshold: float | None = None) -> Points:
        """As `rank`, without blocking the event loop."""
        with within(self.timeout), use_workers(self.workers):
            return await arun(self._flow(query, candidates, threshold), cast(AsyncServices, _AsyncScores(self.reranker)))

    def _flow(self, query: Query, candidates: Sequence[Candidate], threshold: float | None) -> Flow[Points]:
        points: Points = [
            models.ScoredPoint.model_construct(
                id=place,
                version=0,
                score=candidate.score,
                payload={**candidate.payload, _TEXT: candidate.text},
                vector=None,
                shard_key=None,
                order_value=None,
            )
            for place, candidate in enumerate(candidates)
        ]
        if (blend := self.rerank.blend) is not None:
            if candidate_scores(blend):
                warn_of_distances([candidate.score for candidate in candidates])
            for lint in find_absent_keys(blend, [candidate.payload for candidate in candidates]):
                warn(lint)
        options = SearchOptions(limit=max(1, len(points)), score_threshold=threshold)
        # the strategy stands for whatever found them: it isn't run
        return self.rerank.over(Nearest()).rank(points, query, options, _TARGET)


def warn_of_distances(scores: Sequence[float]) -> None:
    """Warn where the scores of results found elsewhere, best first, rise as distances do."""
    # three rise by chance too often where something else than the search has ranked them
    if len(scores) > 3 and scores[0] < scores[-1] and all(one <= other for one, other in pairwise(scores)):
        warn(
            Lint(
                "rising-scores",
                f"score() reads scores that rise from the first result ({scores[0]:g}) to the last ({scores[-1]:g}), as "
                "distances do, and takes high ones for good: if they are distances, give results minus the distance as score",
            )
        )


_TARGET: Final = Target(Schema("candidates", {}), Capabilities((1, 10, 0)), PayloadMapping(_TEXT))


@dataclass(frozen=True)
class _Scores:
    """Services that score; reranking asks for nothing else."""

    reranker: Reranker

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return check_scores(score_texts(self.reranker, query, texts), len(texts), self.reranker)


@dataclass(frozen=True)
class _AsyncScores:
    reranker: Reranker

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return check_scores(await ascore_texts(self.reranker, query, texts), len(texts), self.reranker)
