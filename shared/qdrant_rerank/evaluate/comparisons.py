"""What a comparison says of several systems: differences from a baseline, with what chance alone could do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .plain import Plain, frame
from .results import Evaluation, Interval

__all__ = ["Change", "Comparison", "Difference", "Finding"]

Finding: TypeAlias = Literal["better", "worse", "no difference", "too few topics"]
"""What can be said of a system beside its baseline."""


@dataclass(frozen=True)
class Change(Plain):
    """One topic that two systems answer differently.

    Attributes:
        topic: its id.
        text: the query.
        before: the baseline's value.
        after: the other's value.
        ranking_before: the baseline's first documents, best first.
        ranking_after: the other's.
        relevant: the relevant documents with their grades, best first.
        why_before: why the baseline ranked so, one text for each result; empty unless explanations were asked for.
        why_after: why the other did.
    """

    topic: str
    text: str
    before: float
    after: float
    ranking_before: tuple[str, ...] = ()
    ranking_after: tuple[str, ...] = ()
    relevant: Mapping[str, int] = field(default_factory=dict)
    why_before: tuple[str, ...] = ()
    why_after: tuple[str, ...] = ()

    @property
    def change(self) -> float:
        """How much better the other is; negative where it is worse."""
        return self.after - self.before


@dataclass(frozen=True)
class Difference(Plain):
    """One system beside the baseline, on the same topics.

    Attributes:
        name: the system.
        mean: its mean.
        baseline_mean: the baseline's.
        difference: mean of the differences per topic, with its paired bootstrap interval.
        p: of the two-sided paired randomisation (sign-flip) test.
        p_adjusted: `p` after Holm's correction for all systems that are compared with the baseline.
        wins: topics on which it is better than the baseline.
        ties: topics on which both are the same.
        losses: topics on which it is worse.
        detectable: the smallest true difference that these topics would show with the comparison's power; None if
            there are too few to tell.
        topics_needed: how many topics it would take to show a true difference as large as the one observed; None if
            none was observed.
        finding: what can be said.
        verdict: the same in plain words.
        changes: the topics with the largest changes, largest first.
    """

    name: str
    mean: float
    baseline_mean: float
    difference: Interval
    p: float
    p_adjusted: float
    wins: int
    ties: int
    losses: int
    detectable: float | None
    topics_needed: int | None
    finding: Finding
    verdict: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Comparison(Plain):
    """Systems beside a baseline, by one measure.

    Attributes:
        measure: its name.
        baseline: the baseline's name.
        differences: one for each other system, in the order given.
        evaluations: all systems, the baseline included.
        topics: how many topics all this is about.
        alpha: how often a difference may be claimed where there is none, over all comparisons together.
        power: how often a true difference of the detectable size would be found.
        frontiers: cost (`p50_ms`, `round_trips`, `model_texts`) → the systems that no other beats at once in quality and
            in that cost, cheapest first. A cost that isn't known of every system is left out.
        synthetic: whether the queries were made from documents.
    """

    measure: str
    baseline: str
    differences: tuple[Difference, ...]
    evaluations: tuple[Evaluation, ...]
    topics: int
    alpha: float
    power: float
    frontiers: Mapping[str, tuple[str, ...]]
    synthetic: bool = False

    def __getitem__(self, name: str) -> Difference:
        """The system of this name beside the baseline.

        Raises:
            KeyError: there is none.
        """
        for difference in self.differences:
            if difference.name == name:
                return difference
        raise KeyError(name)

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` with a row for each system that is compared with the baseline.

        Raises:
            ImportError: pandas is not installed.
        """
        left_out = "changes", "difference"
        return frame(
            {key: value for key, value in row.as_dict().items() if key not in left_out}
            | {"difference": row.difference.estimate, "low": row.difference.low, "high": row.difference.high}
            for row in self.differences
        )

    def __str__(self) -> str:
        return "\n".join([f"{self.measure} on {self.topics} topics, beside {self.baseline}:", *self.verdicts])

    @property
    def verdicts(self) -> tuple[str, ...]:
        """What can be said of each system, in plain words."""
        return tuple(difference.verdict for difference in self.differences)
