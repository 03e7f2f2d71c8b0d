"""What the demo compares on what: an invented travel guide (see data/README.md), questions to it, and strategies.

Each strategy has the code that a user would write for it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .. import Formula, Fusion, Mmr, Nearest, Strategy, datetime_field, decay_exp, decay_gauss, field, geo_distance, now, score

_DATA: Final = Path(__file__).parent / "data"

CORPUS: Final = _DATA / "corpus.jsonl"
"""97 documents, one JSON object a line."""
TODAY: Final = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
"""When the questions are asked: just after the guide's newest entry, so that results don't age with the package."""
HERE: Final = (46.0127, 8.5236)
"""Where they are asked: the station of Orvena, as `(latitude, longitude)`."""


@dataclass(frozen=True)
class Question:
    """One question to the guide, with the grade of each document that was judged: 2 is what the asker wants, 1 helps."""

    text: str
    judgments: Mapping[str, int] = dataclasses.field(default_factory=dict)
    id: str = ""


def questions() -> list[Question]:
    """All questions of the demo, in the data's order."""
    lines = (_DATA / "queries.jsonl").read_text("utf-8").splitlines()
    return [Question(value["text"], value["judgments"], value["_id"]) for value in map(json.loads, lines)]


DAY: Final = 24 * 60 * 60.0
YEAR_2020: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

CANDIDATES: Final = Nearest("dense", limit=30), Nearest("bm25", limit=30)
CANDIDATES_CODE: Final = 'candidates = Nearest("dense", limit=30), Nearest("bm25", limit=30)'


@dataclass(frozen=True)
class Entry:
    """One strategy of the demo, what it does in a few words, and the code that makes it, given `candidates`."""

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
