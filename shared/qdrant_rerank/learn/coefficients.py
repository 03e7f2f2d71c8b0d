"""What was learned of each feature, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..evaluate._internals import Plain
from ..report import Coefficient

__all__ = ["FeatureWeight", "as_table", "for_report"]


@dataclass(frozen=True)
class FeatureWeight(Plain):
    """What was learned of one feature.

    Attributes:
        name: the feature's.
        weight: what one unit of it adds to the log odds of relevance.
        low: lower end of the weight's 95 % bootstrap interval over topics; None if none was computed.
        high: its upper end.
        standardised: what one standard deviation adds; compares features of different units.
        mean: of the feature in the training data, which is subtracted before it is weighed.
        deviation: its standard deviation there.
        loss_without: how much the held-out log loss rises without it; None if that wasn't computed.
        sign: `"+"` or `"-"` if it was constrained.
        held: what the weight would have been, where the constraint holds it at 0; else None.
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


def as_table(weights: Iterable[FeatureWeight]) -> str:
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
