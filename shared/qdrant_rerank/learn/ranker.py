"""A learned formula as one value and one file: its weights, where it came from, and how good it is."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, Final, Literal, get_type_hints

import numpy as np
from pydantic import TypeAdapter, ValidationError
from qdrant_client import models

from .. import StrategyError, __version__
from .. import from_json as strategy_of
from .. import to_json as strategy_json
from .._internals import (
    VERSION,
    Reference,
    Sigmoid,
    Trained,
    TrainedFeature,
    TrainedVector,
    brief,
    check_version,
    did_you_mean,
    expression_from_json,
    line_of,
    parse_json,
    read_text,
)
from ..errors import FitError, FormatError, Lint, warn
from ..evaluate._internals import Plain
from ..expressions import Expression
from ..ingest import requirements
from ..report import Calibration, Coefficient
from ..stages import ClientFormula, Formula, Stage
from .calibration import Method, OperatingPoint, ScoreMap, fit_calibration, threshold_for
from .features import Category, Feature, feature_json, features_from_json
from .log import FeatureLog
from .log_files import read_log
from .solver import Array


@dataclass(frozen=True)
class FeatureWeight(Plain):
    """What was learned of one feature.

    Attributes:
        name: the feature's.
        weight: what one unit of it adds to the log odds of relevance.
        low, high: the ends of the weight's 95 % bootstrap interval over topics; None if none was computed.
        standardised: what one standard deviation adds; compares features of different units.
        mean: of the feature in the training data, subtracted before it is weighed.
        deviation: its standard deviation there.
        loss_without: how much the held-out log loss rises without it; None if that wasn't computed.
        sign: `"+"` or `"-"` if it was constrained.
        held: what the weight would be without its constraint, which holds it at 0; else None.
    """

    name: str
    weight: float
    low: float | None
    high: float | None
    standardised: float
    mean: float
    deviation: float
    loss_without: float | None = None
    sign: str | None = None
    held: float | None = None

    @property
    def weak(self) -> str:
        """Why the feature may not be worth keeping; "" if nothing speaks against it."""
        if self.held is not None:
            return f"its sign constraint holds it at 0 (it would be {self.held:.3g})"
        if self.low is not None and self.high is not None and self.low <= 0 <= self.high:
            return "its interval includes 0"
        if self.loss_without is not None and self.loss_without <= 0:
            return "held-out loss is no higher without it"
        return ""


def describe_weights(weights: Iterable[FeatureWeight]) -> str:
    """The weights as text, a line each, the strongest first."""
    ordered = sorted(weights, key=lambda one: -abs(one.standardised))
    width = max([7, *(len(one.name) for one in ordered)])
    lines = [f"{'feature':{width}}  {'weight':>10}  {'95 % interval':>22}  {'per s.d.':>8}  {'loss without':>12}"]
    for one in ordered:
        interval = "" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
        loss = "" if one.loss_without is None else f"{one.loss_without:+.5f}"
        weak = f"  {one.weak}" if one.weak else ""
        lines.append(f"{one.name:{width}}  {one.weight:>10.4g}  {interval:>22}  {one.standardised:>8.3f}  {loss:>12}{weak}")
    return "\n".join(lines)


def for_report(weights: Iterable[FeatureWeight]) -> tuple[Coefficient, ...]:
    """The weights as a report's coefficients: `report(…, coefficients=for_report(ranker.weights))`."""
    return tuple(Coefficient(one.name, one.weight, one.low, one.high) for one in weights)


@dataclass(frozen=True)
class Training(Plain):
    """What a ranker was learned from.

    Attributes:
        fingerprint: of the log.
        topics: the ids of its topics.
        rows: how many it has.
        relevant: how many of them are relevant.
        loss: `pointwise` or `pairwise`; or the kind of an imported model.
        c: the inverse strength of regularisation; None for imported models.
        least_grade: from which grade on a document is relevant.
        missed: how many relevant documents no candidate found, and so no formula can.
        made: when, RFC 3339.
        versions: of the libraries.
        vectors: those by which the log's candidates were found.
    """

    fingerprint: str
    topics: tuple[str, ...]
    rows: int
    relevant: int
    loss: str
    c: float | None = None
    least_grade: int = 1
    missed: int = 0
    made: str = ""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    vectors: tuple[TrainedVector, ...] = ()

    @classmethod
    def of(
        cls, log: FeatureLog, loss: str, c: float | None = None, least_grade: int = 1, packages: Iterable[str] = ()
    ) -> Training:
        """The record of learning from a log now, with the installed versions of these packages."""
        return cls(
            fingerprint=log.fingerprint,
            topics=tuple(sorted(log.topic_ids)),
            rows=len(log),
            relevant=int(log.relevant(least_grade).sum()),
            loss=loss,
            c=c,
            least_grade=least_grade,
            missed=sum(map(len, log.coverage.missed.values())),
            made=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            versions={"qdrant-rerank": __version__, **{name: importlib.metadata.version(name) for name in packages}},
            vectors=log.vectors,
        )


@dataclass(frozen=True)
class LearnedRanker:
    """A learned formula over the candidates that it was learned on.

    Attributes:
        margin: the score before it becomes a probability.
        candidates: the stages that find the candidates.
        features: what the formula reads, by name.
        training: what it was learned from.
        calibration: how scores become probabilities.
        weights: what was learned of each feature; empty for imported models.
        intercept: of the linear model.
        metrics: on held-out topics, by name.
        reliability: predicted probabilities beside observed ones, on held-out topics; None if unknown.
        before: the same without the calibration.
        points: what thresholds of the probability keep, on held-out topics.
        quantiles: how each feature was distributed over the logged candidates.
        reference: how each payload feature was distributed over all stored points.
        notes: what users should know.
        on_client: whether the formula is computed here over the candidates, as one too large for a request has to be.
    """

    margin: Expression
    candidates: tuple[Stage, ...]
    features: Mapping[str, Feature | Category]
    training: Training
    calibration: ScoreMap = field(default_factory=ScoreMap)
    weights: tuple[FeatureWeight, ...] = ()
    intercept: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    reliability: Calibration | None = None
    before: Calibration | None = None
    points: tuple[OperatingPoint, ...] = ()
    quantiles: Mapping[str, Reference] = field(default_factory=dict[str, Reference])
    reference: Mapping[str, Reference] = field(default_factory=dict[str, Reference])
    notes: tuple[str, ...] = ()
    on_client: bool = False

    @property
    def expression(self) -> Expression:
        """The formula: a probability of relevance."""
        return self.calibration.expression(self.margin)

    @property
    def strategy(self) -> Formula | ClientFormula:
        """The formula over its candidates: pass it to an executor or a retriever."""
        if not self.candidates:
            raise StrategyError("this ranker has no candidates: ranker.formula.over(…) says where candidates come from")
        return self.whole

    @property
    def whole(self) -> Formula | ClientFormula:
        """The strategy; without candidates, a formula that is over nothing yet."""
        formula = self.formula.over(*self.candidates) if self.candidates else self.formula
        return formula.on_client() if self.on_client else formula

    @property
    def formula(self) -> Formula:
        """The formula without its candidates: `ranker.formula.over(…)`. Plans compare the collection with its training."""
        trained = Trained(tuple(self._trained_features()), self.calibration.method != "none", self.training.vectors)
        return Formula(self.expression, trained=trained)

    def _trained_features(self) -> Iterator[TrainedFeature]:
        for name, reference in self.reference.items():
            feature = self.features.get(name)
            if isinstance(feature, Category):
                yield TrainedFeature(name=name, category=feature.key, values=feature.values, reference=reference)
            elif feature is not None:
                yield TrainedFeature(name=name, expression=feature.expression, reference=reference)

    @property
    def indexes(self) -> dict[str, models.PayloadSchemaType]:
        """The payload indexes that it needs, key → type, which `ensure_indexes(client, collection, ranker.strategy)` makes."""
        return requirements(self.whole)

    def margins(self, log: FeatureLog) -> Array:
        """The scores of a log's rows before the sigmoid, shape (n,).

        Raises StrategyError where the log lacks a feature, or the model isn't linear.
        """
        if not self.weights:
            raise StrategyError("this ranker isn't linear: pass scores=, what the model gives for the log's rows")
        if lacking := [one.name for one in self.weights if one.name not in log.features]:
            raise StrategyError(f"the log has no feature {', '.join(map(repr, lacking))}; it has {', '.join(log.names)}")
        found = np.full(len(log), self.intercept)
        for one in self.weights:
            found += one.standardised / one.deviation * (log.column(one.name) - one.mean)
        return found

    def predict(self, log: FeatureLog) -> Array:
        """The probabilities of relevance of a log's rows, shape (n,), as the formula computes them; raises as `margins`."""
        return self.calibration.apply(self.margins(log))

    def threshold_for(self, *, precision: float) -> OperatingPoint:
        """The lowest threshold that kept this precision on held-out topics: `SearchOptions(score_threshold=….threshold)`.

        Raises:
            FitError: none did; names the best.
            StrategyError: the precision isn't above 0 and at most 1.
        """
        return threshold_for(self.points, precision)

    def table(self) -> str:
        """The weights as text, with weak features pointed out."""
        return describe_weights(self.weights)

    def over(self, *candidates: Stage) -> LearnedRanker:
        """The same formula over other candidates, which must have the names that it reads scores by."""
        made = replace(self, candidates=candidates)
        _ = made.strategy  # checks the names
        return made

    def to_json(self, indent: int | None = 1) -> str:
        """The ranker as JSON text."""
        parts: dict[str, Any] = {
            "kind": KIND,
            "version": VERSION,
            "strategy": json.loads(strategy_json(self.whole)),
            "margin": json.loads(strategy_json(self.margin)),
            "features": {name: feature_json(feature) for name, feature in self.features.items()},
            "required_indexes": {key: kind.value for key, kind in self.indexes.items()},
        }
        for name, kind in _FIELDS.items():
            parts[name] = TypeAdapter(kind).dump_python(getattr(self, name), mode="json")
        return json.dumps(parts, indent=indent, ensure_ascii=False, allow_nan=False)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the ranker to a JSON file, which `load`, `LearnedRanker.load` and `search --strategy` read."""
        Path(path).write_text(self.to_json() + "\n", "utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LearnedRanker:
        """The ranker in a JSON file.

        Raises:
            FormatError: it isn't one; carries the line.
            OSError: there is no such file.
        """
        return ranker_from_json(read_text(path), path)


KIND: Final = "learned_ranker"
_FIELDS: Final[Mapping[str, Any]] = {
    name: kind
    for name, kind in get_type_hints(LearnedRanker).items()
    if name not in ("margin", "candidates", "features", "on_client")
}
"""What a file holds as the ranker has it; the strategy says the rest."""
_PARTS: Final[Mapping[str, Any]] = {
    "kind": Literal["learned_ranker"],
    "version": Literal[1],
    "strategy": dict[str, Any],
    "margin": Any,
    "features": dict[str, Any],
    "required_indexes": dict[str, models.PayloadSchemaType],
    **_FIELDS,
}


def ranker_from_json(text: str, path: str | PathLike[str] | None = None) -> LearnedRanker:
    """The ranker in JSON text. Raises FormatError where it holds none; carries the line."""
    value = parse_json(text, path)
    if not isinstance(value, dict) or value.get("kind") != KIND:
        there = f"its kind is {value.get('kind')!r}" if isinstance(value, dict) else f"it is a {type(value).__name__}"
        raise FormatError(f'not a learned ranker, an object with "kind": "{KIND}": {there}', path, 1)
    check_version(value, path, line_of(text, ("version",)))
    for name in value:
        if name not in _PARTS:
            hint = did_you_mean(name, _PARTS)
            raise FormatError(f"a learned ranker has no {name!r}{hint}", path, line_of(text, (name,)))
    parts = {name: _read_part(name, value, text, path) for name in _PARTS}
    loaded = strategy_of(text, path)  # errors have the lines of this text
    try:
        whole = Formula.of(loaded)
    except StrategyError as error:
        raise FormatError(
            f"the strategy of a learned ranker is a formula, not a {type(loaded).__name__}", path, line_of(text, ("strategy",))
        ) from error
    on_client = whole is not loaded
    inside = ("strategy", "formula") if on_client else ("strategy",)
    ranker = LearnedRanker(
        margin=_read_margin(parts["margin"], text, path),
        candidates=whole.candidates,
        features=features_from_json(parts["features"], path),
        on_client=on_client,
        **{name: parts[name] for name in _FIELDS},
    )
    if ranker.expression != whole.expression:
        raise FormatError(
            "the strategy's formula isn't the calibration of the margin: the file was changed by hand; fit and save it again",
            path,
            line_of(text, (*inside, "expression")),
        )
    if whole.trained != ranker.formula.trained:
        raise FormatError(
            "the strategy's record of training isn't that of the features and reference below: the file was changed by hand; "
            "save(strategy.uncheck(), path) writes a strategy that plans don't check",
            path,
            line_of(text, (*inside, "trained")),
        )
    return ranker


def _read_part(name: str, value: Mapping[str, Any], text: str, path: str | PathLike[str] | None) -> Any:
    if name not in value:
        raise FormatError(f"a learned ranker needs {name!r}", path, 1)
    try:
        return TypeAdapter(_PARTS[name]).validate_json(json.dumps(value[name]), strict=True)
    except ValidationError as error:  # with what our own classes refuse: a StrategyError is a ValueError
        first = error.errors()[0]
        where = (name, *(part for part in first["loc"] if isinstance(part, str | int)))
        got = json.dumps(first["input"], default=str)[:100]
        raise FormatError(f"{'.'.join(map(str, where))}: {first['msg']}, got {got}", path, line_of(text, where)) from None


def _read_margin(value: Any, text: str, path: str | PathLike[str] | None) -> Expression:
    try:
        return expression_from_json(json.dumps(value))
    except FormatError as error:
        raise FormatError(f"margin: {error.message}", path, line_of(text, ("margin",))) from error


RankerLike = LearnedRanker | str | PathLike[str]
LogLike = FeatureLog | str | PathLike[str]


def load_ranker(value: RankerLike, who: str) -> LearnedRanker:
    """The ranker, or the one in its file. Raises StrategyError where it is something else."""
    if isinstance(value, str | PathLike):
        return LearnedRanker.load(value)
    if not isinstance(value, LearnedRanker):
        raise StrategyError(
            f"{who} takes a LearnedRanker or the path of its file, got a {type(value).__name__}, {brief(value)}: "
            "LearnedRanker.load(path) reads the whole file, with what the formula was trained on"
        )
    return value


def load_log(value: LogLike, who: str) -> FeatureLog:
    """The log, or the one in its file. Raises StrategyError where it is something else."""
    if isinstance(value, str | PathLike):
        return read_log(value)
    if not isinstance(value, FeatureLog):
        raise StrategyError(
            f"{who} takes a FeatureLog, which log_features and read_log give, or the path of its file; got a "
            f"{type(value).__name__}, {brief(value)}"
        )
    return value


def calibrate_scores(
    ranker: RankerLike, log: LogLike, method: Method = "platt", *, scores: Array | None = None, folds: int = 5
) -> LearnedRanker:
    """The ranker with a calibration fitted to a log of other topics, so that `score_threshold=0.6` means P(relevant) ≥ 0.6.

    Args:
        ranker: whose calibration is replaced; or the path of its file.
        log: of topics that it wasn't fitted to; rows weigh what they stand for. Or the path of its file.
        method: `platt`, `beta` or `isotonic`; `none` takes the calibration away, and measures how good it is without.
        scores: shape (n,), the scores of the log's rows before the sigmoid (log odds); needed for models that aren't linear.
        folds: of the cross-fitting by topic that the figures come from; the map itself is fitted to all of the log.

    Raises:
        FitError: the log has topics that the ranker was fitted to, too few topics, or one class only.
        StrategyError: the scores don't fit the log, or a feature is another under the same name. Other candidates are a
            warning (`other-candidates`).
        MissingExtra: scikit-learn isn't installed.
    """
    ranker, log = load_ranker(ranker, "calibrate_scores"), load_log(log, "calibrate_scores")
    if seen := set(ranker.training.topics).intersection(log.topic_ids):
        listed = ", ".join(map(repr, sorted(seen)[:5])) + (", …" if len(seen) > 5 else "")
        raise FitError(
            f"{len(seen)} of the log's {len(log.topic_ids)} topics are those that the ranker was fitted to ({listed}): scores "
            "there are better than they will be; calibrate on others (log.split()), or let fit_logistic(calibration=…) do it"
        )
    if other := [name for name, feature in ranker.features.items() if log.features.get(name, feature) != feature]:
        name = other[0]
        raise StrategyError(
            f"the log has other features under the ranker's names ({', '.join(map(repr, other))}): {name!r} is "
            f"{brief(log.features[name])}, was {brief(ranker.features[name])}: log features=ranker.features"
        )
    if log.candidates != ranker.candidates:
        listed = ", ".join(map(brief, log.candidates)) or "not known"
        warn(
            Lint(
                "other-candidates",
                f"the log's candidates are {listed}, not those of the ranker: its scores, and how many of the documents are "
                "relevant, are others there, and so the calibration may not hold",
            )
        )
    y = log.relevant(ranker.training.least_grade).astype(np.float64)
    margins = ranker.margins(log) if scores is None else np.asarray(scores, dtype=np.float64)
    found = fit_calibration(log, margins, y, method, folds)
    return replace(ranker, calibration=found.map, reliability=found.reliability, before=found.before, points=found.points)


def ranker_from_expression(
    expression: Expression, log: LogLike, kind: str = "imported", *, on_client: bool = False
) -> LearnedRanker:
    """A ranker of an imported model, e.g. `from_model(…)`: one file with its candidates, features and training data's hash.

    If the expression is a sigmoid, `calibrate_scores(scores=…)` takes the values inside it; else the expression's.

    Args:
        expression: what `from_model` made.
        log: what the model was trained on; or the path of its file.
        kind: what to call it, e.g. "LightGBM".
        on_client: whether it is computed here over the log's candidates, as `from_model(…, on_client=True)` has to be:
            `ranker.strategy`, also when loaded from the file, is then a `ClientFormula`.
    """
    log = load_log(log, "ranker_from_expression")
    margin = expression.operand if isinstance(expression, Sigmoid) else expression
    quantiles = {name: Reference.of(log.column(name), float(np.isnan(log.column(name)).mean())) for name in log.names}
    made = LearnedRanker(margin, log.candidates, log.features, Training.of(log, kind))
    return replace(made, quantiles=quantiles, reference=log.reference, on_client=on_client)
