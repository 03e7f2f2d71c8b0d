"""What the tests of the command line share: running it in this process, and a small corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from typer.testing import CliRunner

from qdrant_rerank.cli._internals import app

DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "ferry", "title": "The last ferry", "text": "leaves the pier at ten", "rating": 4.5, "town": "Orvena"},
    {"_id": "train", "title": "Bikes on the night train", "text": "hang in the van", "rating": 3.0, "town": "Orvena"},
    {"_id": "rules", "title": "Bikes on the night train: new rules", "text": "book online", "rating": 5.0, "town": "Lunasca"},
    {"_id": "hut", "title": "A hut for the night", "text": "with soup and a stove", "town": "Montefosco"},
    {"_id": "market", "title": "Market day", "text": "cheese and bread on the pier", "rating": 2.5, "town": "Orvena"},
]


Env = Mapping[str, str | None]


class Ran(NamedTuple):
    """What a command did.

    Attributes:
        code: the exit code.
        out: what it wrote to standard output.
        err: what it wrote to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


def run(*arguments: object, columns: int = 100, env: Env | None = None) -> Ran:
    """Run the command line in this process, as if its output were piped."""
    variables = {"COLUMNS": str(columns), "QDRANT_URL": None, "QDRANT_API_KEY": None, **(env or {})}
    result = CliRunner(env=variables).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # nothing may escape as a traceback
    return Ran(result.exit_code, result.stdout, result.stderr)


def succeeds(*arguments: object, columns: int = 100, env: Env | None = None) -> str:
    """What the command wrote to standard output, having written no error or warning."""
    ran = run(*arguments, columns=columns, env=env)
    assert (ran.code, ran.err) == (0, ""), ran.all
    return ran.out


def fails(*arguments: object, code: int = 2, env: Env | None = None) -> str:
    """The one message of a command that ends with an error."""
    ran = run(*arguments, env=env)
    assert ran.code == code, ran.all
    assert ran.err.startswith("error: "), ran.all
    assert "Traceback" not in ran.all
    return ran.err


def write_corpus(path: Path, documents: list[dict[str, Any]] = DOCUMENTS) -> Path:
    """Write documents as JSON lines."""
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), "utf-8")
    return path
