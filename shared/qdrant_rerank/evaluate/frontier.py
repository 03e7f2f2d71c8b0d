"""Which systems are worth their cost: the Pareto front of quality over a cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from .results import Evaluation

__all__ = ["COSTS", "frontier", "frontiers"]

COSTS: Final = ("p50_ms", "round_trips", "model_texts")


def frontiers(evaluations: Sequence[Evaluation], measure: str) -> dict[str, tuple[str, ...]]:
    """The front for each cost that is known of every system."""
    found: dict[str, tuple[str, ...]] = {}
    for cost in COSTS:
        points = {one.name: (getattr(one.costs, cost), one.means[measure].estimate) for one in evaluations}
        if all(spent is not None for spent, _ in points.values()):
            found[cost] = frontier(points)
    return found


def frontier(points: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """The names that no other beats: none is at least as good for at most that cost, and better in one of both.

    Args:
        points: name → (cost, quality). Less cost is better, more quality is better.

    Returns:
        The names, cheapest first.
    """

    def beaten(name: str) -> bool:
        cost, quality = points[name]
        return any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points.values())

    return tuple(sorted((name for name in points if not beaten(name)), key=lambda name: points[name]))
