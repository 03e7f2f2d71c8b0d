"""The strategies that the demo compares, each with the code that a user would write for it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import Formula, Fusion, Mmr, Nearest, Strategy, datetime_field, decay_exp, decay_gauss, field, geo_distance, now, score
from .guide import HERE

__all__ = ["BM25", "CANDIDATES", "CANDIDATES_CODE", "DAY", "HYBRID", "LINEUP", "PLAIN", "SHOWN", "YEAR_2020", "Entry"]

DAY: Final = 24 * 60 * 60.0
YEAR_2020: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

CANDIDATES: Final = Nearest("dense", limit=30), Nearest("bm25", limit=30)
CANDIDATES_CODE: Final = 'candidates = Nearest("dense", limit=30), Nearest("bm25", limit=30)'


@dataclass(frozen=True)
class Entry:
    """One strategy of the demo.

    Attributes:
        name: what the demo calls it.
        says: what it does, in a few words.
        code: the text that makes it, given `candidates`; evaluates to `strategy`.
        strategy: the strategy.
        features: what its formula reads from the request.
    """

    name: str
    says: str
    code: str
    strategy: Strategy
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


PLAIN: Final = Entry(
    "plain dense",
    "the nearest vectors; the others are compared with it",
    'Nearest("dense")',
    Nearest("dense"),
)
BM25: Final = Entry(
    "plain BM25",
    "words in common, weighed by how rare they are",
    'Nearest("bm25")',
    Nearest("bm25"),
)
HYBRID: Final = Entry(
    "hybrid (RRF)",
    "both rankings, fused by ranks",
    "Fusion.rrf().over(*candidates)",
    Fusion.rrf().over(*CANDIDATES),
)
SCORES: Final = Entry(
    "formula, scores only",
    "the formula above without what the payload says",
    'Formula(score("dense") + 0.05 * score("bm25")).over(*candidates)',
    Formula(score("dense") + 0.05 * score("bm25")).over(*CANDIDATES),
)
FORMULA: Final = Entry(
    "formula",
    "both scores, rating, popularity, age, distance from here",
    """\
Formula(
    score("dense") + 0.05 * score("bm25")
    + 0.10 * field("rating", default=3.5) / 5
    + 0.05 * field("popularity", default=0)
    + 0.10 * decay_exp(now() - datetime_field("published", default=YEAR_2020),
                       scale=365 * DAY)
    + 0.05 * decay_gauss(geo_distance("here", "location", default=20_000),
                         scale=5_000)
).over(*candidates)""",
    Formula(
        score("dense")
        + 0.05 * score("bm25")
        + 0.10 * field("rating", default=3.5) / 5
        + 0.05 * field("popularity", default=0)
        + 0.10 * decay_exp(now() - datetime_field("published", default=YEAR_2020), scale=365 * DAY)
        + 0.05 * decay_gauss(geo_distance("here", "location", default=20_000), scale=5_000)
    ).over(*CANDIDATES),
    {"here": HERE},
)
MMR: Final = Entry(
    "MMR",
    "of the hybrid's best 20, those that differ from each other",
    'Mmr("dense", diversity=0.3).over(Fusion.rrf(limit=20).over(*candidates))',
    Mmr("dense", diversity=0.3).over(Fusion.rrf(limit=20).over(*CANDIDATES)),
)

SHOWN: Final = (PLAIN, HYBRID, FORMULA, MMR)
"""What is shown side by side, plain search first."""
LINEUP: Final = (PLAIN, BM25, HYBRID, SCORES, FORMULA, MMR)
"""What is measured over all questions."""
