"""How often tuning recommends something where nothing helps: with and without a learned formula in the space.

Run: `python benchmarks/tuning_nulls.py [--count 200] [--check]`

Two candidates score the candidates at random, payload numbers are random, and one candidate of each topic, drawn at random, is
relevant. So no ranking is better than another, and whatever tuning recommends is a false alarm; it allows for 5 % of them.
The spaces are those of `tune`, but with fewer settings; rankings, choices and tests are its own. Judgments are drawn anew for
each simulation and are the same for all spaces. Needs no data. `--check` fails if there are more than 5 % in all.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models

from qdrant_rerank import Fusion, Nearest, field
from qdrant_rerank.evaluate import Qrels, Topic
from qdrant_rerank.planning import Capabilities, Schema, Target, VectorInfo
from qdrant_rerank.tune import (
    Dbsf,
    Family,
    Hit,
    Learned,
    Option,
    Rrf,
    Setting,
    SingleCandidates,
    TopicHits,
    TrainingTopics,
    WeightedSum,
    choose,
    cross_fit,
    gain_of,
)
from qdrant_rerank.tune._internals import key_of

CANDIDATES = Nearest("a"), Nearest("b")
SCHEMA = Schema("c", {candidate.using or "": VectorInfo("dense", 4, models.Distance.COSINE) for candidate in CANDIDATES})
TARGET = Target(SCHEMA, Capabilities((1, 20, 0)))
DEFAULT = Option("default", Fusion.rrf().over(*CANDIDATES), "default")
OTHERS: tuple[Family, ...] = SingleCandidates(), Rrf(ks=(10, 61)), Dbsf(), WeightedSum(4)
SPACES = "fixed", "all", "alone"
LIMIT = 10

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Null:
    """Topics whose relevant documents nothing tells.

    Attributes:
        topics: how many.
        candidates: how many each has; both candidates find all of them.
        features: how many random numbers the payload has.
        seed: of all that is drawn.
    """

    topics: int
    candidates: int
    features: int
    seed: int = 0

    @cached_property
    def all_hits(self) -> list[TopicHits]:
        """What the candidates found."""
        drawn = np.random.default_rng(self.seed)
        return [self._draw_hits(f"t{number}", drawn) for number in range(self.topics)]

    def _draw_hits(self, name: str, drawn: np.random.Generator) -> TopicHits:
        ids, keys = range(self.candidates), range(self.features)
        candidates = {
            key_of(candidate): [Hit(id, float(score)) for id, score in enumerate(drawn.random(self.candidates))]
            for candidate in CANDIDATES
        }
        best_first = {key: sorted(hits, key=lambda hit: -hit.score) for key, hits in candidates.items()}
        payloads: dict[Any, dict[str, float]] = {id: {f"x{key}": float(drawn.normal()) for key in keys} for id in ids}
        moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
        return TopicHits(Topic(name, "question"), moment, best_first, {id: f"d{id}" for id in ids}, payloads)

    @cached_property
    def setting(self) -> Setting:
        """What families propose strategies for."""
        return Setting(CANDIDATES, (self.candidates,), LIMIT, DEFAULT.strategy, SCHEMA)

    @cached_property
    def learner(self) -> Learned:
        """The family over the candidates' scores and the random features."""
        given = {f"x{key}": field(f"x{key}", default=0.0) for key in range(self.features)}
        return Learned(given, least_topics=self.topics // 2)

    @cached_property
    def fixed(self) -> list[tuple[Option, dict[str, list[str]]]]:
        """The strategies that learn nothing, the default first, with their rankings."""
        options = [(Rrf(), DEFAULT), *((family, option) for family in OTHERS for option in family.options(self.setting))]
        return [(option, self.rankings(family, option)) for family, option in options]

    def rankings(self, family: Family, option: Option) -> dict[str, list[str]]:
        """The documents by topic."""
        return {
            topic_hits.topic.id: topic_hits.list_documents(self._ranked(family, option, topic_hits), LIMIT)
            for topic_hits in self.all_hits
        }

    @staticmethod
    def _ranked(family: Family, option: Option, topic_hits: TopicHits) -> Sequence[Any]:
        scorer: Any = None  # no model reads anything here
        found = family.rank(option.of(topic_hits.topic.id), topic_hits, TARGET, LIMIT, scorer)
        assert found is not None
        return found

    def judged(self, number: int) -> dict[str, str]:
        """The relevant document of each topic, in one simulation."""
        drawn = np.random.default_rng([self.seed, number])
        return {topic_hits.topic.id: f"d{drawn.integers(self.candidates)}" for topic_hits in self.all_hits}

    def learned(self, relevant: Mapping[str, str], number: int) -> tuple[Option, dict[str, list[str]]]:
        """The learned option with its rankings, each topic by what was learned from others."""
        [form] = self.learner.options(self.setting)
        qrels = Qrels({topic: {document: 1} for topic, document in relevant.items()})
        option = self.learner.learn(form, self.setting, TrainingTopics(self.all_hits, qrels, TARGET, number))
        return option, self.rankings(self.learner, option)


@dataclass(frozen=True)
class Outcome:
    """One simulation: whether something was recommended, and the held-out gain that was measured."""

    alarm: bool
    gain: float


def outcome(tried: Sequence[tuple[Option, Mapping[str, Sequence[str]]]], relevant: Mapping[str, str], seed: int) -> Outcome:
    """What tuning says of these, the default first, by nDCG@10 of one relevant document each."""
    values = np.array([[_ndcg(rankings[topic], relevant[topic]) for topic in relevant] for _, rankings in tried])
    order = np.array([0 if option.family == "single candidates" else 2 for option, _ in tried])  # their cost
    order[0] = 1  # before all that cost the same
    fit = cross_fit(values, order, 0, 20, seed)
    gain = float(fit.topic_gains.mean())
    if gain <= 0 or choose(values, order, 0) == 0:  # is never recommended: saves the resampling
        return Outcome(False, gain)
    return Outcome(gain_of(fit.topic_gains, alpha=0.05, seed=seed, resamples=999).real, gain)


def _ndcg(ranking: Sequence[str], relevant: str) -> float:
    return float(1 / np.log2(2 + ranking.index(relevant))) if relevant in ranking else 0.0


def simulated(null: Null, count: int, spaces: Sequence[str] = SPACES) -> dict[str, list[Outcome]]:
    """The outcomes by space: `fixed` strategies, `all` with the learned formula, and the learned formula `alone`."""
    found: dict[str, list[Outcome]] = {space: [] for space in spaces}
    for number in range(count):
        relevant = null.judged(number)
        learned = null.learned(relevant, number)
        tried = {"fixed": null.fixed, "all": [*null.fixed, learned], "alone": [null.fixed[0], learned]}
        for space in spaces:
            found[space].append(outcome(tried[space], relevant, number))
    return found


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="how many simulations of each kind")
    parser.add_argument("--check", action="store_true", help="fail if more than 5 %% of them are false alarms")
    options = parser.parse_args()
    print(f"False alarms in {options.count} simulations where nothing helps (and the held-out gain, 0 in truth)\n")
    print("| topics | random features | without a learned formula | with it | it alone |\n|---|---|---|---|---|")
    total: dict[str, list[Outcome]] = {space: [] for space in SPACES}
    for topics, features in ((60, 0), (60, 3), (60, 10), (200, 0), (200, 3)):
        found = simulated(Null(topics, 20, features), options.count)
        print(f"| {topics} | {features} | {_cells(found)} |", flush=True)
        for space, outcomes in found.items():
            total[space] += outcomes
    print(f"| all | | {_cells(total)} |")
    too_many = any(sum(each.alarm for each in outcomes) > 0.05 * len(outcomes) for outcomes in total.values())
    return int(options.check and too_many)


def _cells(found: Mapping[str, Sequence[Outcome]]) -> str:
    cells = []
    for outcomes in found.values():
        alarms, gains = sum(each.alarm for each in outcomes), np.array([each.gain for each in outcomes])
        cells.append(f"{alarms} of {len(outcomes)} ({gains.mean():+.4f}, s.d. {gains.std():.4f})")
    return " | ".join(cells)


if __name__ == "__main__":
    sys.exit(main())
