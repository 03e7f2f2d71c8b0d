"""From answers to an `Evaluation`: values, means, costs, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import numpy as np

from .. import QdrantRerankError, StrategyError
from .doc_ids import other_ids
from .intervals import bootstrap_interval
from .measures import measured
from .preparing import Work
from .qrels import Qrels
from .results import Costs, Coverage, Evaluation
from .runs import Answer, Run, Usage

__all__ = ["summed_up"]


def summed_up(
    run: Run,
    work: Work,
    level: float,
    seed: int,
    why: Callable[[str], tuple[str, ...]] | None = None,
) -> Evaluation:
    """What `run` is worth.

    Raises:
        StrategyError: the run is empty, or none of its ids was judged.
        QdrantRerankError: every topic failed.
    """
    answers = {topic: run[topic] for topic in work.judged if topic in run}
    _check(answers, work)
    values = measured(work.measures, work.qrels, run, work.judged)
    means = {name: bootstrap_interval(list(found.values()), level=level, seed=seed) for name, found in values.items()}
    return Evaluation(
        name=run.name,
        run=run,
        values=values,
        means=means,
        costs=_costs(list(answers.values()), work),
        coverage=_coverage(answers, work),
        synthetic=work.topics.synthetic,
        topics_fingerprint=work.asked.fingerprint,
        qrels_fingerprint=work.qrels.fingerprint,
        texts={topic.id: topic.text for topic in work.asked},
        relevant={topic: _relevant(work.qrels, topic) for topic in work.judged},
        why=why,
    )


def _check(answers: dict[str, Answer], work: Work) -> None:
    failures = [answer.error for answer in answers.values() if answer.error is not None]
    found = [document for answer in answers.values() for document in answer.doc_ids]
    if found:
        if work.qrels.documents.isdisjoint(found):
            raise StrategyError(
                f"{other_ids(found, work.qrels.documents)} where a result's document id is: a key of its payload or metadata, "
                "or a function from result to id. If these are the right ids, nothing that was found was judged, and there is "
                "nothing to measure"
            )
        return
    if failures:
        raise QdrantRerankError(
            f"every topic that was asked failed or found nothing; {len(failures)} of {len(answers)} failed, the first with: "
            f"{failures[0]}"
        )
    raise StrategyError(
        f"the run is empty: nothing was found for any of {len(work.judged)} topics; is the collection empty, or the filter too "
        "narrow, or are the run's topic ids others?"
    )


def _relevant(qrels: Qrels, topic: str) -> dict[str, int]:
    grades = sorted(qrels[topic].items(), key=lambda item: -item[1])
    return {document: grade for document, grade in grades if grade > 0}


def _coverage(answers: dict[str, Answer], work: Work) -> Coverage:
    judged = set(work.judged)
    without_relevant = set(work.qrels.without_relevant)
    shares = [
        fmean(document in work.qrels[topic] for document in answer.doc_ids[:10])
        for topic, answer in answers.items()
        if answer.ranking
    ]
    return Coverage(
        topics=len(work.topics),
        measured=work.judged,
        unjudged=tuple(topic for topic in work.topics.ids if topic not in judged),
        unasked=tuple(topic for topic in work.qrels if topic not in judged and work.qrels[topic]),
        without_relevant=tuple(topic for topic in work.judged if topic in without_relevant),
        without_results=tuple(topic for topic in work.judged if _is_silent(answers.get(topic))),
        failed={topic: answer.error for topic, answer in answers.items() if answer.error is not None},
        unread=tuple(topic for topic, answer in answers.items() if answer.unread),
        duplicates=sum(answer.duplicates for answer in answers.values()),
        judged_at_10=fmean(shares) if shares else None,
        depth=max((len(answer.ranking) for answer in answers.values()), default=0),
        deepest=work.deepest,
    )


def _is_silent(answer: Answer | None) -> bool:
    """Whether nothing was found, and nothing failed."""
    return answer is None or (answer.error is None and not answer.ranking)


def _costs(answers: list[Answer], work: Work) -> Costs:
    usages = [answer.usage for answer in answers if answer.usage is not None]
    times = [answer.milliseconds for answer in answers if answer.milliseconds is not None]
    p50, p95 = (float(value) for value in np.percentile(times, [50, 95])) if times else (None, None)
    counted = {name: fmean(getattr(usage, name) for usage in usages) for name in Usage.__dataclass_fields__} if usages else {}
    return Costs(**counted, p50_ms=p50, p95_ms=p95, timed=len(times), note=_note(usages, times, work))


def _note(usages: list[Usage], times: list[float], work: Work) -> str:
    if not times:
        shared = f": {work.batch_size} topics shared each round trip; ask with batch_size=1 to time queries"
        return f"Queries were not timed{shared if usages and work.batch_size > 1 else ''}."
    if work.concurrency > 1:
        return f"Times were taken with {work.concurrency} queries running at a time."
    return ""
