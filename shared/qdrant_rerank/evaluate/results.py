"""What an evaluation says of one system: values per topic, means with intervals, costs, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._internals import as_table
from .data import SYNTHETIC_NOTE, Plain, Run, frame

__all__ = ["Costs", "Coverage", "Evaluation", "Interval"]


@dataclass(frozen=True)
class Interval(Plain):
    """An estimate with a bootstrap interval over the topics.

    Attributes:
        estimate: the mean.
        low: the interval's lower end; None where it can't be told (a single topic).
        high: its upper end; None likewise.
        level: how often such intervals hold the true mean, e.g. 0.95.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float = 0.95

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.estimate:.4f}"
        return f"{self.estimate:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True)
class Costs(Plain):
    """What one query cost: means over the topics that were answered, and percentiles of the time.

    Attributes:
        round_trips: requests to Qdrant; None where they can't be seen (foreign retrievers). The next six likewise.
        searches: queries in these requests.
        embeddings: vectors that the query was embedded as.
        model_calls: calls of a reranker.
        model_texts: texts that it read.
        bytes_sent: bytes of the search requests, as compact JSON.
        bytes_received: bytes of the points found, as compact JSON.
        p50_ms: median time of a query in milliseconds; None if topics were asked in batches.
        p95_ms: what 95 % of the queries stayed below; None likewise.
        timed: how many queries were timed.
        note: how the time is to be read, in plain words.
    """

    round_trips: float | None = None
    searches: float | None = None
    embeddings: float | None = None
    model_calls: float | None = None
    model_texts: float | None = None
    bytes_sent: float | None = None
    bytes_received: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    timed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Coverage(Plain):
    """Which topics the means are about, and which they leave out.

    Attributes:
        topics: how many topics there were.
        measured: the ids of those that the means are over: topics with judgments.
        unjudged: topics without any judgment; left out of all means.
        unasked: topics that have judgments, but aren't among the topics; left out of all means.
        without_relevant: measured topics of which no judged document is relevant: every system scores 0.
        without_results: measured topics that nothing was found for; they count as 0.
        failed: topics that ended with an error, with its text; they count as 0.
        unread: topics with results that a model should have scored and did not: it failed, or they have no text.
        duplicates: results left out because their document was in the ranking already.
        judged_at_10: the mean share of the first 10 results that were judged at all; unjudged ones count as not relevant.
            None if nothing was found.
        depth: how many results the longest ranking has.
        deepest: how many results the measures look at.
    """

    topics: int
    measured: tuple[str, ...]
    unjudged: tuple[str, ...] = ()
    unasked: tuple[str, ...] = ()
    without_relevant: tuple[str, ...] = ()
    without_results: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    duplicates: int = 0
    judged_at_10: float | None = None
    depth: int = 0
    deepest: int = 0


@dataclass(frozen=True)
class Evaluation(Plain):
    """What was measured of one system.

    Attributes:
        name: what tables call the system.
        run: its results.
        values: measure → topic → value, for the topics in `coverage.measured`.
        means: measure → mean with its interval.
        costs: what a query cost.
        coverage: which topics this is about.
        synthetic: whether the queries were made from documents.
        topics_fingerprint: identifies the topics, so that only like is compared with like.
        qrels_fingerprint: identifies the judgments.
        texts: topic → the query's text.
        relevant: topic → its relevant documents with their grades, best first.
        why: tells why a topic's results are where they are, one text for each; None where that can't be told.
    """

    name: str
    run: Run
    values: Mapping[str, Mapping[str, float]]
    means: Mapping[str, Interval]
    costs: Costs
    coverage: Coverage
    synthetic: bool = False
    topics_fingerprint: str = ""
    qrels_fingerprint: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    relevant: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    why: Callable[[str], tuple[str, ...]] | None = field(default=None, repr=False, compare=False)

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures' names."""
        return tuple(self.values)

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` with a row for each topic: `topic`, a column for each measure, `milliseconds`, `error`.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame(self._row(topic) for topic in self.coverage.measured)

    def _row(self, topic: str) -> dict[str, Any]:
        answer = self.run.get(topic)
        values = {measure: values[topic] for measure, values in self.values.items()}
        timed = answer.milliseconds if answer else None
        return {"system": self.name, "topic": topic, **values, "milliseconds": timed, "error": answer.error if answer else None}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the means, one sentence each."""
        return tuple(_notes(self))

    def __str__(self) -> str:
        means = "\n".join(f"  {measure:<12} {mean}" for measure, mean in self.means.items())
        return "\n".join([f"{self.name}: {len(self.coverage.measured)} topics", means, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = [(measure, mean.estimate, mean.low, mean.high) for measure, mean in self.means.items()]
        caption = f"{self.name}: {len(self.coverage.measured)} topics"
        return as_table(caption, ("measure", "mean", "from", "to"), rows, below="\n".join(self.notes))


def _notes(evaluation: Evaluation) -> list[str]:
    found, notes = evaluation.coverage, []
    if evaluation.synthetic:
        notes.append(f"These results are {SYNTHETIC_NOTE}.")
    if found.failed:
        first, error = next(iter(found.failed.items()))
        notes.append(f"{_topics(len(found.failed))} failed and count as 0, e.g. {first!r}: {error}.")
    if found.without_results:
        notes.append(f"Nothing was found for {_topics(len(found.without_results))}; they count as 0.")
    if found.unjudged:
        notes.append(f"{_topics(len(found.unjudged))} without judgments left out of all means.")
    if found.unasked:
        notes.append(f"{_topics(len(found.unasked))} in the judgments were not among the topics and are left out.")
    if found.without_relevant:
        notes.append(f"{_topics(len(found.without_relevant))} without a relevant document: every system scores 0 there.")
    if found.unread:
        notes.append(
            f"{_topics(len(found.unread))} with results that the model did not score: it failed, or they have no text."
        )
    if found.duplicates:
        notes.append(f"{found.duplicates} results left out: their document was in the ranking already.")
    if found.depth < found.deepest:
        notes.append(f"The longest ranking has {found.depth} results, and the measures look at {found.deepest}.")
    if evaluation.costs.note:
        notes.append(evaluation.costs.note)
    return notes


def _topics(count: int) -> str:
    return f"{count} topic{'' if count == 1 else 's'}"
