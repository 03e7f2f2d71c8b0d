"""How `RelevanceFeedback` runs: two searches, the model's scores between and after them, and the terms of a result's score.

The seeds' scores make pairs, and the pairs one vector that searches as all of them together. For Cosine and Dot,
`a·sim(q, x) + Σ c·conf^b·(sim(x⁺, x) - sim(x⁻, x))` is `sim(w, x)` with `w = a·q + Σ c·conf^b·(x⁺ - x⁻)`, as both are linear in
their first vector: one nearest search stands for the comparison of each point with each seed of each pair. For Cosine all
vectors are of length 1, and the score is `|w|·cos(w, x)`. `FeedbackCandidates` is that search, as a stage among others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from qdrant_client import models

from ..errors import EngineError, OnError, QueryError, ScoringError, StrategyError, tolerate
from ..explain.results import CandidateHit, Column, Found, Pair, ResultReason, Seed, Steering, Term
from ..payload import read_texts
from ..points import RankedPoint, annotate, notes_of, select_payload, turn_around
from ..query import Inputs, Query, SearchOptions, Target, both, embed_query
from ..schema import Schema
from ..search import search
from ..stages.nearest import Nearest
from ..steps import Flow, Points, QueryVector, Request, Score
from ..strategies import Stage, candidate_names
from .coefficients import Coefficients, Mode


def read_vector(point: models.ScoredPoint, name: str) -> list[float] | None:
    """A found point's dense vector of this name; None if it has none."""
    found: Any = point.vector
    if isinstance(found, dict):
        found = found.get(name)
    return found if isinstance(found, list) and found else None


def steer(
    weights: Coefficients,
    native: bool,
    seeds: Sequence[Seed],
    scores: Sequence[float],
    vector: QueryVector,
    distance: models.Distance | None,
) -> Steering:
    """The query's `vector`, steered by a score for each seed with a text. Raises ScoringError where the sum overflows."""
    given = iter(scores)
    scored = tuple(replace(seed, score=next(given)) if seed.text.strip() else seed for seed in seeds)
    made = Steering(scored)
    used = [seed for seed in made.used if seed.vector is not None and seed.score is not None]
    vectors = [seed.vector or [] for seed in used]
    with np.errstate(over="ignore", invalid="ignore"):
        # 32-bit, as Qdrant keeps them: scores equal there must be equal here, or with b = 0 a pair more would count
        numbers = [float(np.float32(seed.score or 0.0)) for seed in used]
        if len(set(numbers)) < 2:
            return replace(made, why_not="the model gave all seeds the same score")
        pairs = tuple(pairs_of(numbers, weights))
        if not np.isfinite([pair.weight for pair in pairs]).all():
            raise ScoringError(f"the seeds' scores differ by {pairs[0].confidence!r}, too much for b={weights.b!r}")
        made = replace(made, pairs=pairs)
        if not isinstance(vector, list):  # the server knows it
            return replace(made, query=native_query(vector, vectors, numbers, weights))
        query: Any = vector
        cosine = distance == models.Distance.COSINE
        summed = fold(query, vectors, numbers, weights, cosine)
    if not np.isfinite(summed.vector).all():
        raise ScoringError(f"the seeds' scores differ by {pairs[0].confidence!r}, too much for {weights!r}")
    if not any(summed.vector) and not native:
        return replace(made, why_not="nothing is left of the query's vector")
    like = float(unit(np.asarray(query)) @ unit(np.asarray(summed.vector)))
    if native:
        return replace(made, query=native_query(query, vectors, numbers, weights), cosine=like)
    plain = models.NearestQuery.model_construct(nearest=summed.vector, mmr=None)
    return replace(made, query=plain, scale=summed.scale, cosine=like)


def plain_query(weights: Coefficients, native: bool, vector: models.VectorInput) -> models.QueryInterface:
    """The unsteered query of the feedback candidate, with scores of the same kind as the steered one's.

    Qdrant's own query scores by minus the distance, a nearest search by the distance itself, which a formula above the
    candidate would take for a likeness. One example makes no pair, so that only the query counts.
    """
    if not native:
        return models.NearestQuery.model_construct(nearest=vector, mmr=None)
    return native_query(vector, [vector], [0.0], Coefficients(weights.a or 1.0, 0.0, 0.0))


@dataclass(frozen=True)
class Folded:
    """The vector to search by, and the factor from its similarities to the formula's scores."""

    vector: list[float]
    scale: float


def pairs_of(scores: Sequence[float], coefficients: Coefficients) -> list[Pair]:
    """All pairs of seeds whose scores differ, most confident first."""
    found = [
        Pair(better, worse, high - low, float(coefficients.c * np.float64(high - low) ** coefficients.b))
        for better, high in enumerate(scores)
        for worse, low in enumerate(scores)
        if high > low
    ]
    return sorted(found, key=lambda pair: -pair.confidence)


def weights_of(scores: Column, b: float) -> Column:
    """How often the pairs add each seed's vector, for c = 1: `Σ_j conf_ij^b - Σ_j conf_ji^b` for seed i.

    Scores and result have the shape (..., n); each row of the result sums to 0.
    """
    difference = scores[..., :, None] - scores[..., None, :]
    confidence = np.where(difference > 0, np.abs(difference), 1.0) ** b * (difference > 0)
    weights: Column = confidence.sum(axis=-1) - confidence.sum(axis=-2)
    return weights


def fold(
    query: Sequence[float], seeds: Sequence[Sequence[float]], scores: Sequence[float], coefficients: Coefficients, cosine: bool
) -> Folded:
    """The query's vector, shape (d,), shifted towards seeds, shape (n, d), with high scores and away from others.

    For Cosine it has length 1 (all zeros if nothing is left), else scale 1.
    """
    target, examples = np.asarray(query, np.float64), np.asarray(seeds, np.float64).reshape(len(scores), -1)
    if cosine:
        target, examples = unit(target), unit(examples)
    weights = weights_of(np.asarray(scores, np.float64), coefficients.b)
    shifted = coefficients.a * target + coefficients.c * (weights @ examples)
    if not cosine:
        return Folded(shifted.tolist(), 1.0)
    return Folded(unit(shifted).tolist(), float(np.linalg.norm(shifted)))


def similarities(first: Column, second: Column, distance: models.Distance | None) -> Column:
    """How alike each row of `first` is to each of `second`, in the formula's terms, shapes (m, d) and (n, d) → (m, n).

    For Manhattan that is minus the distance, for Euclid minus its square: the engine takes the root only of what it returns.
    """
    found: Column
    match distance:
        case models.Distance.EUCLID:
            found = -np.square(first[:, None] - second[None]).sum(axis=-1)
        case models.Distance.MANHATTAN:
            found = -np.abs(first[:, None] - second[None]).sum(axis=-1)
        case models.Distance.COSINE:
            found = unit(first) @ unit(second).T
        case _:
            found = first @ second.T
    return found


def unit(vectors: Column) -> Column:
    """Vectors of length 1 along the last axis; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Column = vectors / np.where(lengths == 0, 1.0, lengths)
    return scaled


def native_query(
    query: models.VectorInput, seeds: Sequence[models.VectorInput], scores: Sequence[float], coefficients: Coefficients
) -> models.RelevanceFeedbackQuery:
    """Qdrant's own query, for servers since 1.17, with the seeds' vectors: an id deleted meanwhile would fail it."""
    items = [models.FeedbackItem(example=seed, score=score) for seed, score in zip(seeds, scores, strict=True)]
    naive = models.NaiveFeedbackStrategyParams(a=coefficients.a, b=coefficients.b, c=coefficients.c)
    given = models.RelevanceFeedbackInput(target=query, feedback=items, strategy=models.NaiveFeedbackStrategy(naive=naive))
    return models.RelevanceFeedbackQuery(relevance_feedback=given)


class Settings(Protocol):
    """What the two rounds go by: a `RelevanceFeedback`, resolved."""

    @property
    def seeds(self) -> Stage: ...
    @property
    def seed_count(self) -> int: ...
    @property
    def reads(self) -> int: ...
    @property
    def mode(self) -> Mode: ...
    @property
    def weights(self) -> Coefficients: ...
    @property
    def idle(self) -> bool: ...
    @property
    def native(self) -> bool: ...
    @property
    def using(self) -> str | None: ...
    @property
    def compared(self) -> str: ...
    @property
    def within(self) -> Stage | None: ...
    @property
    def root(self) -> Stage: ...
    @property
    def on_error(self) -> OnError: ...

    def needs(self) -> frozenset[str]: ...
    def seed_options(self, options: SearchOptions) -> SearchOptions: ...


@dataclass(frozen=True)
class Rounds:
    """The results, and what led to them: the first search's points, and the query as the seeds' scores steered it.

    `inputs` are the second request's, without `steering` if there was none; `candidates` are the stages below its outermost, if
    they were searched for an explanation, and `found` the points of each of them.
    """

    points: list[RankedPoint]
    first: Points
    steering: Steering
    inputs: Inputs
    candidates: Sequence[Stage] = ()
    found: Sequence[Points] = ()


def run_rounds(
    strategy: Settings, query: Query, options: SearchOptions, target: Target, *, explaining: bool = False
) -> Flow[Rounds]:
    """The results of a strategy (resolved), with what led to them.

    With `explaining`, points keep vectors and payloads, which `drop_extras` takes off, and the candidates of the second
    request are searched beside it, in the same round trip. Raises QueryError where the query has no text for the model to read,
    or its vector isn't known here; ScoringError where the model's scores are unusable.
    """
    if strategy.reads and not query.text.strip():
        raise QueryError(f"the query's text is empty ({query.text!r}): a model has to read it to score texts against it")
    inputs = yield from embed_query(query, strategy.needs(), target)
    call = _Call(strategy, query, options, target, inputs)
    if explaining:
        call.options = replace(options, with_payload=True, with_vectors=strategy.seed_options(options).with_vectors)
        call.explaining = True
    known = replace(query, vectors={**query.vectors, **inputs.vectors}, now=inputs.now)
    call.first = yield from strategy.seeds.flow(known, strategy.seed_options(options), target)
    yield from call.steer()
    if not call.steering.why_not and strategy.mode == "recall":
        points = yield from call.recalled()
    elif call.inputs.steering is not None:
        points = yield from call.precise()
    else:
        points = call.unsteered()
    return Rounds(points, call.first, call.steering, call.inputs, call.candidates, call.found)


class _Call:
    """One query on its way: the call, and what is known so far."""

    def __init__(self, strategy: Settings, query: Query, options: SearchOptions, target: Target, inputs: Inputs) -> None:
        self.strategy, self.query, self.options, self.target, self.inputs = strategy, query, options, target, inputs
        self.first: Points = []
        self.steering = Steering((), "not yet")
        self.scored = 0
        self.explaining = False
        self.candidates: Sequence[Stage] = ()
        self.found: Sequence[Points] = ()

    @property
    def vector(self) -> QueryVector:
        found = self.inputs.vectors[self.strategy.compared]
        if not isinstance(found, list) and not self.strategy.native:
            raise QueryError(
                f"the server embeds the query (models.{type(found).__name__}), so that its vector can't be shifted here: set "
                "native=True, or embed the query with an encoder that runs here"
            )
        return found

    # The first round

    def steer(self) -> Flow[None]:
        """Have the seeds scored, and make the second search's query of their scores."""
        vector = self.vector
        self.steering = Steering(tuple(self._seeds()), self._nothing_to_score())
        if not self.steering.why_not:
            try:
                scores = yield from Score(self.query.text, [seed.text for seed in self.steering.to_score])
                self.scored = len(scores)
                self.steering = steer(
                    self.strategy.weights, self.strategy.native, self.steering.seeds, scores, vector, self._distance
                )
            except Exception as error:
                kind = tolerate(error, self.strategy.on_error, "results are those of the search without feedback")
                self.steering = replace(self.steering, why_not=f"the model failed ({kind})")
        query = self.steering.query
        if query is None and self.strategy.within is not None:  # its other candidates search nevertheless
            query = plain_query(self.strategy.weights, self.strategy.native, vector)
        self.inputs = replace(self.inputs, steering=query)

    @property
    def _distance(self) -> models.Distance | None:
        return self.target.schema.vectors[self.strategy.compared].distance

    def _seeds(self) -> list[Seed]:
        found = self.first[: self.strategy.seed_count]
        texts = self._texts(found)
        made = [
            Seed(point.id, rank, text, self._stored_vector(point))
            for rank, (point, text) in enumerate(zip(found, texts, strict=True), 1)
        ]
        if self.strategy.mode == "precision":  # other scores have no use
            return [seed if seed.vector is not None else replace(seed, text="") for seed in made]
        return made

    def _stored_vector(self, point: models.ScoredPoint) -> list[float] | None:
        vector, schema = read_vector(point, self.strategy.compared), self.target.schema
        info = schema.vectors[self.strategy.compared]
        if vector is not None and info.size not in (None, len(vector)):
            raise EngineError(
                f"the search of {schema.collection!r} gave point {point.id!r} {len(vector)} numbers as its vector "
                f"{self.strategy.compared!r}; the collection's is {info}"
            )
        return vector

    def _nothing_to_score(self) -> str:
        """Why the model isn't asked; "" if it is."""
        if self.strategy.idle and self.strategy.mode == "precision":
            return "the coefficient c is 0"
        seeds = self._seeds()
        usable = sum(1 for seed in seeds if seed.text.strip() and seed.vector is not None)
        if usable >= 2:
            return ""
        return f"{usable} of {len(seeds)} seeds found have a text and the vector {self.strategy.using!r}; a pair takes two"

    def _texts(self, points: Points) -> list[str]:
        return read_texts(points, self.target.payload, self.target.schema.collection)

    # The second round

    def unsteered(self) -> list[RankedPoint]:
        start = self.options.offset or 0
        return self._finished([annotate(point) for point in self._turned_first[start : start + self.options.limit]])

    @property
    def _turned_first(self) -> Points:
        """The first search's points, scored so that higher is better, as the second's are."""
        return turn_around(self.first) if self.strategy.seeds.is_distance(self.target.schema) else self.first

    def precise(self) -> Flow[list[RankedPoint]]:
        alone, threshold = self.strategy.root.is_steered, self.options.score_threshold
        points = yield from self._search(precise_options(self.options, self.strategy.root, self.target.schema))
        if alone and threshold is not None and not self.steering.why_not:  # scores descend, so it may be applied afterwards
            points = [point for point in points if point.score >= threshold]
        given = self.steering.scores
        return self._finished([annotate(point, **_feedback(given.get(point.id))) for point in points])

    def recalled(self) -> Flow[list[RankedPoint]]:
        """All that the model scored in both rounds, in the order of its scores."""
        seeds = self._turned_first[: self.strategy.seed_count]
        apart = models.HasIdCondition(has_id=[point.id for point in seeds])
        found = yield from self._search(recall_options(self.options, self.strategy.reads - len(seeds), apart))
        texts = self._texts(found)
        read = [row for row, text in enumerate(texts) if text.strip()]
        given, failed = dict(self.steering.scores), "no text"
        if read:
            try:
                scores = yield from Score(self.query.text, [texts[row] for row in read])
                self.scored += len(scores)
                given |= {found[row].id: score for row, score in zip(read, scores, strict=True)}
            except Exception as error:
                consequence = "what the second search found comes last, each with the note 'not_reranked'"
                failed = tolerate(error, self.strategy.on_error, consequence)
        ranked = sorted((point for point in [*seeds, *found] if point.id in given), key=lambda point: -given[point.id])
        last = [point for point in [*seeds, *found] if point.id not in given]
        made = [annotate(point, given[point.id], retrieval_score=point.score, **_feedback(given[point.id])) for point in ranked]
        mute = {point.id for point, text in zip(found, texts, strict=True) if not text.strip()}
        mute |= {seed.id for seed in self.steering.seeds if not seed.text.strip()}
        made += [annotate(point, not_reranked="no text" if point.id in mute else failed) for point in last]
        return self._finished(self._cut(made))

    def _search(self, options: SearchOptions) -> Flow[Points]:
        root, inputs = self.strategy.root, self.inputs
        wide = root.widen(options)
        sent = yield from root.outermost(inputs, wide)
        self.candidates = candidates = root.below(options) if self.explaining else []

        def requests() -> list[Request]:
            return [sent.request(inputs, wide), *root.candidate_requests(candidates, inputs, options)]

        points, *answers = yield from search(requests, options, self.target)
        self.found = root.candidate_points(candidates, answers, inputs, options)
        points = root.cut(points, options)
        if root.is_distance(self.target.schema):
            return turn_around(points)
        if not root.is_steered or self.steering.scale == 1.0:
            return points
        return [annotate(point, point.score * self.steering.scale) for point in points]

    def _cut(self, ranked: Sequence[RankedPoint]) -> list[RankedPoint]:
        threshold = self.options.score_threshold
        if threshold is not None:
            ranked = [point for point in ranked if point.score >= threshold or _failed(point)]
        start = self.options.offset or 0
        return list(ranked[start : start + self.options.limit])

    def _finished(self, points: list[RankedPoint]) -> list[RankedPoint]:
        """The points (all of them copies), with the notes of every result, as the call wants to see them."""
        before = {point.id for point in self.first[: self.options.reach]}
        for point in points:
            point.notes["surfaced_by_feedback"] = not self.steering.why_not and point.id not in before
            point.notes["documents_scored"] = self.scored
            if self.steering.why_not:
                point.notes["not_steered"] = self.steering.why_not
        return [drop_extras(point, self.options) for point in points]


def precise_options(options: SearchOptions, root: Stage, schema: Schema) -> SearchOptions:
    """The options of the second search in mode "precision", whose results are scored so that higher is better.

    The steered search alone is cut afterwards, as its scores are scaled here.
    """
    threshold = options.score_threshold
    if threshold is None:
        return options
    sent = None if root.is_steered else -threshold if root.is_distance(schema) else threshold
    return replace(options, score_threshold=sent)


def recall_options(options: SearchOptions, limit: int, seeds: models.HasIdCondition) -> SearchOptions:
    """The options of the second search in mode "recall": as many points as are still to be scored, without the seeds."""
    apart = both(options.filter, models.Filter(must_not=[seeds]))
    return replace(options, limit=limit, page=None, offset=None, score_threshold=None, filter=apart, with_payload=True)


def drop_extras(point: RankedPoint, options: SearchOptions) -> RankedPoint:
    """The point (a copy), without the payload and the vectors that the call doesn't want to see."""
    point.payload = select_payload(point.payload, options.with_payload)
    if options.with_vectors is False:
        point.vector = None
    elif options.with_vectors is not True and isinstance(point.vector, dict):
        point.vector = {name: vector for name, vector in point.vector.items() if name in options.with_vectors}
    return point


def _failed(point: models.ScoredPoint) -> bool:
    """Whether the model's failure left no score to compare with a threshold."""
    return bool(notes_of(point).get("not_reranked", "no text") != "no text")


def _feedback(score: float | None) -> dict[str, float]:
    return {} if score is None else {"feedback_score": score}


@dataclass(frozen=True, repr=False)
class FeedbackCandidates(Nearest, kind="feedback_candidates"):
    """The search that relevance feedback steers, where it is one candidate among others.

    It has a place only in `RelevanceFeedback(within=…)`, which hands it its query:
    `within=Fusion.rrf().over(FeedbackCandidates(limit=100), Nearest("bm25", limit=100))`. It compares the vector of the
    feedback, takes a limit, filter, threshold and name as every stage, and is `score("feedback")` in a formula above it: the
    similarity to the steered vector, for Cosine the cosine, from -1 to 1.
    """

    is_steered: ClassVar[bool] = True

    name: str | None = field(default="feedback", kw_only=True)  # after `using`, as in Nearest

    def resolve(self, schema: Schema) -> Self:
        return self  # RelevanceFeedback says which vector it compares

    def query(self, inputs: Inputs, limit: int) -> models.QueryInterface:
        if inputs.steering is None:
            raise StrategyError(self._elsewhere)
        return inputs.steering

    def place(self, using: str | None) -> Stage:
        return self if self.using is not None else replace(self, using=using)

    def is_distance(self, schema: Schema) -> bool:
        return False  # the formula's scores, in which distances are turned around

    def own_problems(self, target: Target) -> Iterator[str]:
        if self.using is None:
            yield self._elsewhere

    @property
    def _elsewhere(self) -> str:
        return f"{self!r} has a place only in RelevanceFeedback(within=…), which tells it what to search for"


def find_compared(seeds: Stage, schema: Schema) -> str | None:
    """The vector to compare: the seeds' dense one, if they compare just one, else the collection's only one."""
    dense = list(
        dict.fromkeys(
            stage.vector
            for stage in seeds.stages()
            if stage.vector is not None and stage.vector in schema.vectors and schema.vectors[stage.vector].kind == "dense"
        )
    )
    return dense[0] if len(dense) == 1 else schema.only_dense()


def find_reasons(strategy: Settings, rounds: Rounds, options: SearchOptions) -> Iterator[ResultReason]:
    """What adds up to the score of each result of the steered search alone, or of the model's ranking.

    Where the steered search is one of several candidates, each candidate's hit too.
    """
    terms, why_not = _add_up(strategy, rounds)
    found = rounds.found if strategy.within is not None else ()
    finds = [{find.id: find for find in Found("", points).finds} for points in found]
    names = candidate_names(rounds.candidates) if found else []
    for row, point in enumerate(rounds.points):
        own = [Term(text, float(column[row])) for text, column in terms if np.isfinite(column[row])]
        hits = [CandidateHit.of(name, each.get(point.id)) for name, each in zip(names, finds, strict=True)]
        rank = (options.offset or 0) + row + 1
        yield ResultReason.of(point, rank, hits, own, why_not or "the model didn't score it")


def _add_up(strategy: Settings, rounds: Rounds) -> tuple[list[tuple[str, Column]], str]:
    """Text → its share of each result's score, NaN where it isn't known; or why there are no shares.

    Not for results of a stage around the feedback candidate in mode "precision", whose scores are that stage's.
    """
    steering, points = rounds.steering, rounds.points
    if steering.why_not:
        return [], f"it is as the first search found it: {steering.why_not}"
    if strategy.mode == "recall":
        return [("reranker", np.array([notes_of(point).get("feedback_score", np.nan) for point in points]))], ""
    query: Any = rounds.inputs.vectors[strategy.compared]
    if not isinstance(query, list):
        return [], "the server embeds the query, so that its share of the score isn't known here"
    distance = rounds.inputs.target.schema.vectors[strategy.compared].distance
    vectors = [read_vector(point, strategy.compared) or [np.nan] * len(query) for point in points]
    stored = np.array(vectors, np.float64).reshape(-1, len(query))
    own = strategy.weights.a * similarities(np.array([query], np.float64), stored, distance)[0]
    return [("a * similarity", own), ("feedback", np.array([point.score for point in points]) - own)], ""
