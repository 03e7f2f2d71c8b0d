"""What a formula costs where it is computed: in Qdrant, or here over the fetched candidates; one table of measurements.

Estimates are milliseconds of one query of one caller, beyond the search for the candidates, which both ways take. They are
good to a factor of two: enough to tell a model of a megabyte from a few terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import Lint
from .formula_limits import Extent


@dataclass(frozen=True)
class Price:
    """What one of something takes, in microseconds, rounded so that sums come near what was measured, and where that was."""

    microseconds: float
    source: str


_PRICES: Final = "benchmarks/prices.py, Qdrant 1.18.3 over REST on the same two cores"

PRICES: Final[Mapping[str, Price]] = {
    "byte sent": Price(0.5, f"{_PRICES}; about as much to write it here as to parse it there, and benchmarks/trees.py"),
    "indexed condition of a candidate": Price(0.06, _PRICES),
    "unindexed condition of a candidate": Price(2.0, f"{_PRICES}: of a payload of 1.5 kB, which is read for each"),
    "candidate fetched": Price(7.5, _PRICES),
    "value fetched": Price(1.3, f"{_PRICES}: a number of a candidate's payload, parsed, read and filled"),
    "payload byte fetched": Price(0.015, f"{_PRICES}; half of it a line of 1 Gbit/s"),
    "vector number fetched": Price(0.1, _PRICES),
    "node computed here": Price(3.5, f"{_PRICES}: a call of numpy"),
    "node computed here for a candidate": Price(0.07, _PRICES),
    "tree node walked here for a candidate": Price(0.005, _PRICES),
}
_BYTES_OF_A_PAYLOAD: Final = 2_000  # an abstract and a few fields
_BYTES_OF_A_NUMBER: Final = 11  # of a vector, as text
_BETTER: Final = 1.3  # below it the estimate says nothing
_FAR_BETTER: Final = 2.0


@dataclass(frozen=True)
class Estimate:
    """Milliseconds of one query for so many candidates, beyond the search.

    `in_qdrant` has the formula sent, `here` the candidates' payload fetched.
    """

    in_qdrant: float
    here: float
    candidates: int

    @property
    def is_better_here(self) -> bool:
        """Whether it is worth a warning that the formula is computed in Qdrant."""
        return self.in_qdrant >= _BETTER * self.here

    @property
    def is_far_better_here(self) -> bool:
        """Whether the formula is computed here by itself, though the estimate is good to a factor of two only."""
        return self.in_qdrant >= _FAR_BETTER * self.here

    def __str__(self) -> str:
        return f"about {_short(self.in_qdrant)} ms in Qdrant and {_short(self.here)} ms here for {self.candidates:,} candidates"


def estimate(
    size: Extent,
    nodes: int,
    walked: int,
    candidates: int,
    keys: int,
    unindexed: int = 0,
    whole_payload: bool = False,
    vector_numbers: int = 0,
) -> Estimate:
    """What a formula costs in both places, by its size once compiled and the candidates that it scores.

    `nodes` are its parts that are computed one by one here, `walked` those that are trees, which are walked here. Of the
    payload `keys` that it reads, `unindexed` have no index. The call may ask for more of the payload than these, the
    `whole_payload`, and for vectors, which have `vector_numbers` for each point.
    """
    asked = (size.conditions + size.reads) * candidates
    share = unindexed / keys if keys else 0.0
    price = {name: each.microseconds / 1e3 for name, each in PRICES.items()}
    condition = share * price["unindexed condition of a candidate"] + (1 - share) * price["indexed condition of a candidate"]
    byte, fetched = price["payload byte fetched"], price["candidate fetched"] + keys * price["value fetched"]
    fetched += whole_payload * _BYTES_OF_A_PAYLOAD * byte
    fetched += vector_numbers * (price["vector number fetched"] + _BYTES_OF_A_NUMBER * byte)
    computed = nodes * (price["node computed here"] + candidates * price["node computed here for a candidate"])
    computed += walked * candidates * price["tree node walked here for a candidate"]
    return Estimate(size.bytes * price["byte sent"] + asked * condition, candidates * fetched + computed, candidates)


def place_warnings(found: Estimate, size: Extent, why: str) -> list[Lint]:
    """That a formula would be computed sooner here, by what it takes in both places and its size once compiled.

    `why` says why it stays in Qdrant; "" where `.on_client()` gives the same.
    """
    if not found.is_better_here:
        return []
    times = found.in_qdrant / found.here
    here = why or "Formula(…).over(…).on_client() computes it here, in one request"
    return [
        Lint(
            "faster-here",
            f"the formula takes {found} ({times:.1f} times as long): its {size.bytes:,} bytes are written and parsed for each "
            f"query. {here}",
        )
    ]


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
