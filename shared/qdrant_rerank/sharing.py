"""Values that needn't be copied because nothing changes them."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["Shared"]

T = TypeVar("T")


class Shared(list[T]):
    """A list that `copy.deepcopy` hands back as it is: query vectors, the terms of compiled formulas.

    qdrant-client deep-copies every request of a batch, and local mode every query, though neither changes them. For one
    vector of 384 numbers that takes longer than all else that happens to a small query; for a large formula, much longer.
    """

    def __deepcopy__(self, memo: object) -> Shared[T]:
        return self
