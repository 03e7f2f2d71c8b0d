"""The options of `search` that say why results are where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = ["ExplainOption", "PictureOption", "WhyOption"]

_REASONS = "Why results are where they are (still one request)"

ExplainOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--explain",
        metavar="",
        rich_help_panel=_REASONS,
        help="Show for each result where each search found it, and what each term adds to its score.",
    ),
]
WhyOption: TypeAlias = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--why",
        metavar="ID ID",
        rich_help_panel=_REASONS,
        help="Show what puts the first of two results above the second: the differences of their terms, largest first.",
    ),
]
PictureOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--picture",
        metavar="FILE",
        rich_help_panel=_REASONS,
        help="Draw what each term adds to each result's score, as bars, into a .svg or .png file. Needs the extra learn.",
    ),
]
