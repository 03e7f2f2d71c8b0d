"""What any reordering of the candidates could reach, and whether candidates or their order are the trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ..evaluate import Qrels
from .measuring import measured
from .pools import Hit, Pool
from .tunings import Ceiling

__all__ = ["ceiling_of"]


def ceiling_of(
    pools: Sequence[Pool], titles: Mapping[str, str], qrels: Qrels, measure: str, limit: int, depth: int, reached: float
) -> Ceiling:
    """The ceiling of the candidates that the candidates found.

    Args:
        pools: what was found.
        titles: what the candidates are called, by key.
        qrels: the judgments.
        measure: the measure.
        limit: how many results it looks at.
        depth: how many candidates each candidate was asked for.
        reached: the mean of the chosen configuration.
    """
    found = {pool.topic.id: _documents(pool, [hit for hits in pool.candidates.values() for hit in hits]) for pool in pools}
    best = measured(measure, qrels, {topic: _by_grade(list(there), qrels[topic], limit) for topic, there in found.items()})
    whole = measured(measure, qrels, {topic: _by_grade(list(qrels[topic]), qrels[topic], limit) for topic in found})
    value, perfect = fmean(best.values()), fmean(whole.values())
    recall = _recall(found, qrels)
    candidates = {
        title: _recall({pool.topic.id: _documents(pool, pool.candidates[key]) for pool in pools}, qrels)
        for key, title in titles.items()
    }
    return Ceiling(value, perfect, recall, candidates, depth, _advice(measure, value, perfect, recall, depth, reached))


def _documents(pool: Pool, hits: Sequence[Hit]) -> dict[str, None]:
    return dict.fromkeys(pool.documents[hit.id] for hit in hits)


def _by_grade(documents: list[str], grades: Mapping[str, int], limit: int) -> list[str]:
    return sorted(documents, key=lambda document: -grades.get(document, 0))[:limit]


def _recall(found: Mapping[str, Mapping[str, None]], qrels: Qrels) -> float:
    shares = []
    for topic, there in found.items():
        relevant = [document for document, grade in qrels[topic].items() if grade > 0]
        if relevant:
            shares.append(fmean(document in there for document in relevant))
    return fmean(shares) if shares else 0.0


def _advice(measure: str, value: float, perfect: float, recall: float, depth: int, reached: float) -> str:
    lost, unordered = perfect - value, value - reached
    found = f"The candidates find {recall:.0%} of the relevant documents among {depth} candidates each"
    best = f"the best order of these would reach {value:.4f} {measure}"
    if lost > unordered and lost > 0:
        return (
            f"{found}: candidates are the bottleneck. Even {best}; more is lost for want of candidates ({lost:.4f}) than by "
            f"their order ({unordered:.4f}). Look for better embeddings, other or deeper candidates first."
        )
    return (
        f"{found}, and {best}: {unordered:.4f} more than now. The order is what there is to gain from, e.g. by a model that "
        "reads the candidates, or a formula with what the payload knows."
    )
