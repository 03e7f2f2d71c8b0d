"""`Rerank`: the candidates of any strategy, read and ranked anew by a model; and its score blended with business terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, Literal, Self, TypeAlias, get_args

import numpy as np
from qdrant_client import models

from .blending import blended, check_blend
from .brief import brief
from .capabilities import AbilityName
from .checks import is_whole
from .errors import QueryError, ScoringError, StrategyError
from .expressions.inspect import payload_keys, placeholder_params
from .expressions.nodes import Expression, ExpressionLike, as_expression
from .failing import OnError, tolerated
from .lint import Lint
from .literals import literal
from .payload import keys_of, read_texts
from .payload_paths import path_problems
from .query import Inputs, Query, SearchOptions, Target
from .reach import shortfalls
from .results import noted, notes_of
from .schema import Schema
from .selecting import selected, with_keys
from .steps import Flow, Points, Request, Score
from .strategies import Cost, Stage, Strategy

__all__ = ["BEYOND", "READ", "MissingText", "OnError", "Rerank", "Unread"]

READ: Final = 50
"""How many candidates a model reads where neither `Rerank` nor the strategy below sets a limit."""
BEYOND: Final = "beyond the limit"
"""What `not_rescored` says of a candidate that the model wasn't to read."""

_IN_ORDER: Final = "results are in the order of the search, each with the note 'not_rescored'"

MissingText: TypeAlias = Literal["last", "drop", "raise"]
Unread: TypeAlias = Literal["drop", "last"]


@dataclass(frozen=True, kw_only=True, repr=False, init=False)
class Rerank(Strategy):
    """The candidates of a strategy, scored by the executor's model, which reads their texts.

    Each result notes its `retrieval_score` (what the strategy below gave) and its `relevance_score` (what the model gave);
    its `score` is the latter, or the blend of both. Equal scores keep the order of the search.

    Args:
        limit: how many candidates the model reads; the limit of the strategy below if None, else 50.
        top_n: how many results to return at most, even where the call asks for more.
        on_error: what happens when the model fails: "raise" its error, or "keep_order", which returns the candidates as
            the search ranked them, each with the note `not_rescored`, and warns.
        missing_text: what happens to a point without text: it comes "last", behind all that were read, with the note
            `not_rescored`; or it is left out ("drop"); or the query fails ("raise").
        unread: what happens to candidates beyond the limit, where the call asks for more results than the model reads:
            "drop" makes such a call an error; with "last" they come behind those that were read, in the order of the
            search, with the note `not_rescored`.
        blend: an expression of `rerank_score()`, e.g. `0.9 * sigmoid(rerank_score()) + 0.1 * decay_exp(…)`, computed here for
            the final
            score. It may read `score()` (of the strategy below), payload, request-time values and the time.

    Raises:
        StrategyError: an argument is wrong.
    """

    limit: int | None = None
    top_n: int | None = None
    on_error: OnError = "raise"
    missing_text: MissingText = "last"
    unread: Unread = "drop"
    blend: Expression | None = None
    candidate: Strategy | None = None

    def __init__(
        self,
        *,
        limit: int | None = None,
        top_n: int | None = None,
        on_error: OnError = "raise",
        missing_text: MissingText = "last",
        unread: Unread = "drop",
        blend: ExpressionLike | None = None,
        candidate: Strategy | None = None,
    ) -> None:
        # written out because what is given and what is kept differ: a number becomes an expression
        object.__setattr__(self, "limit", limit)
        object.__setattr__(self, "top_n", top_n)
        object.__setattr__(self, "on_error", on_error)
        object.__setattr__(self, "missing_text", missing_text)
        object.__setattr__(self, "unread", unread)
        object.__setattr__(self, "blend", None if blend is None else as_expression(blend))
        object.__setattr__(self, "candidate", candidate)
        self.__post_init__()

    def __post_init__(self) -> None:
        for name, value in (("limit", self.limit), ("top_n", self.top_n)):
            if value is not None and not is_whole(value, 1):
                raise StrategyError(f"the {name} of Rerank must be a whole number of at least 1, got {value!r}")
        _check_choice("on_error", self.on_error, get_args(OnError))
        _check_choice("unread", self.unread, get_args(Unread))
        if self.unread == "drop" and self.limit is not None and self.top_n is not None and self.top_n > self.limit:
            raise StrategyError(f"Rerank reads limit={self.limit} candidates, and can't return top_n={self.top_n} of them")
        _check_choice("missing_text", self.missing_text, get_args(MissingText))
        if self.candidate is not None and not isinstance(self.candidate, Strategy):
            raise StrategyError(f"Rerank runs over a strategy, got {brief(self.candidate)}")
        if self.blend is not None:
            check_blend(self.blend)

    def over(self, candidate: Strategy) -> Self:
        """This rescoring, of what that strategy finds."""
        return replace(self, candidate=candidate)

    # What it is made of

    @property
    def below(self) -> Strategy:
        """The strategy whose candidates are read.

        Raises:
            StrategyError: there is none.
        """
        if self.candidate is None:
            raise StrategyError(f"{brief(self)} has nothing to read: add .over(Nearest(limit=50))")
        return self.candidate

    @property
    def reads(self) -> int:
        """How many candidates the model reads."""
        below = getattr(self.candidate, "limit", None)
        return self.limit or below or READ

    @property
    def cost(self) -> Cost:
        below = self.below.cost
        return Cost(below.round_trips, below.model_calls + self.reads)

    def needs(self) -> frozenset[str]:
        return self.below.needs()

    def resolved(self, schema: Schema) -> Self:
        return replace(self, candidate=self.below.resolved(schema))

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

    def features(self) -> frozenset[AbilityName]:
        return self.below.abilities()

    def request_time(self) -> frozenset[str]:
        own = () if self.blend is None else placeholder_params(self.blend)
        return self.below.request_time().union(own)

    def first_requests(self, inputs: Inputs, options: SearchOptions) -> Iterator[Request]:
        yield from self.below.first_requests(inputs, self.candidate_options(options, inputs.target))

    def options_problems(self, options: SearchOptions, target: Target) -> Iterator[str]:
        if options.group_by is not None:
            yield "group_by can't be combined with Rerank: a model ranks points, not groups"
            return
        wanted = options.reach if self.top_n is None else min(options.reach, self.top_n)
        if wanted > self.candidates_for(options.reach):
            yield (
                f"the call asks for {wanted} points, but Rerank reads {self.reads}: raise its limit, ask for fewer, or set "
                "unread='last'"
            )
        if isinstance(self.below, Stage):
            yield from shortfalls(
                self.below, self.candidates_for(options.reach), "Rerank takes", self.candidates_for(options.needed)
            )
        else:
            yield from self.below.options_problems(self.candidate_options(options), target)

    def candidates_for(self, wanted: int) -> int:
        """How many candidates the strategy below is asked for, where the call wants `wanted` results."""
        return self.reads if self.unread == "drop" else max(self.reads, wanted)

    def candidate_options(self, options: SearchOptions, target: Target | None = None) -> SearchOptions:
        """What the strategy below is asked for."""
        return replace(
            options,
            limit=self.candidates_for(options.reach),
            page=self.candidates_for(options.needed),
            offset=None,
            score_threshold=None,
            with_payload=self._payload(options, target),
        )

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
        return (yield from self.ranked(points, query, options, target))

    def ranked(self, points: Points, query: Query, options: SearchOptions, target: Target) -> Flow[Points]:
        """`points`, candidates in the order of the search, in the order of the model's scores, cut to the options.

        Raises:
            QueryError: the query has no text for the model to read.
            ScoringError: a point has no text, and `missing_text` is "raise"; or the model's scores are unusable.
        """
        if not query.text.strip():
            raise QueryError(f"the query's text is empty ({query.text!r}): a model has to read it to score texts against it")
        if not points:
            return []
        points, beyond = self._split(points)
        texts = read_texts(points, target.payload, target.schema.collection)
        read = [row for row, text in enumerate(texts) if text.strip()]
        unread = [row for row, text in enumerate(texts) if not text.strip()]
        self._check_missing(points, unread)
        try:
            relevance = (yield from Score(query.text, [texts[row] for row in read])) if read else []
            scores = blended(self.blend, [points[row] for row in read], relevance, query, self.sign(target), target.view)
        except Exception as error:
            kind = tolerated(error, self.on_error, _IN_ORDER)
            kept: Points = [noted(point, not_rescored=kind, retrieval_score=float(point.score)) for point in points]
            return self._cut(kept + _noted_beyond(beyond), options)
        order = np.argsort(-scores, kind="stable")
        ranked: Points = [
            noted(
                points[read[place]],
                float(scores[place]),
                retrieval_score=float(points[read[place]].score),
                relevance_score=float(relevance[place]),
            )
            for place in order
        ]
        if options.score_threshold is None:  # the others have no score that could reach it
            if self.missing_text == "last":
                ranked += [noted(points[row], not_rescored="no text") for row in unread]
            ranked += _noted_beyond(beyond)
        return self._cut(ranked, options)

    def _split(self, points: Points) -> tuple[Points, Points]:
        """Those that the model is to read, and the others."""
        return (points, []) if self.unread == "drop" else (points[: self.reads], points[self.reads :])

    def _check_missing(self, points: Points, unread: Sequence[int]) -> None:
        if unread and self.missing_text == "raise":
            listed = ", ".join(repr(points[row].id) for row in unread[:5])
            raise ScoringError(
                f"{len(unread)} of {len(points)} candidates have no text, e.g. {listed}: set missing_text='last' or 'drop'"
            )

    def sign(self, target: Target) -> float:
        """-1 if the scores of the strategy below are distances, else 1."""
        return -1.0 if isinstance(self.below, Stage) and self.below.is_distance(target.schema) else 1.0

    def _cut(self, ranked: Points, options: SearchOptions) -> Points:
        if options.score_threshold is not None:
            threshold = options.score_threshold
            ranked = [point for point in ranked if point.score >= threshold or "not_rescored" in notes_of(point)]
        start = options.offset or 0
        end = start + options.limit if self.top_n is None else min(start + options.limit, self.top_n)
        cut = ranked[start:end]
        for point in cut if options.with_payload is not True else ():  # they are copies
            point.payload = selected(point.payload, options.with_payload)
        return cut

    def __repr__(self) -> str:
        own = [attribute for attribute in fields(self) if attribute.name != "candidate"]
        changed = {each.name: value for each in own if (value := getattr(self, each.name)) != each.default}
        written = ", ".join(f"{name}={literal(value)}" for name, value in changed.items())
        return f"Rerank({written})" + ("" if self.candidate is None else f".over({self.candidate!r})")


def _noted_beyond(points: Points) -> Points:
    return [noted(point, not_rescored=BEYOND) for point in points]


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise StrategyError(f"the {name} of Rerank is one of {', '.join(map(repr, allowed))}; got {value!r}")
