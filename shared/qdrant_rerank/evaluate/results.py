"""What an evaluation says of one system: values for each topic, means with intervals, costs, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

from .._internals import as_table
from .data import SYNTHETIC_NOTE, Answer, Plain, Run, frame

__all__ = ["Costs", "Coverage", "Evaluation", "Interval"]


@dataclass(frozen=True)
class Interval(Plain):
    """An estimate with a bootstrap interval over the topics.

    Attributes:
        estimate: the mean.
        low, high: the interval's ends; None of a single topic.
        level: how often such intervals hold the true mean, e.g. 0.95.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float = 0.95

    def ends(self, sign: str = "") -> str:
        """Both ends, e.g. "0.4100 to 0.5200", with their signs if `sign` is "+"; "" where there are none."""
        return "" if self.low is None or self.high is None else f"{self.low:{sign}.4f} to {self.high:{sign}.4f}"

    def as_gain(self, measure: str) -> str:
        """A difference in words, e.g. "+0.0200 nDCG@10 (95% interval -0.0100 to +0.0500)"."""
        within = "" if self.low == self.high else f" ({self.level:.0%} interval {self.ends('+')})"  # None, or all are the same
        return f"{self.estimate:+.4f} {measure}{within}"

    @property
    def is_positive(self) -> bool:
        """Whether all of the interval is above 0."""
        return self.low is not None and self.low > 0

    def __str__(self) -> str:
        return f"{self.estimate:.4f} ({self.ends()})" if self.ends() else f"{self.estimate:.4f}"


@dataclass(frozen=True)
class Costs(Plain):
    """What one query cost: means over the topics that were answered, and percentiles of the time.

    The first seven are those of `Usage`; None for foreign retrievers, whose work can't be seen.

    Attributes:
        p50_ms: median time of a query in milliseconds; None if topics were asked in batches.
        p95_ms: what 95 % of the queries stayed below; None likewise.
        timed: how many queries were timed.
        note: how to read the times.
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
        measured: the ids of the topics with judgments, which the means are over.
        unjudged: topics without any judgment; in no mean.
        unasked: judged topics that aren't among the topics; in no mean.
        without_relevant: measured topics without a relevant document: every system scores 0.
        without_results: measured topics that nothing was found for; they count as 0.
        failed: topic → the error that it ended with; they count as 0.
        unread: topics with results that the model didn't score: it failed, or they have no text.
        duplicates: results left out because their document was in the ranking already.
        judged_at_10: the mean share of the first 10 results that were judged; the others count as not relevant. None if
            nothing was found.
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
        topics_fingerprint, qrels_fingerprint: of the topics and judgments, so that only like is compared with like.
        texts: topic → the query's text.
        relevant: topic → its relevant documents with their grades, best first.
        why: topic → why its results are where they are, a text each; None for systems that can't be explained.
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
        return tuple(self.values)

    def to_frame(self) -> Any:
        """A `pandas.DataFrame` with a row for each topic: `topic`, a column for each measure, `milliseconds`, `error`.

        Raises:
            ImportError: pandas is not installed.
        """
        return frame(self._row(topic) for topic in self.coverage.measured)

    def _row(self, topic: str) -> dict[str, Any]:
        answer = self.run.get(topic) or Answer()
        values = {measure: values[topic] for measure, values in self.values.items()}
        return {"system": self.name, "topic": topic, **values, "milliseconds": answer.milliseconds, "error": answer.error}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know beside the means, one sentence each."""
        return tuple(_list_notes(self))

    def __str__(self) -> str:
        means = "\n".join(f"  {measure:<12} {mean}" for measure, mean in self.means.items())
        return "\n".join([f"{self.name}: {len(self.coverage.measured)} topics", means, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        rows = [(measure, mean.estimate, mean.low, mean.high) for measure, mean in self.means.items()]
        caption = f"{self.name}: {len(self.coverage.measured)} topics"
        return as_table(caption, ("measure", "mean", "from", "to"), rows, below="\n".join(self.notes))


def _list_notes(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.coverage

    def topics(some: Sized) -> str:
        return f"{len(some)} topic{'' if len(some) == 1 else 's'}"

    if evaluation.synthetic:
        yield f"These results are {SYNTHETIC_NOTE}."
    if found.failed:
        first, error = next(iter(found.failed.items()))
        yield f"{topics(found.failed)} failed and count as 0, e.g. {first!r}: {error}."
    if found.without_results:
        yield f"Nothing was found for {topics(found.without_results)}; they count as 0."
    if found.unjudged:
        yield f"{topics(found.unjudged)} without judgments left out of all means."
    if found.unasked:
        yield f"{topics(found.unasked)} in the judgments were not among the topics and are left out."
    if found.without_relevant:
        yield f"{topics(found.without_relevant)} without a relevant document: every system scores 0 there."
    if found.unread:
        yield f"{topics(found.unread)} with results that the model did not score: it failed, or they have no text."
    if found.duplicates:
        yield f"{found.duplicates} results left out: their document was in the ranking already."
    if found.depth < found.deepest:
        yield f"The longest ranking has {found.depth} results, and the measures look at {found.deepest}."
    if evaluation.costs.note:
        yield evaluation.costs.note
