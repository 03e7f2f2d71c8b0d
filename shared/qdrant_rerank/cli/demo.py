"""`qdrant-rerank demo`: the strategies side by side on a small travel guide that comes with the package."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

from qdrant_client import QdrantClient
from rich.console import Console
from rich.text import Text

from .._internals import engine_of
from ..demo import Demo, describe_limits, describe_setup
from .connect import CommandRetries, Where, WhereToWrite, connect, has_edge, writer_of
from .models import choose_models, load_encoder, normalise, write_notes
from .options import check_folder, command, flags_of, option, refuse_unused, without
from .output import CommandError, results_console

_TRAINED: Final = "sentence-transformers/all-MiniLM-L6-v2"
_KEPT: Final = "orvena"


@dataclass(frozen=True)
class _Server(WhereToWrite):
    url: str | None = option(
        "--url URL",
        "Run on this server, in a collection that is removed at the end; API key from the environment's QDRANT_API_KEY.",
        shows="in this process, by qdrant-edge if that is installed, else by qdrant-client's local mode",
    )


@command
def run_demo(
    *,
    query: str | None = option("--query -q TEXT", "Ask this instead of the demo's own questions."),
    models: str = option(
        "--models hash|fastembed|MODEL",
        f"What makes the dense vectors: hash matches spelling and needs no download; fastembed is {_TRAINED}, downloaded at "
        "first use; or any other model of fastembed, MODEL@DIR for one in a folder.",
        "hash",
    ),
    keep: Path | None = option("--keep DIR", "Keep the collection in this folder, to search it afterwards."),
    server: Annotated[_Server, without("edge", "path", "collection")],
) -> None:
    """See what each strategy changes: plain search, hybrid, formula and MMR, side by side, with what they cost.

    The documents are an invented travel guide of 97 entries, the questions 38 with judgments. It takes a few seconds,
    needs no server, and downloads nothing.

    $ qdrant-rerank demo

    $ qdrant-rerank demo --query "a quiet bed for the night, and breakfast" --models fastembed

    $ qdrant-rerank demo --url http://localhost:6333
    """
    if server.url is None:
        refuse_unused(flags_of(server), "that is for a server: add --url URL")
    elif keep is not None:
        raise CommandError("--keep is for a folder on disk; the collection on a server is removed at the end")
    check_folder("--keep", keep)
    model = normalise("dense", _TRAINED if models == "fastembed" else models)
    if model is None:
        raise CommandError("--models none: the demo needs dense vectors; hash needs no download")
    console, policy = results_console(), server.policy
    with _collection(server, keep, policy) as (client, collection):
        filled = choose_models(client, collection, {"dense": model, "sparse": "bm25", "multi": None}, policy)
        encoders = {name: load_encoder(each.kind, each.model) for name, each in filled.items()}
        shown = Demo(client, collection, encoders, console, policy.rest)
        with console.status("indexing"):
            seconds = shown.fill()
            write_notes(client, collection, filled, policy)
        console.print(describe_setup(model, _describe_place(client, server.url, keep), seconds))
        if query is None:
            shown.show_all()
            console.print(describe_limits(engine_of(client)))
        else:
            shown.show_one(query)
        if keep is not None:
            _print_kept(console, _choose_folder(keep))


@contextmanager
def _collection(server: _Server, keep: Path | None, policy: CommandRetries) -> Generator[tuple[QdrantClient, str], None, None]:
    """The demo's collection, in qdrant-edge if that is installed; deleted at the end unless it is kept."""
    if keep is not None:
        folder = _choose_folder(keep)
        with connect(replace(server, path=folder.path, edge=folder.edge), create=True) as client:
            yield client, _KEPT
    elif server.url is not None:
        name = f"qdrant-rerank-demo-{uuid.uuid4().hex[:8]}"
        with connect(server) as client:
            try:
                yield client, name
            finally:
                policy.rest.run(lambda: client.delete_collection(name))
    elif has_edge():
        with TemporaryDirectory(prefix="qdrant-rerank-demo-") as place, connect(Where(edge=Path(place)), create=True) as client:
            yield client, _KEPT
    else:
        with closing(QdrantClient(":memory:")) as client:
            yield client, _KEPT


def _choose_folder(folder: Path) -> Where:
    """The folder, for the engine that filled it; a new one for qdrant-edge if that is installed."""
    filled = writer_of(folder)
    is_edge = has_edge() if filled is None else filled == "edge"
    return Where(edge=folder) if is_edge else Where(path=folder)


def _describe_place(client: QdrantClient, url: str | None, keep: Path | None) -> str:
    if url is not None:
        return f"the Qdrant server at {Where(url=url).shown_url}"
    if engine_of(client) == "edge":
        return f"qdrant-edge, Qdrant's Rust engine in this process, in {'a temporary folder' if keep is None else keep}"
    return f"qdrant-client's local mode, in {'memory' if keep is None else keep}"


def _print_kept(console: Console, where: Where) -> None:
    command = shlex.join(["qdrant-rerank", "search", "market day", *where.options(), "--hybrid"])
    console.print(Text.assemble(("kept; search it: ", "dim"), command), soft_wrap=True)
