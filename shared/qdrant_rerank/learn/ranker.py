"""What was learned, as one value and one file: a formula, where it came from, and how good it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import numpy as np
from qdrant_client import models

from .. import StrategyError
from .._internals import Trained, TrainedFeature, read_text
from ..evaluate._internals import Plain
from ..expressions import Expression
from ..ingest import requirements
from ..report import Calibration
from ..stages import ClientFormula, Formula, Stage
from .calibrating import ScoreMap
from .coefficients import FeatureWeight, as_table
from .feature_log import FeatureLog, Reference
from .features import Category, Feature
from .reliability import OperatingPoint, threshold_for
from .solving import Array

__all__ = ["LearnedRanker", "Training"]


@dataclass(frozen=True)
class Training(Plain):
    """What a ranker was learned from.

    Attributes:
        fingerprint: of the log.
        topics: the ids of its topics.
        rows: how many it has.
        relevant: how many of them are relevant.
        loss: `pointwise` or `pairwise`; or the kind of model that was imported.
        c: the inverse strength of regularisation; None for imported models.
        least_grade: from which grade on a document is relevant.
        missed: how many relevant documents no candidate found: the candidates, not the formula, lose these.
        made: when, RFC 3339.
        versions: of the libraries.
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


@dataclass(frozen=True)
class LearnedRanker:
    """A learned formula over the candidates that it was learned on.

    Attributes:
        margin: the score before it becomes a probability.
        candidates: the stages that find the candidates.
        features: what the formula was learned from, by name.
        training: what it was learned from.
        calibration: how scores become probabilities.
        weights: what was learned of each feature; empty for imported models.
        intercept: of the linear model.
        metrics: on held-out topics, by name.
        reliability: how far the probabilities can be trusted, on held-out topics; None if that isn't known.
        before: the same without the calibration.
        points: what thresholds of the probability keep, on held-out topics.
        quantiles: how each feature was distributed over the logged candidates.
        reference: how each payload feature was distributed over all stored points.
        notes: what whoever uses it should know.
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
        """The formula without its candidates: `ranker.formula.over(…)`. It knows what it was trained on; plans compare."""
        return Formula(self.expression, trained=Trained(tuple(self._trained_features())))

    def _trained_features(self) -> Iterator[TrainedFeature]:
        for name, reference in self.reference.items():
            feature = self.features.get(name)
            if isinstance(feature, Category):
                yield TrainedFeature(name=name, category=feature.key, values=feature.values, reference=reference)
            elif feature is not None:
                yield TrainedFeature(name=name, expression=feature.expression, reference=reference)

    @property
    def indexes(self) -> dict[str, models.PayloadSchemaType]:
        """The payload indexes that it needs: key → type; `ensure_indexes(client, collection, ranker.strategy)` makes them."""
        return requirements(self.whole)

    def margins(self, log: FeatureLog) -> Array:
        """The scores before the sigmoid of a log's rows, shape (n,).

        Raises:
            StrategyError: the log lacks a feature, or the model isn't linear, so that a log's columns don't tell.
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
        """The probabilities of relevance of a log's rows, shape (n,), as the formula computes them. As `margins`."""
        return self.calibration.apply(self.margins(log))

    def threshold_for(self, *, precision: float) -> OperatingPoint:
        """The lowest threshold whose results were relevant that often, on held-out topics: its `.threshold` goes into
        `SearchOptions(score_threshold=…)`.

        Raises:
            FitError: none was; says which is the best.
            StrategyError: the precision isn't above 0 and at most 1.
        """
        return threshold_for(self.points, precision)

    def table(self) -> str:
        """The weights as text, with weak features pointed out."""
        return as_table(self.weights)

    def over(self, *candidates: Stage) -> LearnedRanker:
        """The same formula over other candidates; they must have the names that it reads scores by."""
        made = replace(self, candidates=candidates)
        _ = made.strategy  # checks the names
        return made

    def to_json(self, indent: int | None = 1) -> str:
        """The ranker as JSON text."""
        from .ranker_files import to_json  # which builds on this file

        return to_json(self, indent)

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
        from .ranker_files import from_json  # which builds on this file

        return from_json(read_text(path), path)
