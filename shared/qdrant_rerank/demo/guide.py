"""The demo's documents and questions: an invented travel guide (see data/README.md)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["CORPUS", "HERE", "TODAY", "Question", "questions"]

_DATA: Final = Path(__file__).parent / "data"

CORPUS: Final = _DATA / "corpus.jsonl"
"""97 documents, one JSON object a line."""
TODAY: Final = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
"""When the questions are asked: just after the guide's newest entry, so that results don't age with the package."""
HERE: Final = (46.0127, 8.5236)
"""Where they are asked: the station of Orvena, as `(latitude, longitude)`."""


@dataclass(frozen=True)
class Question:
    """One question to the guide.

    Attributes:
        text: what is asked.
        judgments: document id → grade: 2 is what the asker wants, 1 helps; 0 where not listed. Empty if nobody judged.
        id: its id in the data.
    """

    text: str
    judgments: Mapping[str, int] = field(default_factory=dict)
    id: str = ""


def questions() -> list[Question]:
    """All questions of the demo, in the data's order."""
    lines = (_DATA / "queries.jsonl").read_text("utf-8").splitlines()
    return [Question(value["text"], value["judgments"], value["_id"]) for value in map(json.loads, lines)]
