"""The options of `index` alone: what is in the corpus, and what embeds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

__all__ = [
    "BatchOption",
    "DocumentTextOption",
    "DocumentsOption",
    "IdKeyOption",
    "IndexDenseOption",
    "IndexLateOption",
    "IndexSparseOption",
    "IndexStrategyOption",
    "NewCollectionOption",
    "OverwriteOption",
    "ShardKeyOption",
    "StrictOption",
]

_WHERE = "Where Qdrant is"
_CORPUS = "What is in the corpus"
_EMBEDS = "What embeds the documents"

NewCollectionOption: TypeAlias = Annotated[
    str, typer.Option("--collection", "-c", metavar="NAME", rich_help_panel=_WHERE, help="The collection to fill.")
]
IndexDenseOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--dense",
        metavar="MODEL",
        rich_help_panel=_EMBEDS,
        help="For the dense vector, named dense: an embedding model of fastembed, e.g. sentence-transformers/all-MiniLM-L6-v2; "
        "MODEL@DIR for one in a folder; hash, which matches spelling and not meaning, for trying things out; "
        "server:MODEL:SIZE if the server embeds; or none.",
        show_default="none",
    ),
]
IndexSparseOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--sparse",
        metavar="MODEL",
        rich_help_panel=_EMBEDS,
        help="For the sparse vector: bm25, computed here without any download, and its vector's name; a model of fastembed, "
        "MODEL@DIR, or server:MODEL, named sparse; or none.",
        show_default="bm25",
    ),
]
IndexLateOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--late",
        metavar="MODEL",
        rich_help_panel=_EMBEDS,
        help="For the multivector, named late, that search --rescore late uses: a late-interaction model of fastembed, e.g. "
        "answerdotai/answerai-colbert-small-v1, MODEL@DIR, server:MODEL:SIZE, or none.",
        show_default="none",
    ),
]
IndexStrategyOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--strategy",
        "-s",
        metavar="FILE",
        help="Check this strategy against the collection, and make the payload indexes that it reads.",
    ),
]
DocumentTextOption: TypeAlias = Annotated[
    str,
    typer.Option("--text-key", metavar="KEYS", rich_help_panel=_CORPUS, help="The keys whose texts, joined, are embedded."),
]
IdKeyOption: TypeAlias = Annotated[
    str, typer.Option("--id-key", metavar="KEY", rich_help_panel=_CORPUS, help="The key of the id: any text, or a number.")
]
BatchOption: TypeAlias = Annotated[
    int,
    typer.Option(
        "--batch-size", metavar="N", rich_help_panel=_CORPUS, help="How many documents are embedded and sent at a time."
    ),
]
DocumentsOption: TypeAlias = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", rich_help_panel=_CORPUS, help="Read only that many documents.", show_default="all"),
]
OverwriteOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        metavar="",
        rich_help_panel=_CORPUS,
        help="Write documents again that are there already, e.g. as texts or models have changed; else they are skipped.",
    ),
]
ShardKeyOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--shard-key", metavar="KEY", help="Of a custom-sharded collection, the shard that the documents go to."),
]
StrictOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--strict",
        metavar="",
        rich_help_panel=_CORPUS,
        help="Stop at the first bad line, instead of reporting and counting it.",
    ),
]
