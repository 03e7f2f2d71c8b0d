"""Options of `tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = [
    "BaselineOption",
    "CandidateOption",
    "DepthOption",
    "FeaturesOption",
    "FeedbackOption",
    "KeepOption",
    "LearnOption",
    "OneMeasureOption",
    "OutOption",
    "ReadKeyOption",
    "ReaderOption",
    "ReadsOption",
    "RequestsOption",
    "RowsOption",
    "SecondsOption",
    "SeedOption",
    "SplitsOption",
    "TextsOption",
    "TrainSplitOption",
]

_DATA, _WHAT, _BUDGET, _OUTPUT = "Topics and judgments", "What to try", "What it may take", "What to print and keep"

TrainSplitOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--split",
        metavar="NAME",
        rich_help_panel=_DATA,
        help="Which judgments of a BEIR folder. Leave those alone that the result is to be tested on.",
    ),
]
CandidateOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--candidate",
        metavar="VECTOR",
        rich_help_panel=_WHAT,
        help="A vector to search by; may be repeated.",
        show_default="every dense and sparse vector whose model is known",
    ),
]
DepthOption: TypeAlias = Annotated[
    list[int] | None,
    typer.Option(
        "--depth",
        metavar="N",
        rich_help_panel=_WHAT,
        help="How many candidates a candidate may hand on; may be repeated.",
        show_default="20, 50 and 100",
    ),
]
BaselineOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--baseline",
        metavar="FILE",
        rich_help_panel=_WHAT,
        help="The strategy to beat, as JSON.",
        show_default="RRF with Qdrant's defaults over all candidates, or the only candidate",
    ),
]
ReaderOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="MODEL",
        rich_help_panel=_WHAT,
        help="Try having this model read the candidates, too: cohere:rerank-v3.5, fastembed:ORGANISATION/NAME, NAME@DIR for "
        "one in a folder, or cross-encoder:DIR for one of your own.",
    ),
]
FeedbackOption: TypeAlias = Annotated[
    list[Path] | None,
    typer.Option(
        "--feedback",
        metavar="FILE",
        rich_help_panel=_WHAT,
        help="Try relevance feedback with what calibrate wrote to this file, beside plain search and reranking as many "
        "documents; needs the --rerank MODEL that it was fitted to. May be repeated.",
    ),
]
ReadsOption: TypeAlias = Annotated[
    list[int] | None,
    typer.Option(
        "--reads",
        metavar="N",
        rich_help_panel=_WHAT,
        help="How many documents the model scores for a query with --feedback in mode recall; may be repeated.",
        show_default="as the file says",
    ),
]
ReadKeyOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--text-key",
        metavar="KEYS",
        rich_help_panel=_WHAT,
        help="Payload keys with the text that the model reads, joined by a space.",
    ),
]
LearnOption: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--learn/--no-learn",
        metavar="",
        rich_help_panel=_WHAT,
        help="Try a formula whose weights are learned from the judgments, even of few topics; or never.",
        show_default="with 50 topics or more",
    ),
]
FeaturesOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--features",
        metavar="FILE",
        rich_help_panel=_WHAT,
        help="What that formula may weigh beside the scores: a JSON object of name to formula, e.g. "
        '{"rating": "field(\'rating\', 3)"}, or what features or fit wrote.',
    ),
]
OneMeasureOption: TypeAlias = Annotated[
    str,
    typer.Option("--measure", "-m", metavar="NAME", rich_help_panel=_WHAT, help="The measure, as ir-measures writes it."),
]
SplitsOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--splits", metavar="N", rich_help_panel=_WHAT, help="How many times to choose on one half and judge on the other."
    ),
]
SeedOption: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", rich_help_panel=_WHAT, help="Of the random halves: the same gives the same.")
]
RequestsOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--max-requests", metavar="N", rich_help_panel=_BUDGET, help="At most so many searches."),
]
TextsOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--max-texts", metavar="N", rich_help_panel=_BUDGET, help="At most so many texts read by the model."),
]
SecondsOption: TypeAlias = Annotated[
    float | None,
    typer.Option("--max-seconds", metavar="X", rich_help_panel=_BUDGET, help="Begin nothing new after so many seconds."),
]
KeepOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--keep",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help="Keep what the candidates found in this file, so that the same can be tuned again without asking Qdrant.",
    ),
]
OutOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        rich_help_panel=_OUTPUT,
        help="Write the strategy to use as JSON: the one recommended, or the baseline if that is to be kept.",
    ),
]
RowsOption: TypeAlias = Annotated[
    int, typer.Option("--rows", metavar="N", rich_help_panel=_OUTPUT, help="How many configurations to show.")
]
