"""Coefficients for queries that they weren't fitted to: cross-fitting, so that every query is held out once.

Queries are dealt into folds at random, those that say the same together. For each fold, coefficients are fitted to the others;
they are what the fold's queries are judged by. What is used in the end is fitted to all queries.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..feedback import Coefficients
from ..feedback._internals import Mode, same
from .feedback_fit_data import Example
from .feedback_fit_train import trained

__all__ = ["CrossFit", "cross_fitted"]


@dataclass(frozen=True)
class CrossFit:
    """What fitting came to.

    Attributes:
        coefficients: fitted to all queries.
        folds: fitted to all but one fold each.
        unseen_by: for each query's text the number of the fold that it is in: those coefficients haven't seen it.
    """

    coefficients: Coefficients
    folds: tuple[Coefficients, ...]
    unseen_by: Mapping[str, int]

    def for_query(self, text: str) -> Coefficients:
        """The coefficients that a query is judged by."""
        return self.folds[self.unseen_by[text]]


def cross_fitted(examples: Sequence[Example], mode: Mode, folds: int = 5, seed: int = 0) -> CrossFit:
    """The coefficients of all examples, and for each fold those of all others.

    Args:
        examples: at least two that don't say the same.
        mode: as they will be used.
        folds: how many; fewer if there are fewer queries.
        seed: of dealing them.

    Raises:
        MissingExtra: scipy isn't installed.
    """
    groups = sorted({same(example.query) for example in examples})
    random.Random(seed).shuffle(groups)
    fold_of = {group: place % folds for place, group in enumerate(groups)}
    unseen_by = {example.query: fold_of[same(example.query)] for example in examples}
    fitted = [
        trained([example for example in examples if unseen_by[example.query] != fold], mode)
        for fold in range(min(folds, len(groups)))
    ]
    return CrossFit(trained(examples, mode), tuple(fitted), unseen_by)
