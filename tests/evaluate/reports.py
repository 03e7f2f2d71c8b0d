"""Comparisons to make reports of: two systems, six, failures and synthetic queries, nothing found, long names, one alone."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache

from qdrant_rerank.evaluate import Answer, Comparison, Evaluation, Qrels, Ranked, Run, Topics, Usage, compare, evaluate
from qdrant_rerank.report import Bin, Calibration, Coefficient

HOSTILE = '<script>alert("1")</script> | <img src=x onerror=alert(2)> `code` **bold** $x$ & more'
LONG = (
    "Formula(score('dense') + 0.25 * score('bm25') + 0.1 * field('rating', default=3.5)).over(Nearest('dense', limit=100, "
    "params=SearchParams(exact=True)), Nearest('bm25', limit=100), Nearest('colbert', limit={}))"
)
WORDS = [
    "bike",
    "train",
    "night",
    "ferry",
    "lake",
    "hut",
    "shop",
    "repair",
    "sleep",
    "station",
    "loop",
    "walk",
    "rain",
    "price",
]


def world(count: int, seed: int = 0, synthetic: bool = False) -> tuple[Topics, Qrels]:
    """So many queries, each with a document that it wants and one that helps."""
    drawn = random.Random(seed)
    texts = {f"q{number:03}": " ".join(drawn.sample(WORDS, 5)) for number in range(count)}
    grades = {topic: {f"d{drawn.randrange(20)}": 2, f"d{20 + drawn.randrange(20)}": 1} for topic in texts}
    topics = Topics(texts)
    return Topics(topics.items, synthetic=synthetic), Qrels(grades)


def system(
    topics: Topics,
    qrels: Qrels,
    name: str,
    skill: float,
    *,
    milliseconds: float | None = 5.0,
    texts_read: int = 0,
    failing: Sequence[str] = (),
    seed: int = 1,
) -> Evaluation:
    """A system that puts each relevant document first with probability `skill`, else anywhere."""
    drawn = random.Random(seed)
    answers: dict[str, Answer] = {}
    for topic in topics.ids:
        documents = [f"d{number}" for number in range(40)]
        drawn.shuffle(documents)
        for document in reversed(list(qrels[topic])):
            if drawn.random() < skill:
                documents.remove(document)
                documents.insert(0, document)
        took = None if milliseconds is None else milliseconds * drawn.uniform(0.7, 1.6)
        usage = Usage(1 + bool(texts_read), 2, 1, int(bool(texts_read)), texts_read, 640, 5120)
        answers[topic] = Answer(tuple(Ranked(document, -float(rank)) for rank, document in enumerate(documents)), usage, took)
        if topic in failing:
            answers[topic] = Answer(error="ResponseHandlingException: timed out after 5 s")
    return evaluate(Run(name, answers, system=name), topics, qrels, measures=("nDCG@10", "R@10", "RR"))


@cache
def two(count: int = 60, skill: float = 0.75) -> Comparison:
    """A better system beside the baseline, with reasons for its rankings."""
    topics, qrels = world(count)
    dense = system(topics, qrels, "dense", 0.45, milliseconds=4.2)
    fused = system(topics, qrels, "fused", skill, milliseconds=7.9, seed=2)
    return explained(compare([dense, fused]))


def explained(comparison: Comparison) -> Comparison:
    """The comparison with a reason for each result."""
    why = tuple(
        f"score {1 / rank:.3f} = dense: {rank / 7:.4f} + bm25: 0.31 (dense: rank {rank}, bm25: not found)"
        for rank in range(1, 11)
    )
    return replace(
        comparison,
        differences=tuple(
            replace(row, changes=tuple(replace(one, why_before=why, why_after=why) for one in row.changes))
            for row in comparison.differences
        ),
    )


@cache
def six() -> Comparison:
    """Six systems over 90 queries, two of them about as good and as dear."""
    topics, qrels = world(90)
    table: Mapping[str, tuple[float, float, int]] = {
        "plain dense": (0.45, 4.0, 0),
        "plain BM25": (0.44, 2.1, 0),
        "hybrid (RRF)": (0.58, 6.3, 0),
        "hybrid (DBSF)": (0.57, 6.4, 0),
        "late interaction": (0.74, 19.0, 0),
        "cross-encoder": (0.85, 240.0, 50),
    }
    return compare(
        [
            system(topics, qrels, name, skill, milliseconds=took, texts_read=read, seed=number)
            for number, (name, (skill, took, read)) in enumerate(table.items())
        ]
    )


@cache
def failing() -> Comparison:
    """Synthetic queries, and a system that fails on some of them."""
    topics, qrels = world(40, synthetic=True)
    return compare(
        [
            system(topics, qrels, "dense", 0.5),
            system(topics, qrels, "reranked", 0.6, texts_read=50, milliseconds=90.0, failing=topics.ids[3:10], seed=4),
        ]
    )


@cache
def nothing() -> Comparison:
    """Two systems that can't be told apart."""
    return two(40, skill=0.47)


@cache
def few() -> Comparison:
    """Too few queries for any claim."""
    return two(12)


@cache
def long_names() -> Comparison:
    """Names of 200 characters, which differ at their ends alone."""
    topics, qrels = world(30)
    return compare(
        [system(topics, qrels, LONG.format(10 * n), 0.4 + 0.15 * n, milliseconds=3.0 * n, seed=n) for n in range(1, 4)]
    )


@cache
def hostile() -> Comparison:
    """Names, queries, errors and documents' reasons that try to be markup."""
    topics, qrels = world(30)
    topics = Topics({topic.id: f"{HOSTILE} {topic.id}" for topic in topics})
    evaluations = [
        system(topics, qrels, "<b>a</b>&$x$", 0.4),
        system(topics, qrels, "</text><script>b", 0.7, milliseconds=8.0, seed=2),
    ]
    return explained(compare(evaluations))


@cache
def one() -> Evaluation:
    """A system alone."""
    return system(*world(30), "dense", 0.5)


def calibration() -> Calibration:
    return Calibration(
        bins=(
            Bin(0.06, 0.03, 812, 0.02, 0.05),
            Bin(0.21, 0.17, 203, 0.12, 0.23),
            Bin(0.39, 0.41, 96, 0.31, 0.51),
            Bin(0.62, 0.70, 61, 0.57, 0.80),
            Bin(0.88, 0.91, 44, 0.79, 0.97),
        ),
        ece=0.0312,
        brier=0.0745,
        name="cross-encoder",
    )


def coefficients() -> tuple[Coefficient, ...]:
    return (
        Coefficient("score('dense')", 3.412, 2.61, 4.2),
        Coefficient("score('bm25')", 0.0871, 0.051, 0.12),
        Coefficient("log(1 + field('votes', default=0))", -0.214, -0.61, 0.19),
        Coefficient("decay_exp(now() - datetime_field('published'), scale=31536000)", 0.95, 0.2, 1.7),
        Coefficient("constant", -2.2),
    )


def text_of(html: str) -> str:
    """What a reader sees, with single spaces."""
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    html = re.sub(r"<[^>]+>", " ", html)
    for entity, character in (("&#39;", "'"), ("&#34;", '"'), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        html = html.replace(entity, character)
    return " ".join(html.split())
