"""`qdrant-rerank index`: a JSONL corpus into a collection, resumably."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import typer
from qdrant_client import QdrantClient
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from .. import Strategy, load
from .._internals import INGEST
from .._internals import VectorKind as Kind
from ..ingest import BadLine, IngestReport, ensure_collection, ingest, read_jsonl
from ..models import Encoder
from . import index_options as i
from . import options as o
from .connect import CommandRetries, Where, connected
from .failures import CommandError, errors_console, reported, results_console, resumable, visible
from .models import VectorModel, loaded, vector_models, write_notes
from .options import listed

__all__ = ["index", "show_progress"]

_BAD_LINES_SHOWN = 20


@reported
def index(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS.jsonl", help="The documents: one JSON object a line.")],
    edge: o.EdgeOption = None,
    path: o.PathOption = None,
    url: o.UrlOption = None,
    prefer_grpc: o.GrpcOption = False,
    grpc_port: o.GrpcPortOption = None,
    timeout: o.TimeoutOption = None,
    retries: o.WritingRetriesOption = None,
    collection: i.NewCollectionOption = "docs",
    dense: i.IndexDenseOption = None,
    sparse: i.IndexSparseOption = None,
    late: i.IndexLateOption = None,
    strategy: i.IndexStrategyOption = None,
    text_key: i.DocumentTextOption = "title,text",
    id_key: i.IdKeyOption = "_id",
    batch_size: i.BatchOption = 64,
    limit: i.DocumentsOption = None,
    strict: i.StrictOption = False,
    overwrite: i.OverwriteOption = False,
    shard_key: i.ShardKeyOption = None,
    debug: o.DebugOption = False,
) -> None:
    """Put documents into a collection, which is made if it isn't there.

    A line is a JSON object: its text under "title" and "text" (or --text-key), its id under "_id" (or --id-key), as in
    BEIR's corpora; all keys are kept as payload, for filters and formulas. Run the same command again to go on after
    an interruption: documents that are there already are skipped, unless --overwrite writes them again.

    Words only, and nothing to download; words and an embedding model that fastembed downloads; the same from a folder:

    $ qdrant-rerank index corpus.jsonl --edge ./db

    $ qdrant-rerank index corpus.jsonl --edge ./db --dense sentence-transformers/all-MiniLM-L6-v2

    $ qdrant-rerank index corpus.jsonl --edge ./db --dense sentence-transformers/all-MiniLM-L6-v2@./models/minilm

    On a server (its API key in the environment's QDRANT_API_KEY), with the payload indexes that a formula reads fast:

    $ qdrant-rerank index corpus.jsonl --url http://localhost:6333 --collection docs --strategy strategy.json
    """
    ranked_by = None if strategy is None else load(strategy)
    if not corpus.is_file():
        raise CommandError(f"there is no file {corpus}")
    where = Where(path, url, prefer_grpc, edge, grpc_port, timeout).settled()
    options: dict[Kind, str | None] = {"dense": dense, "sparse": sparse, "multi": late}
    policy = CommandRetries.of(retries, INGEST)
    with connected(where, create=True) as client:
        models = vector_models(client, collection, options, policy)
        filling = _Filling(
            client, collection, models, corpus, listed(text_key), id_key, batch_size, limit, policy, overwrite, shard_key
        )
        done = filling.prepare(ranked_by)
        with resumable(None, "", "what is stored stays: the same command goes on from there"):
            report, bad = filling.fill(strict)
        points = policy.rest.run(lambda: client.count(collection)).count
    if bad and not report.written + report.skipped:
        raise CommandError(f'no line of {corpus} holds a document; a line looks like {{"_id": "d1", "text": "…"}}')
    _print_report(collection, report, bad, points, done)
    _print_next(where, collection, models)


@dataclass(frozen=True)
class _Filling:
    """One run of `index`: which documents go where, embedded by what."""

    client: QdrantClient
    collection: str
    models: Mapping[str, VectorModel]
    corpus: Path
    text_keys: Sequence[str]
    id_key: str
    batch_size: int
    limit: int | None
    policy: CommandRetries
    overwrite: bool = False
    shard_key: str | None = None

    @cached_property
    def encoders(self) -> dict[str, Encoder]:
        """An encoder for each vector."""
        return {name: loaded(filled.kind, filled.model) for name, filled in self.models.items()}

    def prepare(self, ranked_by: Strategy | None) -> list[str]:
        """Make the collection and have it remember its models; what was done, in sentences."""
        # made again as a whole: it looks what is there first
        done = self.policy.rest.run(lambda: ensure_collection(self.client, self.collection, self.encoders, strategy=ranked_by))
        if not write_notes(self.client, self.collection, self.models, self.policy):
            done.append("this server is too old to remember the models: give --dense, --sparse and --late to search, too")
        return done

    def fill(self, strict: bool) -> tuple[IngestReport, int]:
        """Store the documents; the report, and how many lines were bad."""
        bad = _BadLines()
        documents = read_jsonl(
            self.corpus, text_keys=self.text_keys, id_key=self.id_key, on_bad=None if strict else bad, limit=self.limit
        )
        with show_progress(self.corpus.name, self._expected()) as show:
            report = ingest(
                self.client,
                self.collection,
                documents,
                self.encoders,
                batch_size=self.batch_size,
                resume=not self.overwrite,
                retries=self.policy.rest,
                shard_key=self.shard_key,
                on_progress=lambda written, skipped: show(written + skipped + bad.count),
            )
        bad.finish()
        return report, bad.count

    def _expected(self) -> int | None:
        """How many documents there will be; None if that takes unpacking the file."""
        if self.corpus.suffix == ".gz":
            return self.limit
        with self.corpus.open("rb") as file:
            lines = sum(1 for line in file if line.strip())
        return lines if self.limit is None else min(lines, self.limit)


class _BadLines:
    """Prints bad lines as they come; from the twenty-first on it only counts."""

    def __init__(self) -> None:
        self.count = 0
        self._console = errors_console()

    def __call__(self, line: BadLine) -> None:
        self.count += 1
        if self.count <= _BAD_LINES_SHOWN:
            self._console.print(Text(str(line), "yellow"))

    def finish(self) -> None:
        if self.count > _BAD_LINES_SHOWN:
            self._console.print(Text(f"… and {self.count - _BAD_LINES_SHOWN} more bad lines", "yellow"))


@contextmanager
def show_progress(name: str, total: int | None) -> Generator[Callable[[int], None], None, None]:
    """A progress bar, and what sets it; nothing at all where nobody watches."""
    console = errors_console()
    if not console.is_terminal:
        yield lambda done: None
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(visible(name), total=total)
        yield lambda done: bar.update(task, completed=done)


def _print_report(collection: str, report: IngestReport, bad: int, points: int, done: Sequence[str]) -> None:
    console = results_console()
    for sentence in done:
        console.print(Text(sentence, "dim"))
    rate = report.written / report.seconds if report.seconds else 0.0
    speed = f", {rate:.0f} a second" if rate >= 10 else f", {rate:.2g} a second" if rate else ""
    console.print(
        Text.assemble(
            (f"{report.written} documents written", "bold green" if report.written else "bold"),
            f" in {report.seconds:.1f} s{speed}; {report.skipped} were there already; ",
            (f"{bad} bad lines skipped", "bold yellow" if bad else ""),
        )
    )
    console.print(f"{collection!r} now has {points} documents")


def _print_next(where: Where, collection: str, models: Mapping[str, VectorModel]) -> None:
    hybrid = ["--hybrid"] if {filled.kind for filled in models.values()} >= {"dense", "sparse"} else []
    command = shlex.join(["qdrant-rerank", "search", "...", *where.options(), "--collection", collection, *hybrid])
    results_console().print(Text.assemble(("search it: ", "dim"), command), soft_wrap=True)
