"""What is settled before the first topic is asked, and summed up after the last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .. import PlanError, Retries, SearchOptions, StrategyError
from .._internals import few, is_whole
from ..planning import Target, plan
from .doc_ids import DocId, aliases
from .measures import check_judgments, deepest
from .qrels import Qrels
from .running import Job, Progress
from .runs import Answer
from .services import MEASURING
from .store import Header, RunFile
from .systems import Bound, Foreign
from .topics import Topic, Topics

__all__ = ["Work", "fitted", "job_of"]


@dataclass(frozen=True)
class Work:
    """What is measured, by which judgments.

    Raises:
        StrategyError: no topic has judgments, or an argument is wrong.
    """

    topics: Topics
    qrels: Qrels
    measures: Sequence[str]
    batch_size: int = 1
    concurrency: int = 1
    on_error: str = "stop"
    retries: int | Retries = MEASURING

    def __post_init__(self) -> None:
        if not isinstance(self.topics, Topics) or not isinstance(self.qrels, Qrels):
            raise StrategyError(
                "evaluate takes Topics and Qrels, e.g. Topics({'1': 'night train'}) and Qrels({'1': {'doc': 1}}); "
                f"got {type(self.topics).__name__} and {type(self.qrels).__name__}"
            )
        for name, value in (("batch_size", self.batch_size), ("concurrency", self.concurrency)):
            if not is_whole(value, 1):
                raise StrategyError(f"{name} must be a whole number of at least 1, got {value!r}")
        if self.on_error not in ("stop", "count", "raise"):
            raise StrategyError(f"on_error is 'stop', 'count' or 'raise', got {self.on_error!r}")
        Retries.of(self.retries)
        if not self.judged:
            raise StrategyError(
                f"none of the {len(self.topics)} topics has judgments: the topics' ids are {few(self.topics.ids)}, "
                f"those of the qrels {few(tuple(self.qrels))}"
            )
        check_judgments(self.measures, {topic: self.qrels[topic] for topic in self.judged})

    @cached_property
    def judged(self) -> tuple[str, ...]:
        """The ids of the topics that have judgments."""
        return self.qrels.judged(self.topics)

    @cached_property
    def asked(self) -> Topics:
        """The topics that are put to the system: nothing could be said of the others."""
        return self.topics.subset(self.judged)

    @cached_property
    def deepest(self) -> int:
        """How many results the measures look at."""
        return deepest(self.measures)


def fitted(bound: Bound, target: Target, limit: int | None, work: Work) -> SearchOptions:
    """What the strategy is asked for: `limit` results, or as many as the measures look at, or as it can return.

    Raises:
        PlanError: the strategy doesn't fit the collection, whatever the limit; or not with the limit given.
    """

    def fits(number: int) -> PlanError | None:
        try:
            plan(bound.strategy, target.schema, target.capabilities, SearchOptions(limit=number), target.payload)
        except PlanError as error:
            return error
        return None

    wanted = limit or work.deepest
    error = fits(wanted)
    if error is None:
        return SearchOptions(limit=wanted)
    if limit is not None or fits(1) is not None:
        raise error
    low, high = 1, wanted  # some stage or model hands on fewer candidates than the measures would look at
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) is None else (low, middle)
    return SearchOptions(limit=low)


def job_of(
    system: Bound | Foreign,
    work: Work,
    options: SearchOptions,
    doc_id: DocId,
    run_file: str | os.PathLike[str] | None,
    progress: Progress | None,
) -> tuple[Job, dict[str, Answer]]:
    """The topics that are still to be asked, and how; with the answers that are there already.

    Raises:
        StrategyError: the topics need more than a foreign system is given, or the run file is about something else.
    """
    if isinstance(system, Foreign) and not system.whole:
        _check_plain(work.asked, system)
    file = None
    if run_file is not None:
        told = doc_id if isinstance(doc_id, str) or doc_id is None else "function"
        asked = f"{options!r}" if isinstance(system, Bound) else f"limit={options.limit}"
        file = RunFile(run_file, Header(system.description, system.name, f"{asked}, doc_id={told!r}", work.asked.fingerprint))
    done = dict(file.done) if file else {}
    job = Job(
        topics=[topic for topic in work.asked if topic.id not in done],
        options=options,
        doc_id=doc_id,
        names=aliases(work.qrels),
        batch_size=work.batch_size if isinstance(system, Bound) else 1,
        concurrency=work.concurrency,
        on_error=work.on_error,
        retries=Retries.of(work.retries),
        total=len(work.asked),
        file=file,
        progress=progress,
    )
    return job, done


def _check_plain(topics: Topics, system: Foreign) -> None:
    rich: list[Topic] = [topic for topic in topics if not topic.is_plain]
    if rich:
        raise StrategyError(
            f"topic {rich[0].id!r} ({len(rich)} of {len(topics)}) has a filter, request-time values, vectors or a time, and "
            f"{system.name} is asked by text alone: pass TopicFunction(lambda topic: …), which is given the whole topic"
        )
