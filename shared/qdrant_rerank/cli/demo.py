"""`qdrant-rerank demo`: the strategies side by side on a small travel guide that comes with the package."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from qdrant_client import QdrantClient
from rich.console import Console
from rich.text import Text

from ..clients import engine_of
from ..demo.opening import closing, opening
from ..demo.run import Demo
from . import options as o
from .connect import Where, connected
from .consoles import results_console
from .encoders import loaded, normalised
from .failures import CommandError, reported
from .notes import vector_models, write_notes

__all__ = ["demo"]

_TRAINED: Final = "sentence-transformers/all-MiniLM-L6-v2"
_KEPT: Final = "orvena"


@reported
def demo(
    query: Annotated[
        str | None, typer.Option("--query", "-q", metavar="TEXT", help="Ask this instead of the demo's own questions.")
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            "--models",
            metavar="hash|fastembed|MODEL",
            help=f"What makes the dense vectors: hash matches spelling and needs no download; fastembed is {_TRAINED}, "
            "downloaded at first use; or any other model of fastembed, MODEL@DIR for one in a folder.",
        ),
    ] = "hash",
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Run on this server, in a collection that is removed at the end; API key from the environment's "
            "QDRANT_API_KEY.",
            show_default="in this process, in memory",
        ),
    ] = None,
    prefer_grpc: o.GrpcOption = False,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the collection in this folder, to search it afterwards.")
    ] = None,
    debug: o.DebugOption = False,
) -> None:
    """See what each strategy changes: plain search, hybrid, formula and MMR, side by side, with what they cost.

    The documents are an invented travel guide of 97 entries, the questions 38 with judgments. It takes a few seconds,
    needs no server, and downloads nothing.

    $ qdrant-rerank demo

    $ qdrant-rerank demo --query "a quiet bed for the night, and breakfast" --models fastembed

    $ qdrant-rerank demo --url http://localhost:6333
    """
    if keep is not None and url is not None:
        raise CommandError("--keep is for a folder on disk; the collection on a server is removed at the end")
    model = normalised("dense", _TRAINED if models == "fastembed" else models)
    if model is None:
        raise CommandError("--models none: the demo needs dense vectors; hash needs no download")
    console = results_console()
    with _collection(url, prefer_grpc, keep) as (client, collection):
        filled = vector_models(client, collection, {"dense": model, "sparse": "bm25", "multi": None})
        encoders = {name: loaded(each.kind, each.model) for name, each in filled.items()}
        shown = Demo(client, collection, encoders, console)
        with console.status("indexing"):
            seconds = shown.fill()
            write_notes(client, collection, filled)
        console.print(opening(model, _described(url, keep), seconds))
        if query is None:
            shown.show_all()
            console.print(closing(is_local=engine_of(client) == "local"))
        else:
            shown.show_one(query)
        if keep is not None:
            _print_kept(console, keep)


@contextmanager
def _collection(url: str | None, prefer_grpc: bool, keep: Path | None) -> Generator[tuple[QdrantClient, str], None, None]:
    """Where the demo takes place; gone at the end unless it is kept."""
    if url is None and keep is None:
        if prefer_grpc:
            raise CommandError("--prefer-grpc needs --url")
        client = QdrantClient(":memory:")
        yield client, _KEPT
        client.close()
        return
    with connected(Where(keep, url, prefer_grpc).settled(), create=True) as client:
        if keep is not None:
            yield client, _KEPT
            return
        name = f"qdrant-rerank-demo-{uuid.uuid4().hex[:8]}"
        try:
            yield client, name
        finally:
            client.delete_collection(name)


def _described(url: str | None, keep: Path | None) -> str:
    if url is not None:
        return f"the Qdrant server at {Where(url=url).shown_url}"
    return "qdrant-client's local mode, in " + ("memory" if keep is None else str(keep))


def _print_kept(console: Console, keep: Path) -> None:
    command = shlex.join(["qdrant-rerank", "search", "market day", "--path", str(keep), "--hybrid"])
    console.print(Text.assemble(("kept; search it: ", "dim"), command), soft_wrap=True)
