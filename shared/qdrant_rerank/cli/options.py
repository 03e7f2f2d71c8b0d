"""Options that several commands have, each written once: its name, its help, its place in the help."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from pydantic import ValidationError
from qdrant_client import models

from .._internals import line_of, parse_json, read_text, shortened
from ..errors import FormatError
from .failures import CommandError

__all__ = [
    "CallTimeoutOption",
    "CollectionOption",
    "DebugOption",
    "DenseVectorOption",
    "EdgeOption",
    "FilterOption",
    "FormulaOption",
    "FusionOption",
    "GroupOption",
    "GrpcOption",
    "GrpcPortOption",
    "HybridOption",
    "JsonOption",
    "KOption",
    "LimitOption",
    "MeasuringRetriesOption",
    "MmrOption",
    "ParamsOption",
    "PathOption",
    "RescoreOption",
    "RetriesOption",
    "ShowOption",
    "SparseVectorOption",
    "StrategyOption",
    "TextKeyOption",
    "ThresholdOption",
    "TimeoutOption",
    "UncheckedOption",
    "UrlOption",
    "UsingOption",
    "WritingRetriesOption",
    "check_folder",
    "check_output",
    "filter_of",
    "listed",
    "params_of",
]

_WHERE = "Where Qdrant is"
_HOW = "How to rank"
_WHICH = "Which points"
_OUTPUT = "What to print"

EdgeOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--edge",
        metavar="DIR",
        rich_help_panel=_WHERE,
        help="A folder on disk, for Qdrant's Rust engine inside this process: no server is needed. Brought by the extra edge.",
    ),
]
PathOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--path",
        metavar="DIR",
        rich_help_panel=_WHERE,
        help="A folder on disk, for qdrant-client's local mode inside this process: written in Python, many times slower than "
        "--edge, and without another package (up to about 20,000 points).",
    ),
]
UrlOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        rich_help_panel=_WHERE,
        help="A server, e.g. http://localhost:6333; the environment's QDRANT_URL if no place is given. "
        "Its API key is read from the environment's QDRANT_API_KEY only.",
    ),
]
GrpcOption: TypeAlias = Annotated[
    bool, typer.Option("--prefer-grpc", metavar="", rich_help_panel=_WHERE, help="Speak gRPC to the server instead of REST.")
]


def _retries(default: str) -> Any:
    return typer.Option(
        "--retries",
        metavar="N",
        rich_help_panel=_WHERE,
        help="How often a request is made again, at most, while the server is away, overloaded or asks to wait.",
        show_default=default,
    )


RetriesOption: TypeAlias = Annotated[int | None, _retries("0")]
MeasuringRetriesOption: TypeAlias = Annotated[int | None, _retries("12, within 5 minutes; 0 until the server has answered")]
WritingRetriesOption: TypeAlias = Annotated[int | None, _retries("6 for what is written, else 0")]
GrpcPortOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--grpc-port",
        metavar="PORT",
        min=1,
        max=65535,
        rich_help_panel=_WHERE,
        help="The server's port for gRPC; needed with --prefer-grpc unless the URL's port is 6333, beside which gRPC has 6334.",
        show_default="6334 beside 6333",
    ),
]
TimeoutOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        rich_help_panel=_WHERE,
        help="Seconds that a request to the server may take.",
        show_default="5",
    ),
]
CallTimeoutOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        rich_help_panel=_WHERE,
        help="Seconds that the whole search may take, with all its requests and what a model reads, e.g. 0.5.",
        show_default="5 for each request",
    ),
]
CollectionOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        rich_help_panel=_WHERE,
        help="The collection; may be left out if there is only one.",
    ),
]
DebugOption: TypeAlias = Annotated[bool, typer.Option("--debug", metavar="", help="Show where an error came from.")]

StrategyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--strategy",
        "-s",
        metavar="FILE",
        rich_help_panel=_HOW,
        help="A strategy in a JSON file, as explain --save writes it. Of this group only --params goes with it.",
    ),
]
UncheckedOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--unchecked",
        metavar="",
        rich_help_panel=_HOW,
        help="Run what was learned, a formula or relevance feedback, in --strategy even on a collection that lacks what it was "
        "trained on, or with another model or other texts than it was fitted to.",
    ),
]
HybridOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--hybrid", metavar="", rich_help_panel=_HOW, help="Search the dense and the sparse vector, and fuse both rankings."
    ),
]
FusionOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        metavar="rrf|dbsf",
        rich_help_panel=_HOW,
        help="How --hybrid fuses: by ranks (rrf) or by normalised scores (dbsf).",
        show_default="rrf",
    ),
]
FormulaOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--formula",
        metavar="TEXT",
        rich_help_panel=_HOW,
        help="Score candidates by a formula, e.g. \"0.8*score() + 0.2*field('rating', 3)\". score() is the plain search's; "
        "score('NAME') the search's by the vector NAME; score('rrf') and score('dbsf') are the fused ones.",
    ),
]
MmrOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--mmr",
        metavar="0..1",
        rich_help_panel=_HOW,
        help="Choose among what the rest of this group found so that results differ from each other: 0 is not at all, 1 most.",
    ),
]
RescoreOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rescore",
        metavar="VECTOR",
        rich_help_panel=_HOW,
        help="Score the candidates again by another vector of theirs, e.g. a late-interaction one.",
    ),
]
UsingOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--using",
        metavar="VECTOR",
        rich_help_panel=_HOW,
        help="The vector of a plain search.",
        show_default="the only dense vector, or else the only sparse one",
    ),
]
LimitOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        rich_help_panel=_HOW,
        help="How many candidates each search hands on to be ranked.",
        show_default="100",
    ),
]
DenseVectorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dense-vector",
        metavar="VECTOR",
        rich_help_panel=_HOW,
        help="The dense vector for --hybrid and --mmr.",
        show_default="the only one",
    ),
]
SparseVectorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--sparse-vector",
        metavar="VECTOR",
        rich_help_panel=_HOW,
        help="The sparse vector for --hybrid.",
        show_default="the only one",
    ),
]

KOption: TypeAlias = Annotated[int, typer.Option("-k", metavar="N", rich_help_panel=_WHICH, help="How many results.")]
FilterOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="JSON",
        rich_help_panel=_WHICH,
        help="Only points that meet Qdrant's filter, e.g. "
        '\'{"must": [{"key": "town", "match": {"value": "Orvena"}}]}\'; @FILE reads it from a file.',
    ),
]
ParamsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--params",
        metavar="JSON",
        rich_help_panel=_HOW,
        help="Values that the formula takes from the request, e.g. '{\"here\": [46.01, 8.52]}'; @FILE reads them from a file.",
    ),
]
ThresholdOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--score-threshold", metavar="X", rich_help_panel=_WHICH, help="Only results whose final score reaches it."),
]
GroupOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--group-by", metavar="KEY", rich_help_panel=_WHICH, help="At most one result for each value of this payload key."
    ),
]
ShowOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--show",
        metavar="KEYS",
        rich_help_panel=_OUTPUT,
        help="Payload keys to show as columns, with commas between: rating,metadata.author.",
    ),
]
TextKeyOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--text-key",
        metavar="KEYS",
        rich_help_panel=_OUTPUT,
        help="Payload keys with the text to show; the first that a result has.",
    ),
]
JsonOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", rich_help_panel=_OUTPUT, help="JSON for other programs, one object a line; nothing is cut short."
    ),
]


def filter_of(text: str | None) -> models.Filter | None:
    """The filter that `--filter` holds.

    Raises:
        CommandError: it isn't JSON, or isn't a filter of Qdrant's.
    """
    if text is None:
        return None
    source, where = _source("--filter", text)
    value = _parsed(source, where)
    try:
        return models.Filter.model_validate(value)
    except ValidationError as error:
        problem = max(error.errors(), key=lambda problem: len(problem["loc"]))  # the deepest reading came closest
        path = tuple(part for part in problem["loc"] if isinstance(part, int) or part in source)
        place = ".".join(map(str, path)) or "the top"
        raise CommandError(
            f"{where}:{line_of(source, path)} isn't a filter of Qdrant's: at {place}: {problem['msg']}; a filter looks like "
            '{"must": [{"key": "town", "match": {"value": "Orvena"}}]}'
        ) from None


def params_of(text: str | None) -> dict[str, Any]:
    """The request-time values that `--params` holds, by name.

    Raises:
        CommandError: it isn't a JSON object.
    """
    if text is None:
        return {}
    source, where = _source("--params", text)
    value = _parsed(source, where)
    if not isinstance(value, dict):
        raise CommandError(f"{where} must be a JSON object, name → value, e.g. '{{\"budget\": 20}}'; got {json.dumps(value)}")
    return value


def listed(text: str | None) -> list[str]:
    """The parts of a comma-separated option."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _source(option: str, text: str) -> tuple[str, str]:
    """The JSON text, and what to call it in messages."""
    if not text.startswith("@"):
        return text, option
    return read_text(text[1:]), text[1:]


def _parsed(source: str, where: str) -> Any:
    if not source.strip():
        raise CommandError(f"{where} is empty: give a JSON object")
    try:
        return parse_json(source)
    except FormatError as error:
        line = error.line or 1
        message = re.sub(r" \((column \d+)\)$", r" at \1", error.message.removeprefix("not JSON: "))
        shown = shortened(source.split("\n")[line - 1], 200)
        raise CommandError(f"{where}:{line} isn't JSON: {message}: {shown}") from None


def check_output(option: str, path: Path | None) -> None:
    """Refuse a file that can't be written.

    Raises:
        CommandError: its folder isn't there, it is a folder itself, or it may not be written to.
    """
    if path is None:
        return
    if path.is_dir():
        raise CommandError(f"{option} {path}: this is a folder: name a file in it")
    if not path.parent.is_dir():
        raise CommandError(f"{option} {path}: there is no folder {str(path.parent)!r} to write it to")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise CommandError(f"{option} {path}: it may not be written to")


def check_folder(option: str, path: Path | None) -> None:
    """Refuse a folder that can't be made, or written to.

    Raises:
        CommandError: it or a part of its path is a file, or it may not be written to.
    """
    if path is None:
        return
    there = next(part for part in (path.absolute(), *path.absolute().parents) if part.exists())
    if not there.is_dir():
        raise CommandError(f"{option} {path}: {there} is a file: name a folder")
    if not os.access(there, os.W_OK):
        raise CommandError(f"{option} {path}: {there} may not be written to")
