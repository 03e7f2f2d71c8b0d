"""The models that options name (`qdrant_rerank.models.names`): what embeds documents and queries, and what reranks.

`index` notes in the collection's metadata which model fills which vector, so that `search` knows it. Servers keep metadata
since 1.16, and so does local mode.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from qdrant_client import QdrantClient

from .. import Executor, PayloadMapping, QdrantRerankError, Rerank, Strategy, StrategyError
from .._internals import OWN, READ, Content, OnError, QueryVector, TextSource, check_vector, engine_of, full_name, warn
from .._internals import VectorKind as Kind
from ..errors import QueryError
from ..expressions import parse_expression
from ..models import Encoder, Encoders, Reranker, encoder, reranker
from ..planning import Schema, read_schema
from .connect import CommandRetries
from .options import flags_of, option
from .output import CommandError
from .results import TEXT_KEYS, llama_index_text

FLAGS: Final[Mapping[Kind, str]] = {"dense": "--dense", "sparse": "--sparse", "multi": "--late"}
_EXAMPLES: Final[Mapping[Kind, str]] = {"dense": "minilm", "sparse": "bm25", "multi": "answerdotai/answerai-colbert-small-v1"}
_KEYS: Final = ("CO_API_KEY", "COHERE_API_KEY")
RERANKERS: Final = (
    "cohere:rerank-v3.5, minilm, fastembed:ORGANISATION/NAME, NAME@DIR for one in a folder, cross-encoder:DIR for one of your "
    "own, or python:MODULE:NAME for your code: a function of a query and texts, a reranker, or what makes one."
)


@dataclass(frozen=True)
class QueryModels:
    """What embeds the query."""

    panel: ClassVar = "What embeds the query (only where the collection doesn't remember it)"

    dense: str | None = option(
        "--dense MODEL",
        "For dense vectors: hash, minilm, an embedding model of fastembed, MODEL@DIR for one in a folder, server:MODEL, or "
        "python:MODULE:NAME for your own code in the current folder or installed, e.g. python:my_models:embed: a function of a "
        "text, an encoder, or what makes one.",
    )
    sparse: str | None = option(
        "--sparse MODEL", "For sparse vectors: bm25, a model of fastembed, MODEL@DIR, server:MODEL, or python:MODULE:NAME."
    )
    late: str | None = option(
        "--late MODEL",
        "For multivectors (late interaction): a model of fastembed, MODEL@DIR, server:MODEL, or python:MODULE:NAME.",
    )

    @property
    def by_kind(self) -> dict[Kind, str | None]:
        return {"dense": self.dense, "sparse": self.sparse, "multi": self.late}


def normalise(kind: Kind, text: str | None) -> str | None:
    """Write the model that an option names in the form that is remembered; None for `none`."""
    if text is None or text == "none":
        return None
    try:
        return full_name(text, kind)
    except StrategyError as error:
        raise CommandError(f"{FLAGS[kind]} {error}; none is for no such vector") from error


def load_encoder(
    kind: Kind, model: str, check: Callable[[QueryVector], object] = lambda vector: None, documents: bool = False
) -> Encoder:
    """Load the encoder of a normalised name, and try it, so that what can't be loaded fails before anything is made.

    `check` is given the vector that it made, and may raise. With `documents`, it is to read many of these.
    """
    name, at, folder = model.partition("@")
    is_own = _is_own(model)
    if at and not is_own and not Path(folder).is_dir():
        raise CommandError(f"the model {name} was in {folder}, which isn't there now: give {FLAGS[kind]} {name}@DIR")
    with _explain_load_errors(f"the model {model}", ""):  # a user's own code may raise anything
        made: Any = encoder(model, kind)
    if documents and hasattr(made, "for_documents"):
        made = made.for_documents()
    with _explain_load_errors(f"the model {model}", "" if at or is_own else f"{FLAGS[kind]} {model}@DIR"):
        check(made.encode_query("a short text"))
    found: Encoder = made
    return found


def _is_own(model: str) -> bool:
    """Whether a model is a name in the user's own code; then the current folder is importable, as it is for `python`."""
    is_own = model.startswith(OWN)
    if is_own and os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    return is_own


@contextmanager
def _explain_load_errors(what: str, remedy: str) -> Generator[None, None, None]:
    """Say in one sentence that a model can't be loaded, and which option would do without a network."""
    try:
        yield
    except QdrantRerankError:
        raise
    except Exception as error:  # whatever fastembed, onnxruntime and the hub's client raise
        hint = f"; without a network, give its files: {remedy}" if remedy else ""
        raise CommandError(f"{what} can't be loaded: {error}{hint}") from error


def check_embedder(client: QdrantClient, options: Mapping[Kind, str | None]) -> None:
    """Refuse `server:` models where there is no server."""
    for kind, text in options.items():
        if text is not None and text.startswith("server:") and engine_of(client) != "server":
            raise CommandError(f"{FLAGS[kind]} {text}: there is no server that could embed; that needs --url")


def give_encoders(
    executor: Executor,
    needs: Iterable[str],
    options: Mapping[Kind, str | None],
    policy: CommandRetries,
    is_for_all: bool = False,
) -> None:
    """Give the executor the encoders for these vectors alone, as loading a model takes seconds.

    The user is warned of an option for another kind of vectors, unless it `is_for_all` strategies of the command. It is no
    error, since people give all their commands the same models.
    """
    client, schema = executor.clients.sync(), executor.target().schema
    check_embedder(client, options)
    notes = read_notes(client, executor.collection, policy)
    encoders: dict[str, Encoder] = {}
    named = sorted(set(needs))
    idle = options.keys() - {schema.vectors[name].kind for name in named}
    if not is_for_all and (flags := [FLAGS[kind] for kind in FLAGS if kind in idle and options[kind] not in (None, "none")]):
        warn(f"{', '.join(flags)}: nothing here searches such a vector")
    for name in named:
        info = schema.vectors[name]
        asked = normalise(info.kind, options.get(info.kind))
        model = asked or _recall_model(name, info.kind, notes)
        if model is None:
            raise CommandError(
                f"the collection {schema.collection!r} doesn't say what made its vector {name!r} ({info}): give "
                f"{FLAGS[info.kind]} MODEL, the one that made it, as in {FLAGS[info.kind]} {_EXAMPLES[info.kind]}, or "
                "python:MODULE:NAME for one of your own; --using and --formula can search by other vectors"
            )
        try:
            encoders[name] = load_encoder(info.kind, model, partial(check_vector, name, info=info))
        except QueryError as error:
            raise CommandError(f"{FLAGS[info.kind]} {model} doesn't fit the collection: {error}") from error
        if asked is not None and name in notes and not _is_same(asked, notes[name]):
            warn(
                f"the vector {name!r} was filled by {notes[name]}, and {FLAGS[info.kind]} embeds the query with {asked}: "
                "vectors of two models can't be compared, unless it is the same model under another name; leave the option out"
            )
    executor.encoders = Encoders(encoders)


# What a collection remembers, in its metadata


@dataclass(frozen=True)
class VectorModel:
    """What fills a vector: the vector's kind, and the model's normalised name."""

    kind: Kind
    model: str


def read_notes(client: QdrantClient, collection: str, policy: CommandRetries) -> dict[str, str]:
    """Vector name → model, as `write_notes` left them; empty for collections that others made."""
    info = policy.rest.run(lambda: client.get_collection(collection))
    match getattr(info.config, "metadata", None):
        case {"qdrant_rerank": {"encoders": {**encoders}}}:
            return {str(name): str(model) for name, model in encoders.items()}
        case _:
            return {}


def _is_same(asked: str, noted: str) -> bool:
    """Whether both name the same model; one in a folder may have moved."""
    (name, folder, _), (noted_name, noted_folder, _) = asked.partition("@"), noted.partition("@")
    return asked == noted or (name == noted_name and bool(folder and noted_folder))


def _recall_model(vector: str, kind: Kind, notes: Mapping[str, str]) -> str | None:
    """The model that filled a vector. Code runs where an option names it, and never because a collection does."""
    model = notes.get(vector)
    if model is not None and model.startswith(OWN):
        raise CommandError(
            f"the vector {vector!r} was filled by {model}, code of somebody's own, which runs only where an option names it: "
            f"{FLAGS[kind]} {model}"
        )
    return model


def write_notes(client: QdrantClient, collection: str, models: Mapping[str, VectorModel], policy: CommandRetries) -> bool:
    """Note which model fills which vector; False where the collection doesn't remember (servers before 1.16)."""
    notes = read_notes(client, collection, policy) | {name: filled.model for name, filled in models.items()}
    policy.rest.run(lambda: client.update_collection(collection, metadata={"qdrant_rerank": {"encoders": notes}}))
    return read_notes(client, collection, policy) == notes


def choose_models(
    client: QdrantClient, collection: str, options: Mapping[Kind, str | None], policy: CommandRetries
) -> dict[str, VectorModel]:
    """Choose what fills which vector of a collection: as the options say, else as the collection remembers."""
    asked: dict[Kind, str | None] = {kind: normalise(kind, text) for kind, text in options.items()}
    check_embedder(client, options)
    if not policy.first.run(lambda: client.collection_exists(collection)):
        if options["sparse"] is None:
            asked["sparse"] = "bm25"
        if not (found := _by_default_name(asked)):
            raise CommandError("nothing to embed the documents with: give --dense, --sparse or --late a model")
        return found
    schema = policy.rest.run(lambda: read_schema(client, collection))
    notes = read_notes(client, collection, policy)
    found = {}
    for kind, model in asked.items():
        if options[kind] is None:
            remembered = {name: _recall_model(name, kind, notes) for name in schema.names(kind)}
            found |= {name: VectorModel(kind, model) for name, model in remembered.items() if model is not None}
        elif model is not None:
            found[_name_there(schema, kind, model)] = VectorModel(kind, model)
    _check_notes(collection, found, notes)
    if not found:
        raise CommandError(
            f"the collection {collection!r} doesn't say what filled its vectors ({schema.describe_vectors()}): give --dense, "
            "--sparse or --late the models"
        )
    return found


def choose_new_vectors(
    client: QdrantClient, collection: str, options: Mapping[Kind, str | None], policy: CommandRetries
) -> dict[str, VectorModel]:
    """Choose the vectors that the points of a collection are to get, by name: those that options name, or BM25.

    Raises CommandError where an option contradicts what a vector was filled with, or there is nothing to add.
    """
    asked: dict[Kind, str | None] = {kind: normalise(kind, text) for kind, text in options.items()}
    check_embedder(client, options)
    if not any(options.values()):
        asked["sparse"] = "bm25"
    if not (found := _by_default_name(asked)):
        raise CommandError("nothing to add: give --dense, --sparse or --late a model")
    there = policy.rest.run(lambda: read_schema(client, collection)).vectors
    notes = read_notes(client, collection, policy)
    _check_notes(collection, found, {name: model for name, model in notes.items() if name in there})
    return found


def _by_default_name(asked: Mapping[Kind, str | None]) -> dict[str, VectorModel]:
    """The models that are named, by what their vectors are called where nothing else says."""
    return {_default_name(kind, model): VectorModel(kind, model) for kind, model in asked.items() if model is not None}


def _check_notes(collection: str, wanted: Mapping[str, VectorModel], notes: Mapping[str, str]) -> None:
    for name, filled in wanted.items():
        if notes.get(name, filled.model) != filled.model:
            raise CommandError(
                f"the vector {name!r} of {collection!r} is for {notes[name]}; {FLAGS[filled.kind]} {filled.model} "
                "would mix two models, whose vectors can't be compared: leave the option out, or fill another collection"
            )


def _default_name(kind: Kind, model: str) -> str:
    return {"dense": "dense", "sparse": "bm25" if model == "bm25" else "sparse", "multi": "late"}[kind]


def _name_there(schema: Schema, kind: Kind, model: str) -> str:
    """The vector that a model fills in a collection that is there."""
    names = schema.names(kind)
    default = _default_name(kind, model)
    return names[0] if default not in names and len(names) == 1 else default


@dataclass(frozen=True)
class Reranking:
    """What a reranker does after the search."""

    panel: ClassVar = "A model that reads the candidates (after the search, outside Qdrant)"

    model: str | None = option(
        "--rerank MODEL",
        f"Rank the candidates anew by a model that reads their text: {RERANKERS} Cohere's key is read from the environment's "
        "CO_API_KEY or COHERE_API_KEY only.",
    )
    reads: int | None = option("--reads N", "How many candidates the model reads.", shows="50")
    blend: str | None = option(
        "--blend TEXT",
        "The final score: rerank_score() is the model's, score() the search's, e.g. "
        "\"0.9*sigmoid(rerank_score()) + 0.02*field('rating', 3)\".",
        shows="rerank_score()",
    )
    on_error: str | None = option(
        "--on-error raise|keep_order",
        "When the model fails: stop (raise), or show the results in the order of the search, with a warning (keep_order).",
        shows="raise",
    )
    text_keys: tuple[str, ...] = ()  # of the payload, with the text that the model reads

    def over(self, strategy: Strategy) -> Strategy:
        """The strategy, read by the model."""
        named = flags_of(self, "model")
        if strategy.cost.reads > 0:
            if self.model is None:
                raise CommandError("the strategy needs a reranker: name it, with --rerank MODEL")
            if named:
                raise CommandError(f"the strategy's file says how a model reranks, which excludes {', '.join(named)}")
            return strategy
        if self.model is None:
            if named:
                raise CommandError(f"{', '.join(named)}: nothing reranks, add --rerank MODEL, e.g. cohere:rerank-v3.5")
            return strategy
        if self.on_error not in (None, "raise", "keep_order"):
            raise CommandError(f"--on-error is raise or keep_order, got {self.on_error!r}")
        on_error: OnError = "keep_order" if self.on_error == "keep_order" else "raise"
        blend = None if self.blend is None else parse_expression(self.blend)
        return Rerank(reads=READ if self.reads is None else self.reads, on_error=on_error, blend=blend).over(strategy)


@contextmanager
def open_reranker(text: str | None) -> Generator[Reranker | None, None, None]:
    """Open the model that `--rerank` names, if any, and close its connections at the end; a local one is tried at once."""
    model = None if text is None else _load_reranker(text)
    try:
        yield model
    finally:
        close = getattr(model, "close", None)
        if close is not None:
            close()


def _load_reranker(text: str) -> Reranker:
    is_own = _is_own(text) or "@" in text or text.startswith("cross-encoder:")
    try:
        with _explain_load_errors(f"--rerank {text}: the model", ""):
            made = reranker(text)
    except StrategyError as error:
        raise CommandError(f"--rerank {error}") from error
    if text.startswith("cohere:"):  # nothing to load, and a try would be paid for
        if not any(os.environ.get(key) for key in _KEYS):
            raise CommandError(f"--rerank {text}: set the environment variable {' or '.join(_KEYS)} to your API key")
        return made
    with _explain_load_errors(f"--rerank {text}: the model", "" if is_own else f"--rerank {text}@DIR"):
        made.score("a short text", ["another"])
    return made


@dataclass(frozen=True)
class ShownText(PayloadMapping):
    """What a model reads of a result: the text of all keys, or of a node that LlamaIndex wrote."""

    @classmethod
    def of(cls, keys: Sequence[str]) -> ShownText:
        return cls(tuple(keys) or tuple(TEXT_KEYS.split(",")))

    @property
    def source(self) -> TextSource:
        return replace(super().source, nodes=True)

    def has_text(self, payload: Mapping[str, Any]) -> bool:
        return super().has_text(payload) or bool(llama_index_text(payload))

    def content(self, payload: Mapping[str, Any]) -> Content:
        return Content(self._text(payload) or llama_index_text(payload), {})
