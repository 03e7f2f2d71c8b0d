"""What `qdrant_rerank/costs.py` takes things for: each price as measured on a server, in microseconds.

Run: `python benchmarks/prices.py --url http://127.0.0.1:6333 [--points 5000] [--rounds 25]`

A price is by how much longer a call takes that has more of one thing, divided by how much more. Calls take turns, and the
fastest of each counts, as whatever else runs only adds to it. A byte on a line of 1 Gbit/s takes 0.008, which loopback hasn't.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from qdrant_client import QdrantClient, models

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import DIMENSIONS, busy, collection, parser, vectors
from qdrant_rerank import Executor, Formula, Nearest, Query, SearchOptions, Strategy, field, score
from qdrant_rerank._internals import PRICES, Extent, Lowering, ScoreSource, Sum, count_nodes, extent, lower
from qdrant_rerank.expressions import Expression, when

FIELDS, FEW, MANY = 20, 10, 300
KEYS = [f"x{number}" for number in range(FIELDS)]
LINE = 0.008


def trees(count: int) -> Expression:
    """Trees of three questions each, over all fields."""
    terms = []
    for number in range(count):
        first, second, third = (
            models.FieldCondition(key=KEYS[(number + more) % FIELDS], range=models.Range(lte=(number + more) / count))
            for more in range(3)
        )
        terms.append(when(first, when(second, 0.5, 0.25), when(third, 0.125, 0.0625)))
    return Sum((score(), *terms))


def reading(keys: Sequence[str]) -> Expression:
    """A sum of payload values."""
    return Sum((score(), *(field(key, default=0.0) for key in keys)))


def products(count: int) -> Expression:
    """Arithmetic that is no tree."""
    return Sum(tuple(field(KEYS[number % FIELDS], default=0.0) * score() * 0.5 for number in range(count)))


def named(where: str, strategies: dict[str, tuple[Strategy, dict[str, Any]]], executor: Executor) -> Iterator[Any]:
    """Calls by name, each with a query of its own each time."""
    queries = [Query(vectors={"": each}) for each in vectors(50, 5)]
    for name, (strategy, options) in strategies.items():
        own = SearchOptions(limit=FEW, **options)
        count = iter(range(10**9))

        def call(strategy: Strategy = strategy, own: SearchOptions = own, count: Any = count) -> Any:
            return executor.retrieve(strategy, queries[next(count) % 50], own)

        yield f"{where}{name}", call


def fastest(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The shortest time of each, in microseconds."""
    times = dict.fromkeys(calls, float("inf"))
    for number in range(rounds + 2):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number > 1:
                times[name] = min(times[name], (time.perf_counter() - start) * 1e6)
    return times


def strategies() -> dict[str, tuple[Strategy, dict[str, Any]]]:
    """What is timed, by name, with the options of the call."""
    few, many, bare = Nearest(limit=FEW), Nearest(limit=MANY), {"with_payload": False}
    small, large, plain = Formula(trees(20)).on_server(), Formula(trees(400)).on_server(), Formula(score()).on_server()
    little, wide = Formula(0.5 * score() + field("x0", default=0.0)), Formula(reading(KEYS))
    here = {"little": little, "wide": wide, "products": Formula(products(200))}
    here |= {"small trees": Formula(trees(100)), "trees": Formula(trees(800))}
    made: dict[str, tuple[Strategy, dict[str, Any]]] = {
        "plain few": (plain.over(few), bare),
        "plain many": (plain.over(many), bare),
        "small few": (small.over(few), bare),
        "small many": (small.over(many), bare),
        "large few": (large.over(few), bare),
        "payload": (little.over(many).on_client(), {"with_payload": True}),
        "vectors": (little.over(many).on_client(), {"with_vectors": True, **bare}),
    }
    for name, formula in here.items():
        made[f"{name} few"] = formula.over(few).on_client(), bare
        made[f"{name} many"] = formula.over(many).on_client(), bare
    return made


def prices(times: dict[str, float], small: Extent, large: Extent, payload_bytes: int) -> dict[str, float]:
    """What each thing takes, in microseconds."""
    more, computed, walked = MANY - FEW, count_nodes(products(200))[0], count_nodes(trees(800))[1] - count_nodes(trees(100))[1]

    def growth(name: str) -> float:
        return times[f"{name} many"] - times[f"{name} few"]

    def conditions(where: str) -> float:
        return (growth(f"{where}small") - growth(f"{where}plain")) / (small.conditions * more)

    sent = times["indexed large few"] - times["indexed small few"]
    asked = (large.conditions - small.conditions) * FEW * conditions("indexed ")
    whole, vector = (times[f"indexed {name}"] - times["indexed little many"] for name in ("payload", "vectors"))
    of_candidate = (growth("indexed products") - growth("indexed wide")) / (computed * more)
    first = (times["indexed products few"] - times["indexed wide few"]) / computed - FEW * of_candidate
    read = growth("indexed wide") - growth("indexed little") - count_nodes(reading(KEYS))[0] * of_candidate * more
    return {
        "byte sent": (sent - asked) / (large.bytes - small.bytes),
        "indexed condition of a candidate": conditions("indexed "),
        "unindexed condition of a candidate": conditions("plain "),
        "candidate fetched": growth("indexed little") / more,
        "value fetched": read / ((FIELDS - 1) * more),
        "payload byte fetched": whole / (MANY * payload_bytes) + LINE,
        "vector number fetched": vector / (MANY * DIMENSIONS),
        "node computed here": first,
        "node computed here for a candidate": of_candidate,
        "tree node walked here for a candidate": (growth("indexed trees") - growth("indexed small trees")) / (walked * more),
    }


def main() -> None:
    options = parser(__doc__ or "", points=5_000)
    options.add_argument("--rounds", type=int, default=25)
    given = options.parse_args()
    warnings.simplefilter("ignore")
    with ExitStack() as stack:
        calls: dict[str, Callable[[], Any]] = {}
        sizes: list[Extent] = []
        for where, indexed in (("indexed ", True), ("plain ", False)):
            name = stack.enter_context(collection(given.url, given.points, FIELDS, indexed, f"bench_prices_{where.strip()}"))
            client = QdrantClient(
                url=given.url, check_compatibility=False, timeout=120, headers={"accept-encoding": "identity"}
            )
            stack.callback(client.close)
            executor = Executor(client, name)
            chosen = strategies()
            calls |= dict(named(where, {key: chosen[key] for key in chosen if indexed or key in _IN_QDRANT}, executor))
            to = executor.target().capabilities
            sizes = [extent(lower(trees(count), Lowering([ScoreSource("")], to))) for count in (20, 400)]
            version, [point] = str(to), client.scroll(name, limit=1)[0]
        found = prices(fastest(calls, given.rounds), sizes[0], sizes[1], len(str(point.payload)))
    print(f"{version}, {given.points:,} points, {busy()}")
    for price, microseconds in found.items():
        print(f"  {price:40} {microseconds:8.4f} µs   the table has {PRICES[price].microseconds:g}")


_IN_QDRANT = ("plain few", "plain many", "small few", "small many")

if __name__ == "__main__":
    main()
