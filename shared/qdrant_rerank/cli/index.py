"""`index`: a JSONL corpus into a collection, resumably; `add-vectors`: more vectors for its points; `schema`: their payload."""

from __future__ import annotations

import json as jsonlib
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer
from rich.text import Text

from .. import Strategy, load
from .._internals import OWN
from ..ingest import BadLine, IngestReport, add_vectors, ensure_collection, ensure_indexes, ingest, read_jsonl
from ..planning import PayloadSchema, payload_schema
from .connect import Where, WhereToWrite, connect, find_collection
from .models import FLAGS, QueryModels, ShownText, VectorModel, choose_models, choose_new_vectors, load_encoder, write_notes
from .options import JSON, ResultOptions, argument, command, flags_of, option, parse_filter, refuse_unused, split_list, without
from .output import CommandError, errors_console, hint_at_resuming, make_table, results_console, show_progress, show_table
from .results import TEXT_KEYS

_BAD_LINES_SHOWN = 20


@dataclass(frozen=True)
class WhereToIndex(WhereToWrite):
    """A Qdrant, and the collection to fill."""

    collection: str = option("--collection -c NAME", "The collection to fill.", "docs")


@dataclass(frozen=True)
class DocumentModels(QueryModels):
    """What embeds the documents."""

    panel: ClassVar = "What embeds the documents"

    dense: str | None = option(
        "--dense MODEL",
        "For the dense vector, named dense: minilm, or another embedding model of fastembed by its name there; "
        "MODEL@DIR for one in a folder; hash, which matches spelling and not meaning, for trying things out; "
        "server:MODEL:SIZE if the server embeds; "
        "python:MODULE:NAME for your own code in the current folder or installed, e.g. python:my_models:embed, a function of a "
        "text, an encoder, or what makes one; or none.",
        shows="none",
    )
    sparse: str | None = option(
        "--sparse MODEL",
        "For the sparse vector: bm25, computed here without any download, and its vector's name; a model of fastembed, "
        "MODEL@DIR, server:MODEL, or python:MODULE:NAME, named sparse; or none.",
        shows="bm25",
    )
    late: str | None = option(
        "--late MODEL",
        "For the multivector, named late, that search --rescore late uses: a late-interaction model of fastembed, e.g. "
        "answerdotai/answerai-colbert-small-v1, MODEL@DIR, server:MODEL:SIZE, python:MODULE:NAME, or none.",
        shows="none",
    )


@dataclass(frozen=True)
class _Corpus:
    """How the corpus is read and written."""

    panel: ClassVar = "What is in the corpus"

    text_key: str = option("--text-key KEYS", "The keys whose texts, joined, are embedded.", "title,text")
    id_key: str = option("--id-key KEY", "The key of the id: any text, or a number.", "_id")
    batch_size: int = option("--batch-size N", "How many documents are embedded and sent at a time.", 64)
    limit: int | None = option("--limit N", "Read only that many documents.", shows="all")
    strict: bool = option("--strict", "Stop at the first bad line, instead of reporting and counting it.", False)
    overwrite: bool = option(
        "--overwrite",
        "Write documents again that are there already, e.g. as texts or models have changed; else they are skipped.",
        False,
    )
    shard_key: str | None = option("--shard-key KEY", "Of a custom-sharded collection, the shard that the documents go to.")


@command
def run_index(
    *,
    corpus: Path | None = argument(
        "[CORPUS.jsonl]", "The documents: one JSON object a line. Without it, --strategy makes its payload indexes alone.", None
    ),
    where: WhereToIndex,
    models: DocumentModels,
    strategy: Path | None = option(
        "--strategy -s FILE", "Check this strategy against the collection, and make the payload indexes that it reads."
    ),
    reading: _Corpus,
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

    Those indexes alone, for a collection that is there, whoever filled it:

    $ qdrant-rerank index --url http://localhost:6333 --collection docs --strategy strategy.json
    """
    ranked_by = None if strategy is None else load(strategy)
    if corpus is None:
        _make_indexes(where, ranked_by, [*flags_of(models), *flags_of(reading)])
        return
    if not corpus.is_file():
        raise CommandError(f"there is no file {corpus}")
    policy, collection, bad = where.policy, where.collection, _BadLines()
    with connect(where, create=True) as client:
        chosen = choose_models(client, collection, models.by_kind, policy)
        encoders = {name: load_encoder(filled.kind, filled.model, documents=True) for name, filled in chosen.items()}
        # made again as a whole: it looks what is there first
        done = policy.rest.run(lambda: ensure_collection(client, collection, encoders, strategy=ranked_by))
        if not write_notes(client, collection, chosen, policy):
            done.append("this server is too old to remember the models: give --dense, --sparse and --late to search, too")
        documents = read_jsonl(
            corpus,
            text_keys=split_list(reading.text_key),
            id_key=reading.id_key,
            on_bad=None if reading.strict else bad,
            limit=reading.limit,
        )
        stored = Counter[str]()
        with (
            hint_at_resuming(stored=stored),
            show_progress(corpus.name, _count_lines(corpus, reading.limit)) as tell,
        ):

            def note(written: int, skipped: int) -> None:
                stored["documents"] = written + skipped
                tell(written + skipped + bad.count)

            report = ingest(
                client,
                collection,
                documents,
                encoders,
                batch_size=reading.batch_size,
                resume=not reading.overwrite,
                retries=policy.rest,
                shard_key=reading.shard_key,
                on_progress=note,
            )
        bad.finish()
        points = policy.rest.run(lambda: client.count(collection)).count
    if bad.count and not report.written + report.skipped:
        raise CommandError(f'no line of {corpus} holds a document; a line looks like {{"_id": "d1", "text": "…"}}')
    _print_report(collection, report, bad.count, points, done)
    _print_next(where, collection, chosen)


def _make_indexes(where: WhereToIndex, strategy: Strategy | None, for_documents: list[str]) -> None:
    if strategy is None:
        raise CommandError("what is to be stored? Give CORPUS.jsonl, or --strategy FILE for its payload indexes alone")
    refuse_unused(for_documents, "without CORPUS.jsonl no document is read, and --strategy makes its payload indexes alone")
    policy = where.policy
    with connect(where) as client:
        collection = find_collection(client, where.collection, policy)
        done = policy.rest.run(lambda: ensure_indexes(client, collection, strategy))
    for sentence in done or ["there is nothing to do: the strategy reads no key that lacks an index"]:
        results_console().print(Text(sentence))


def _count_lines(corpus: Path, limit: int | None) -> int | None:
    """Count the documents; None where that takes unpacking the file."""
    if corpus.suffix == ".gz":
        return limit
    with corpus.open("rb") as file:
        lines = sum(1 for line in file if line.strip())
    return lines if limit is None else min(lines, limit)


class _BadLines:
    """Prints the first twenty bad lines as they come, and counts all."""

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


def _print_next(where: WhereToWrite, collection: str, models: Mapping[str, VectorModel]) -> None:
    hybrid = ["--hybrid"] if {filled.kind for filled in models.values()} >= {"dense", "sparse"} else []
    own = [part for each in models.values() if each.model.startswith(OWN) for part in (FLAGS[each.kind], each.model)]
    options = [*where.settle().options(), "--collection", collection, *hybrid, *own]
    command = shlex.join(["qdrant-rerank", "search", "...", *options])
    results_console().print(Text.assemble(("search it: ", "dim"), command), soft_wrap=True)


@command
def run_add_vectors(
    *,
    where: WhereToWrite,
    models: DocumentModels,
    text_key: str = option("--text-key KEYS", "The payload keys whose texts, joined, are embedded.", TEXT_KEYS),
    batch_size: int = option("--batch-size N", "How many points are embedded and sent at a time.", 64),
) -> None:
    """Give the points of a collection that is there further vectors, e.g. for keyword search.

    Nothing is copied: payload and other vectors stay as they are, and searches go on meanwhile. The text is read of the
    payload, as LangChain, LlamaIndex or `index` wrote it. Points that have a vector of the name keep it, so that the same
    command goes on after an interruption, and fills in what documents lack that others have written since. Servers can do
    that from 1.18 on.

    $ qdrant-rerank add-vectors --url http://localhost:6333 -c docs

    $ qdrant-rerank add-vectors --edge ./db --text-key text
    """
    policy = where.policy
    with connect(where) as client:
        collection = find_collection(client, where.collection, policy)
        chosen = choose_new_vectors(client, collection, models.by_kind, policy)
        encoders = {name: load_encoder(filled.kind, filled.model, documents=True) for name, filled in chosen.items()}
        # now, so that a run that breaks off goes on with the same model
        remembered = write_notes(client, collection, chosen, policy)
        points = policy.rest.run(lambda: client.count(collection)).count
        stored = Counter[str]()
        with hint_at_resuming(stored=stored), show_progress(collection, points * len(encoders)) as tell:

            def note(name: str, written: int) -> None:
                stored[name] = written
                tell(stored.total())

            report = add_vectors(
                client,
                collection,
                encoders,
                payload=ShownText.of(split_list(text_key)),
                batch_size=batch_size,
                on_progress=note,
                retries=policy.rest,
            )
    console = results_console()
    for sentence in report.done:
        console.print(Text(sentence, "dim"))
    for name, written in report.written.items():
        is_news = written or report.empty
        said = f"{written:,} points got the vector {name!r}" if is_news else f"no point lacks the vector {name!r}"
        console.print(Text(said, "bold green" if written else "bold"))
    if report.empty:
        some = f"{len(report.empty)} points have no text, or only words that are dropped, e.g. {report.empty[0]!r}"
        console.print(Text(some, "yellow"))
    if not remembered:
        console.print(Text("this server doesn't remember the models: give --dense, --sparse and --late to search, too", "dim"))


@command
def run_schema(
    *,
    where: Where,
    selection: Annotated[ResultOptions, without("k", "score_threshold", "group_by")],
    json: bool = JSON,
) -> None:
    """Show which payload keys the points have: types, how many points have them, indexes, ranges, frequent values.

    It looks at 200 random points, and asks payload indexes for the counts of values. Values that are long, or look like a
    secret or an address, are not shown. Of fewer than 20 points it says nothing.

    $ qdrant-rerank schema --edge ./db

    $ qdrant-rerank schema --url http://localhost:6333 -c docs --filter '{"must": [{"key": "tenant", "match": {"value": "A"}}]}'
    """
    filter, policy = parse_filter(selection.filter), where.policy
    with connect(where) as client:
        name = find_collection(client, where.collection, policy)
        found = policy.rest.run(lambda: payload_schema(client, name, filter=filter))
    if json:
        typer.echo(jsonlib.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _print_schema(found)


def _print_schema(found: PayloadSchema) -> None:
    console = results_console()
    if not found.points:
        console.print(str(found))
        return
    console.print(f"{found.collection!r}: {found.points} random points were looked at", style="dim")
    table = make_table("key", "type", "points", "index", "values", text=5)
    for each in found.keys:
        types = " | ".join(each.types) or "–"
        kind = f"[{types}]" if each.is_array else types
        cells = each.key, kind, f"{each.share:.0%}", each.index or "–", each.describe_values()
        table.add_row(*map(Text, cells))
    show_table(console, table)
