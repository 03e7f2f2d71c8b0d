"""Which queries coefficients were fitted to: short hashes of their texts, so that nobody takes those for queries held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

__all__ = ["DIGITS", "MOST_HASHES", "are_hashes", "hashes_of", "known_among", "same"]

DIGITS: Final = 8
"""Hex digits of one hash: of 300 queries and 300 topics, one in 50 000 times a topic is wrongly taken for a known one."""
MOST_HASHES: Final = 500
"""How many are kept."""


def same(text: str) -> str:
    """Equal for queries that say the same, but for capitals and spaces."""
    return " ".join(text.casefold().split())


def hashes_of(texts: Iterable[str]) -> str:
    """The hashes of the texts, in ascending order and without a gap; of very many, those that come first."""
    return "".join(sorted(set(map(_hash, texts)))[:MOST_HASHES])


def are_hashes(text: str) -> bool:
    """Whether a text could be what `hashes_of` returns."""
    return re.fullmatch(rf"(?:[0-9a-f]{{{DIGITS}}})*", text) is not None


def known_among(hashes: str, texts: Iterable[str]) -> int:
    """How many of the texts are among those that `hashes_of` was given."""
    known = {hashes[start : start + DIGITS] for start in range(0, len(hashes), DIGITS)}
    return sum(_hash(text) in known for text in texts)


def _hash(text: str) -> str:
    return hashlib.sha256(same(text).encode()).hexdigest()[:DIGITS]
