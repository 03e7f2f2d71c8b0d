"""Which of a topic's negatives are logged, and how many candidates each stands for."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import StrategyError
from .._internals import is_whole

__all__ = ["Negatives"]


@dataclass(frozen=True)
class Negatives:
    """How many candidates without a judgment are logged for each topic; judged ones are all logged.

    Attributes:
        hard: the best-ranked ones, each for itself: what a model has most trouble with.
        random: drawn from the others; each stands for as many as it was drawn from (inverse probability weights), so that
            probabilities learned from the sample hold for all candidates.
        strata: the others are split into so many parts by rank, and `random / strata` drawn from each.

    Raises:
        StrategyError: a number is negative, or there are more strata than drawn candidates.
    """

    hard: int = 10
    random: int = 20
    strata: int = 1

    def __post_init__(self) -> None:
        for name in ("hard", "random"):
            if not is_whole(getattr(self, name), 0):
                raise StrategyError(f"{name} must be a whole number of at least 0, got {getattr(self, name)!r}")
        if not is_whole(self.strata, 1) or self.strata > max(1, self.random):
            raise StrategyError(f"strata must be a whole number from 1 to random ({self.random}), got {self.strata!r}")

    def weights(self, ranks: NDArray[np.float64], judged: NDArray[np.bool_], topic: str, seed: int) -> NDArray[np.float64]:
        """How many candidates each stands for, shape (n,); 0 for those that are left out.

        The draw depends on the seed and the topic's id alone, not on what was drawn before.

        Args:
            ranks: shape (n,), each candidate's best rank.
            judged: shape (n,), whether it was judged.
            topic: the topic's id.
            seed: the same seed draws the same.
        """
        found = np.where(judged, 1.0, 0.0)
        rest = np.flatnonzero(~judged)
        rest = rest[np.argsort(ranks[rest], kind="stable")]
        found[rest[: self.hard]] = 1.0
        generator = np.random.default_rng([seed, zlib.crc32(topic.encode())])
        for number, stratum in enumerate(np.array_split(rest[self.hard :], self.strata)):
            wanted = self.random // self.strata + (number < self.random % self.strata)
            size = min(wanted, len(stratum))
            if size:
                found[generator.choice(stratum, size, replace=False)] = len(stratum) / size
        return found
