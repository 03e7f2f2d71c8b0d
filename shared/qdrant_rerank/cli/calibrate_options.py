"""Options of `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from .measuring import NOT_GOOD_ENOUGH

__all__ = [
    "AnywayOption",
    "CandidatesOption",
    "DocIdOption",
    "DryRunOption",
    "FeedbackModelOption",
    "FitOutOption",
    "FitQrelsOption",
    "ModeOption",
    "MostOption",
    "QueriesArgument",
    "ReadsOption",
    "SampleOption",
    "ScoresOption",
    "SeedsOption",
    "TextOption",
]

_DATA, _WHAT, _OUTPUT = "Queries and judgments", "What to fit", "What to print and keep"

QueriesArgument: TypeAlias = Annotated[
    Path | None,
    typer.Argument(
        metavar="[QUERIES]",
        show_default=False,
        help="Real queries: a file with id, tab and text on each line, or JSON lines with _id and text; or a folder as BEIR "
        "lays it out, whose judgments are used. With --sample, the file that the queries are written to.",
    ),
]
SampleOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--sample",
        metavar="N",
        rich_help_panel=_DATA,
        help="Make N queries of stored documents (titles, first sentences), for a trial: such queries mislead.",
    ),
]
FitQrelsOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--qrels",
        metavar="FILE",
        rich_help_panel=_DATA,
        help="Judgments of documents for the queries, as TREC or BEIR write them; without any, the model judges itself.",
    ),
]
DocIdOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--doc-id",
        metavar="KEY",
        rich_help_panel=_DATA,
        show_default=False,
        help="The payload key that holds a document's id as it is in the judgments. If not given _id, or the point's id where "
        "a point has no _id.",
    ),
]
MostOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--most", metavar="N", rich_help_panel=_DATA, help="Take at most N of the queries, drawn at random (see --seed)."
    ),
]
FeedbackModelOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="MODEL",
        rich_help_panel=_WHAT,
        show_default=False,
        help="The reranker, which must be given: cohere:rerank-v3.5, a cross-encoder of fastembed, "
        "fastembed:ORGANISATION/NAME, NAME@DIR for one in a folder, or cross-encoder:DIR for one of your own.",
    ),
]
TextOption: TypeAlias = Annotated[
    str,
    typer.Option("--text-key", metavar="KEYS", rich_help_panel=_WHAT, help="Payload keys with the text that the model reads."),
]
ModeOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--mode",
        metavar="precision|recall",
        rich_help_panel=_WHAT,
        help="How feedback will be used: precision scores the seeds only, and returns what the steered search finds; recall "
        "scores that, too, and sorts all by the model.",
    ),
]
SeedsOption: TypeAlias = Annotated[
    int,
    typer.Option("--seeds", metavar="N", rich_help_panel=_WHAT, help="How many of the first results the model is shown."),
]
ReadsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--reads",
        metavar="N",
        rich_help_panel=_WHAT,
        help="With --mode recall: how many documents are scored for a query in all.",
        show_default="25",
    ),
]
CandidatesOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--candidates",
        metavar="N",
        rich_help_panel=_WHAT,
        help="How many results of each query the model scores to learn from.",
        show_default="50, or twice --reads if that is more",
    ),
]
ScoresOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help="Keep the model's scores in this file as they come, so that another run asks for none of them again.",
    ),
]
DryRunOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        rich_help_panel=_OUTPUT,
        help="Only say what it will cost; the model scores a handful of texts, to tell how long it takes.",
    ),
]
FitOutOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help=f"Write the strategy with its coefficients as JSON, if feedback is what to use; else the exit code is "
        f"{NOT_GOOD_ENOUGH}, and nothing is written.",
    ),
]
AnywayOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--anyway",
        metavar="",
        rich_help_panel=_OUTPUT,
        help=f"Write --out even if feedback isn't what to use; the exit code is {NOT_GOOD_ENOUGH} all the same.",
    ),
]
