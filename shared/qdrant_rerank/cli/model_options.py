"""Options for what embeds the query, where the collection doesn't remember it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

__all__ = [
    "DenseOption",
    "LateOption",
    "SparseOption",
]

_MODELS = "What embeds the query (only where the collection doesn't remember it)"

DenseOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dense",
        metavar="MODEL",
        rich_help_panel=_MODELS,
        help="For dense vectors: hash, an embedding model of fastembed, MODEL@DIR for one in a folder, or server:MODEL.",
    ),
]
SparseOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--sparse",
        metavar="MODEL",
        rich_help_panel=_MODELS,
        help="For sparse vectors: bm25, a model of fastembed, MODEL@DIR, or server:MODEL.",
    ),
]
LateOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--late",
        metavar="MODEL",
        rich_help_panel=_MODELS,
        help="For multivectors (late interaction): a model of fastembed, MODEL@DIR, or server:MODEL.",
    ),
]
