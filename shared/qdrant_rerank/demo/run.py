"""The demo from start to end, on any Qdrant: fill a collection, ask and measure, show."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median
from typing import Final

from qdrant_client import QdrantClient, models
from rich import box
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from .. import Executor, Query, Retries, SearchOptions
from .._internals import Engine, Points, Search, Vectors
from ..evaluate._internals import with_stable_ties
from ..ingest import ensure_collection, ingest, read_jsonl
from ..models import Encoder, Encoders
from .guide import BM25, CANDIDATES_CODE, CORPUS, FORMULA, HYBRID, LINEUP, PLAIN, SHOWN, TODAY, Entry, Question, questions

DEPTH: Final = 10
"""How many results are judged: nDCG@10."""


class CountingExecutor(Executor):
    """An executor that counts what it is asked for: the demo shows what happened, not what is promised."""

    def reset(self) -> None:
        """Start counting from nothing."""
        self.requests = self.embeddings = self.reads = 0

    def embed(self, texts: Sequence[str], using: frozenset[str]) -> list[Vectors]:
        self.embeddings += len(texts) * len(using)
        return super().embed(texts, using)

    def search(self, step: Search) -> list[Points]:
        self.requests += 1
        return super().search(step)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.reads += len(texts)
        return super().score(query, texts)


@dataclass(frozen=True)
class DemoOutcome:
    """What one strategy made of one question: the best 10 points, nDCG@10 if it was judged, and what a query took.

    The time is the median, embedding included; `embeddings` are vectors, `reads` texts that a reranker read.
    """

    points: Points
    milliseconds: float
    requests: int
    embeddings: int
    reads: int
    ndcg: float | None

    @property
    def documents(self) -> list[str]:
        """The documents' ids in the data, best first."""
        return documents(self.points)


def documents(points: Points) -> list[str]:
    """The ids in the data of the documents that were found."""
    return [str((point.payload or {})["_id"]) for point in points]


def ask(executor: CountingExecutor, entry: Entry, question: Question, runs: int) -> DemoOutcome:
    """Ask `question` by the strategy `entry`, `runs` times."""
    query = Query(question.text, params=entry.params, now=TODAY)
    options = with_stable_ties(entry.strategy, SearchOptions(limit=DEPTH, with_payload=["_id", "title"]))
    executor.plan(entry.strategy, options)  # checked once for each collection, not for each query
    executor.reset()
    points: Points = []
    times: list[float] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="more than .* have the same score")  # of texts without a word of the query
        for _ in range(runs):
            start = time.perf_counter()
            points = executor.retrieve(entry.strategy, query, options)
            times.append(1000 * (time.perf_counter() - start))
    return DemoOutcome(
        points=points,
        milliseconds=median(times),
        requests=executor.requests // runs,
        embeddings=executor.embeddings // runs,
        reads=executor.reads // runs,
        ndcg=measure_ndcg(documents(points), question.judgments) if question.judgments else None,
    )


def measure_ndcg(ranking: Sequence[str], judgments: Mapping[str, int]) -> float:
    """Normalised discounted cumulative gain of the first ten documents, between 0 and 1.

    The sum of grade / log2(rank + 1), over the same sum for the best possible ranking: Järvelin and Kekäläinen,
    "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20 (2002), with the discount of trec_eval.
    """
    gained = sum(judgments.get(document, 0) / math.log2(rank + 1) for rank, document in enumerate(ranking[:DEPTH], 1))
    best = sorted(judgments.values(), reverse=True)[:DEPTH]
    return gained / sum(grade / math.log2(rank + 1) for rank, grade in enumerate(best, 1))


_CHOSEN: Final = {
    "q17": "The guide has two answers: one is outdated, the other current.",
    "q28": "The best answer says pram where the question says buggy.",
    "q38": "A broad question: eleven entries answer it, well or in part.",
}
_RUNS: Final = 5


@dataclass(frozen=True)
class Demo:
    """One run of the demo: the collection is made, or found and filled up, and the encoders are for `dense` and `bm25`."""

    client: QdrantClient
    collection: str
    encoders: Mapping[str, Encoder]
    console: Console
    retries: Retries

    def fill(self) -> float:
        """Make the collection and put the guide into it; the seconds that it took."""
        start = time.perf_counter()
        self.retries.run(  # as a whole: it looks what is there first
            lambda: ensure_collection(self.client, self.collection, self.encoders, strategy=FORMULA.strategy)
        )
        ingest(self.client, self.collection, read_jsonl(CORPUS), self.encoders, retries=self.retries)
        return time.perf_counter() - start

    def show_all(self) -> None:
        """Show the strategies, three questions side by side, and how each strategy did on all questions."""
        asked = questions()
        self.console.print(lineup())
        self.console.print(legend(is_judged=True))
        for question in asked:
            if question.id in _CHOSEN:
                self._show(question, _CHOSEN[question.id])
        self.console.print()
        with self.console.status(f"asking {len(asked)} questions in {len(LINEUP)} ways"):
            outcomes = [self._outcomes(question, LINEUP, runs=1) for question in asked]
        self.console.print(summary(outcomes, self.console.width))

    def show_one(self, text: str) -> None:
        """Show a question of the user's own, which nobody judged."""
        self.console.print(lineup())
        self.console.print(legend(is_judged=False))
        self._show(Question(text))

    def _show(self, question: Question, why: str = "") -> None:
        outcomes = self._outcomes(question, SHOWN, _RUNS)
        self.console.print()
        self.console.print(side_by_side(question, why, outcomes, self.console.width))

    def _outcomes(self, question: Question, entries: Sequence[Entry], runs: int) -> dict[str, DemoOutcome]:
        return {entry.name: ask(self._executor, entry, question, runs) for entry in entries}

    @cached_property
    def _executor(self) -> CountingExecutor:
        return CountingExecutor(self.client, self.collection, encoders=Encoders(self.encoders), retries=self.retries)


# What is printed


Outcomes = Mapping[str, DemoOutcome]  # by the strategy's name

_SHOWN_RESULTS: Final = 5
_WIDE: Final = 180  # columns from which on four lists fit beside each other
_NARROW: Final = 72  # columns from which on two do, and all of the summary's figures
_GRADES: Final = {2: ("●●", "bold green"), 1: ("● ", "green"), 0: ("○ ", "dim")}


def lineup() -> Group:
    """The strategies, with the code for each."""
    parts: list[RenderableType] = [
        Rule("the strategies, as one writes them", align="left", style="cyan"),
        _code(CANDIDATES_CODE),
    ]
    for entry in SHOWN:
        parts += [Text(), Text.assemble((entry.name, "bold"), (f"  {entry.says}", "dim")), _code(entry.code)]
    return Group(*parts)


def _code(code: str) -> Syntax:
    return Syntax(code, "python", theme="ansi_dark", background_color="default", word_wrap=True)


def legend(is_judged: bool) -> Text:
    """What the marks mean."""
    grades = Text.assemble(
        ("●●", "bold green"), " what the asker wants   ", ("●", "green"), " helps   ", ("○", "dim"), " neither\n"
    )
    moves = Text.assemble(("▲2", "green"), " ", ("▼1", "red"), " moved against plain dense   ", ("+", "cyan"))
    return Text.assemble("\n", grades if is_judged else "", moves, " not among its first five")


def side_by_side(question: Question, why: str, outcomes: Outcomes, width: int) -> Group:
    """The first five results of each strategy, in two columns or, where there is room, in four."""
    plain = outcomes[PLAIN.name].documents[:_SHOWN_RESULTS]
    lists = [_ranking(entry, question, outcomes[entry.name], plain) for entry in SHOWN]
    columns = 4 if width >= _WIDE else 2 if width >= _NARROW else 1
    grid = Table.grid(padding=(0, 2), expand=True)
    for _ in range(columns):
        grid.add_column(ratio=1)
    for start in range(0, len(lists), columns):
        grid.add_row(*lists[start : start + columns])
    title = Rule(Text.assemble("“", (question.text, "bold"), "”"), align="left", style="cyan")
    return Group(title, *([Text(why, "italic")] if why else []), grid)


def _ranking(entry: Entry, question: Question, outcome: DemoOutcome, plain: Sequence[str]) -> Group:
    results = zip(outcome.points[:_SHOWN_RESULTS], outcome.documents, strict=False)
    lines: list[Text] = []
    for rank, (point, document) in enumerate(results, 1):
        move = None if entry is PLAIN else _move(rank, document, plain)
        lines.append(_line(rank, point, question.judgments.get(document, 0), move, bool(question.judgments)))
    quality = "" if outcome.ndcg is None else f"nDCG@{DEPTH} {outcome.ndcg:.2f}   "
    requests = f"{outcome.requests} request{'' if outcome.requests == 1 else 's'}"
    cost = Text(f"{quality}{outcome.milliseconds:.1f} ms   {requests}\n", "dim italic")
    return Group(Rule(Text(entry.name, "bold"), align="left", style="dim"), *lines, cost)


def _line(rank: int, point: models.ScoredPoint, grade: int, move: Text | None, is_judged: bool) -> Text:
    title = str((point.payload or {}).get("title", ""))
    line = Text(f"{rank} ", "dim", no_wrap=True, overflow="ellipsis")
    for mark in (move, Text(*_GRADES[grade]) if is_judged else None):
        if mark is not None:
            line.append_text(mark).append(" ")
    return line.append(title, "dim" if is_judged and not grade else "not dim")


def _move(rank: int, document: str, plain: Sequence[str]) -> Text:
    """Where the document was in the first results of plain search, two cells wide."""
    if document not in plain:
        return Text("+ ", "cyan")
    moved = plain.index(document) + 1 - rank
    if moved == 0:
        return Text("= ", "dim")
    return Text(f"▲{moved}", "green") if moved > 0 else Text(f"▼{-moved}", "red")


def summary(outcomes: Sequence[Outcomes], width: int = _NARROW) -> Group:
    """Each strategy over all questions: quality, how often it beat plain search, and where there is room what a query costs."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    headings = ("strategy", f"nDCG@{DEPTH}", "wins", "losses", "requests", "embedded", "texts\nread", "ms")
    shown = headings if width >= _NARROW else headings[:4]
    for heading in shown:
        table.add_column(heading, justify="left" if heading == "strategy" else "right", no_wrap=heading != "strategy")
    best = max(_quality(outcomes, entry) for entry in LINEUP)
    for entry in LINEUP:
        table.add_row(*_summary_row(entry, outcomes, best)[: len(shown)])
    title = Rule(f"all {len(outcomes)} questions", align="left", style="cyan")
    return Group(title, table, Text(), *map(Text, _verdict(outcomes)), Text(), Text(_NOTES, "dim"))


_NOTES: Final = (
    f"nDCG@{DEPTH}: mean over the questions, 1 is the ideal order. wins, losses: questions on which it is above or below "
    "plain dense. embedded: vectors made of a question. ms: the median. scores only: without rating, popularity, age and "
    "distance."
)


def _verdict(outcomes: Sequence[Outcomes]) -> Iterator[str]:
    """What the table says, also where a strategy loses."""
    quality = {entry.name: _quality(outcomes, entry) for entry in LINEUP}
    yield f"Best on these questions: {max(quality, key=quality.__getitem__)}."
    if behind := [name for name, value in quality.items() if value < quality[PLAIN.name]]:
        yield f"Behind plain dense: {', '.join(behind)}."
    if quality[PLAIN.name] < quality[HYBRID.name] < quality[BM25.name]:
        yield f"Behind plain BM25: {HYBRID.name}, which counts both rankings alike, though the dense one is weaker here."


def _quality(outcomes: Sequence[Outcomes], entry: Entry) -> float:
    return mean(each[entry.name].ndcg or 0.0 for each in outcomes)


def _summary_row(entry: Entry, outcomes: Sequence[Outcomes], best: float) -> list[Text]:
    own = [each[entry.name] for each in outcomes]
    gains = [(each[entry.name].ndcg or 0.0) - (each[PLAIN.name].ndcg or 0.0) for each in outcomes]
    quality = _quality(outcomes, entry)
    is_plain = entry is PLAIN
    return [
        Text(entry.name, "bold" if entry in SHOWN else ""),
        Text(f"{quality:.3f}", "bold green" if quality == best else ""),
        Text("" if is_plain else str(sum(gain > 1e-9 for gain in gains)), "green"),
        Text("" if is_plain else str(sum(gain < -1e-9 for gain in gains)), "red"),
        Text(f"{mean(each.requests for each in own):g}"),
        Text(f"{mean(each.embeddings for each in own):g}"),
        Text(f"{mean(each.reads for each in own):g}"),
        Text(f"{median(each.milliseconds for each in own):.1f}"),
    ]


# What the demonstration says of itself


def describe_setup(dense: str, where: str, seconds: float) -> Group:
    """Say what is shown, where it runs, how long indexing took, and what the dense vectors are (as on the command line)."""
    title = Rule(Text("qdrant-rerank: one question, ranked in several ways", "bold"), align="left", style="cyan")
    guide = Text(f"An invented travel guide of 97 entries, indexed in {seconds:.1f} s into {where}.")
    return Group(title, guide, _describe_dense(dense), Text())


def _describe_dense(dense: str) -> Text:
    if dense != "hash":
        return Text(f"Dense vectors are made by {dense.partition('@')[0]}, sparse ones by BM25.")
    return Text.assemble(
        "Dense vectors are hashed words and letter sequences: they match ",
        ("spelling, not meaning", "bold yellow"),
        ", and need no download; sparse ones are BM25. Trained vectors: ",
        ("--models fastembed", "bold"),
        ".",
    )


def describe_limits(engine: Engine) -> Group:
    """Say what the numbers don't show."""
    lines = [
        "97 short documents and one author's judgments are an illustration, not evidence: measure on your own data.",
        "The formula's weights were set by hand. MMR gives up relevance for variety, which nDCG doesn't reward.",
    ]
    if engine == "local":
        lines.append(
            "Times are of qdrant-client's local mode, which is written in Python and slow at formulas; the Rust engine in this "
            "process is many times faster: pip install 'qdrant-rerank[cli,edge]'."
        )
    return Group(*(Text(f"• {line}", "dim") for line in lines))
