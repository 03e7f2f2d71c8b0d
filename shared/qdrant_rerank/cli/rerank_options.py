"""The options of `search` that have a model read the candidates."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = ["BlendOption", "OnErrorOption", "RerankLimitOption", "RerankOption"]

_READ = "A model that reads the candidates (after the search, outside Qdrant)"

RerankOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        metavar="MODEL",
        rich_help_panel=_READ,
        help="Rank the candidates anew by a model that reads their text: cohere:rerank-v3.5 (its key is read from the "
        "environment's CO_API_KEY only), a cross-encoder of fastembed, fastembed:ORGANISATION/NAME, NAME@DIR for one in a "
        "folder, or cross-encoder:DIR for one of your own.",
    ),
]
RerankLimitOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--rerank-limit", metavar="N", rich_help_panel=_READ, help="How many candidates the model reads.", show_default="50"
    ),
]
BlendOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--blend",
        metavar="TEXT",
        rich_help_panel=_READ,
        help="The final score: rerank_score() is the model's, score() the search's, e.g. "
        "\"0.9*sigmoid(rerank_score()) + 0.02*field('rating', 3)\".",
        show_default="rerank_score()",
    ),
]
OnErrorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--on-error",
        metavar="raise|keep_order",
        rich_help_panel=_READ,
        help="When the model fails: stop (raise), or show the results in the order of the search, with a warning (keep_order).",
        show_default="raise",
    ),
]
