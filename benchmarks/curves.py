"""How calls grow with concurrency, candidates, terms, trees and payload: pictures and tables of docs/benchmarks.md.

Run: `python benchmarks/curves.py --url http://127.0.0.1:6333 --docs docs/benchmarks.md`
Draw again, of the figures that are there: `python benchmarks/curves.py --draw --docs docs/benchmarks.md`

The same request by the bare client, written by hand, and by an executor, over REST, over gRPC and to qdrant-edge in process.
Contenders take turns at each place of a curve; clients are as they come (a new connection for each REST request to this host).
What is measured is kept in `curves.json` (`--out`); `--seconds` bounds the whole: places that would begin later are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, QdrantClient, models

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.server_world import busy, rates, vectors
from qdrant_rerank import AsyncExecutor, Executor, Formula, Nearest, Query, SearchOptions, field, score
from qdrant_rerank.edge import EdgeClient
from qdrant_rerank.expressions import Expression

SIZE, FIELDS, LIMIT = 384, 20, 10
REST, GRPC, EDGE = "REST", "gRPC", "edge"
PLACES: Mapping[str, Sequence[int]] = {
    "concurrency": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    "candidates": [10, 30, 100, 300, 1000],
    "terms": [1, 3, 10, 30, 100, 300],
    "trees": [1, 3, 10, 30, 100],
    "payload": [100, 1_000, 10_000, 100_000],
}
TITLES = {
    "concurrency": ("searches at once", "searches a second", "Concurrency: 10 results with 1 kB of payload"),
    "candidates": ("candidates", "ms", "Candidates of a formula of 6 fields"),
    "terms": ("terms", "ms", "Terms of a formula over 100 candidates"),
    "trees": ("trees", "ms", "Trees of 8 leaves over 100 candidates"),
    "payload": ("bytes of payload of each of 10 results", "ms", "Payload of a plain search"),
}
BARE, OURS, FETCHED, CLIENT = "bare client", "ours", "fetch and score", "ours, on the client"
VECTORS = vectors(64, 5)
QUERIES = [Query(vectors={"": vector}) for vector in VECTORS]
PLAIN = Nearest()  # one for all: a strategy is checked once
Call = Callable[[int], Any]


@dataclass
class Clock:
    """What is left of the time that the whole may take."""

    ends: float

    @property
    def left(self) -> float:
        return self.ends - time.monotonic()


# The world


def payload(number: int, size: int = 1_000) -> dict[str, Any]:
    numbers = np.random.default_rng(number).normal(size=FIELDS)
    return {
        "text": ("an abstract of some words " * (size // 26 + 1))[:size],
        **{f"x{k}": float(numbers[k]) for k in range(FIELDS)},
    }


@contextmanager
def filled(client: QdrantClient, name: str, points: int, size: int = 1_000, fields: int = FIELDS) -> Iterator[str]:
    """A collection with payload indexes on its numbers, that is there until the end."""
    client.create_collection(name, models.VectorParams(size=SIZE, distance=models.Distance.COSINE))
    try:
        for key in range(fields):
            client.create_payload_index(name, f"x{key}", models.PayloadSchemaType.FLOAT)
        values = np.random.default_rng(2).normal(size=(points, SIZE)).astype(np.float32)
        step = max(10, min(500, 2_000_000 // (size + 8 * SIZE)))
        for start in range(0, points, step):
            ids: list[Any] = list(range(start, min(start + step, points)))
            payloads = [payload(number, size) for number in ids]
            client.upsert(name, models.Batch(ids=ids, vectors=values[start : start + step].tolist(), payloads=payloads))
        while client.get_collection(name).status != models.CollectionStatus.GREEN:
            time.sleep(0.2)
        yield name
    finally:
        client.delete_collection(name)


@contextmanager
def clients(url: str, grpc_port: int) -> Iterator[dict[str, QdrantClient]]:
    """By engine, as they come."""
    options: dict[str, Any] = {"url": url, "grpc_port": grpc_port, "check_compatibility": False, "timeout": 60}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        made: dict[str, QdrantClient] = {
            REST: QdrantClient(**options),
            GRPC: QdrantClient(**options, prefer_grpc=True),
            EDGE: EdgeClient(folder),
        }
        for client in made.values():
            stack.callback(client.close)
        yield made


# Contenders


def plain(client: QdrantClient, name: str) -> dict[str, Call]:
    executor, asked = Executor(client, name), SearchOptions(limit=LIMIT)
    return {
        BARE: lambda k: client.query_points(name, query=VECTORS[k % 64], limit=LIMIT),
        OURS: lambda k: executor.retrieve(PLAIN, QUERIES[k % 64], asked),
    }


def formulas(client: QdrantClient, name: str, terms: int, candidates: int, fetched: bool) -> dict[str, Call]:
    """A sum of weighted fields: by hand, with `defaults`; ours; and fetched and summed by numpy."""
    weights = np.random.default_rng(terms).normal(size=terms).round(3)
    keys = [f"x{number % FIELDS}" for number in range(terms)]
    expression: Expression = 1.0 * score()
    parts: list[Any] = ["$score"]
    for weight, key in zip(weights.tolist(), keys, strict=True):
        expression = expression + weight * field(key, default=0.0)
        parts.append(models.MultExpression(mult=[weight, key]))
    written = models.FormulaQuery(formula=models.SumExpression(sum=parts), defaults=dict.fromkeys(keys, 0.0))
    strategy, executor, asked = (
        Formula(expression).over(Nearest(limit=candidates)),
        Executor(client, name),
        SearchOptions(LIMIT),
    )

    def by_hand(k: int) -> Any:
        prefetch = models.Prefetch(query=VECTORS[k % 64], limit=candidates)
        return client.query_points(name, prefetch=prefetch, query=written, limit=LIMIT)

    def here(k: int) -> Any:
        wanted = list(dict.fromkeys(keys))
        found = client.query_points(name, query=VECTORS[k % 64], limit=candidates, with_payload=wanted).points
        table: Any = np.array([[(point.payload or {}).get(key, 0.0) for key in keys] for point in found])
        best = np.argsort(-(np.array([point.score for point in found]) + table @ weights))[:LIMIT]
        return client.retrieve(name, [found[place].id for place in best])

    calls: dict[str, Call] = {BARE: by_hand, OURS: lambda k: executor.retrieve(strategy, QUERIES[k % 64], asked)}
    return {**calls, FETCHED: here} if fetched else calls


def ensembles(client: QdrantClient, name: str, trees: int) -> dict[str, Call]:
    """LightGBM's trees: fetched and predicted by the model; in Qdrant, or where ours computes them by itself; on the client."""
    import lightgbm

    from qdrant_rerank.learn import from_model

    random = np.random.default_rng(1)
    table = random.normal(size=(2_000, 5))
    wanted = (table[:, 0] + table[:, 1] * table[:, 2] + random.normal(size=2_000) > 0).astype(int)
    settings: dict[str, Any] = {"verbose": -1, "n_jobs": 1, "n_estimators": trees, "num_leaves": 8, "random_state": 0}
    model: Any = lightgbm.LGBMClassifier(**settings).fit(table, wanted)
    columns: list[Expression] = [score(), *[field(f"x{key}", default=0.0) for key in range(4)]]
    strategy = Formula(from_model(model, columns)).over(Nearest(limit=100))
    on_client = strategy.on_client()
    executor, asked = Executor(client, name), SearchOptions(LIMIT)

    def here(k: int) -> Any:
        found = client.query_points(name, query=VECTORS[k % 64], limit=100, with_payload=True).points
        rows: Any = [[point.score, *[(point.payload or {})[f"x{key}"] for key in range(4)]] for point in found]
        scores = model.predict_proba(np.array(rows))[:, 1]
        return [found[place] for place in np.argsort(-scores)[:LIMIT]]

    return {
        FETCHED: here,
        OURS: lambda k: executor.retrieve(strategy, QUERIES[k % 64], asked),
        CLIENT: lambda k: executor.retrieve(on_client, QUERIES[k % 64], asked),
    }


# Measuring


def medians(contenders: Mapping[str, Call], seconds: float, most: int) -> dict[str, float]:
    """The median milliseconds of each, which take turns of three calls until the time is over; a turn each uncounted before."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    ends, turn = time.monotonic() + seconds, 0
    while turn < 2 or (time.monotonic() < ends and turn < most):
        for name, call in contenders.items():
            for number in range(3):
                start = time.perf_counter()
                call(3 * turn + number)
                if turn:
                    times[name].append(time.perf_counter() - start)
        turn += 1
    return {name: statistics.median(taken) * 1e3 for name, taken in times.items()}


async def throughput(
    made: Mapping[str, QdrantClient], name: str, url: str, grpc_port: int, given: Any, clock: Clock
) -> tuple[list[Any], dict[str, int]]:
    """Searches a second by concurrency."""
    options: dict[str, Any] = {"url": url, "grpc_port": grpc_port, "check_compatibility": False, "timeout": 60}
    bare = {REST: AsyncQdrantClient(**options), GRPC: AsyncQdrantClient(**options, prefer_grpc=True)}
    ours = {engine: AsyncExecutor(client, name) for engine, client in made.items()}
    asked = SearchOptions(limit=LIMIT)

    def by_bare(engine: str) -> Callable[[int], Any]:
        if engine == EDGE:
            return lambda k: asyncio.to_thread(made[EDGE].query_points, name, query=VECTORS[k % 64], limit=LIMIT)
        return lambda k: bare[engine].query_points(name, query=VECTORS[k % 64], limit=LIMIT)

    def by_ours(engine: str) -> Callable[[int], Any]:
        return lambda k: ours[engine].retrieve(PLAIN, QUERIES[k % 64], asked)

    calls = {f"{engine}, {who}": by(engine) for engine in made for who, by in ((BARE, by_bare), (OURS, by_ours))}
    rows, failed = [], dict[str, int]()
    for at in given.places["concurrency"]:
        if clock.left < 0:
            break
        found = await rates(calls, at, max(2 * at, given.calls), given.rounds)
        rows.append({"at": at, **{who: rate.calls for who, rate in found.items()}})
        show("concurrency", rows[-1])
        failed.update({f"{who} at {at}": rate.failed for who, rate in found.items() if rate.failed})
    for client in bare.values():
        await client.close()
    for executor in ours.values():
        await executor.aclose()
    return rows, failed


def growth(made: Mapping[str, QdrantClient], subject: str, given: Any, clock: Clock, contenders: Any) -> list[Any]:
    """Milliseconds of a call at each place of a curve."""
    rows = []
    for at in given.places[subject]:
        if clock.left < 0:
            break
        calls = {f"{engine}, {who}": call for engine, client in made.items() for who, call in contenders(client, at).items()}
        rows.append({"at": at, **medians(calls, given.seconds_each, 15)})
        show(subject, rows[-1])
    return rows


def show(subject: str, row: Mapping[str, Any]) -> None:
    print(subject, ", ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)


def measure(given: Any) -> dict[str, Any]:
    clock, mark = Clock(time.monotonic() + given.seconds), f"bench_w_curves_{os.getpid()}"
    curves: dict[str, Any] = {}
    with clients(given.url, given.grpc_port) as made, ExitStack() as stack:
        for engine in (REST, EDGE):
            stack.enter_context(filled(made[engine], mark, given.points))
        version = made[REST].info().version
        curves["concurrency"], failed = asyncio.run(throughput(made, mark, given.url, given.grpc_port, given, clock))
        curves["candidates"] = growth(made, "candidates", given, clock, lambda c, at: formulas(c, mark, 6, at, True))
        curves["terms"] = growth(made, "terms", given, clock, lambda c, at: formulas(c, mark, at, 100, False))
        curves["trees"] = growth(
            {engine: made[engine] for engine in (REST, EDGE)}, "trees", given, clock, lambda c, at: ensembles(c, mark, at)
        )
        for size in given.places["payload"]:
            for engine in (REST, EDGE):
                stack.enter_context(filled(made[engine], f"{mark}_{size}", 50, size, fields=0))
        curves["payload"] = growth(made, "payload", given, clock, lambda c, at: plain(c, f"{mark}_{at}"))
    where = f"Qdrant {version}, {given.points:,} points of {SIZE} dimensions, {busy()} that client and server share"
    return {"where": where, "failed": failed, "curves": curves}


# Drawing

COLOURS = {REST: "#1f78b4", GRPC: "#d9601a", EDGE: "#2a9d5c"}
STYLES: Mapping[str, tuple[Any, str]] = {OURS: ("-", "o"), CLIENT: ("-.", ""), BARE: ("--", ""), FETCHED: (":", "")}
GREY = "#808080"
"""Of letters and axes: it is read on white and on black, as the background is the page's."""


def draw(rows: Sequence[Mapping[str, float]], subject: str, path: Path) -> None:
    """One curve's picture; PNG or SVG by the path's suffix."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": subject, "font.size": 13, "font.family": "sans-serif"})
    from matplotlib import pyplot
    from matplotlib.lines import Line2D
    from matplotlib.ticker import LogLocator, NullLocator

    across, upwards, title = TITLES[subject]
    figure, axes = pyplot.subplots(figsize=(6.4, 4.6), layout="constrained")
    places, lines = [row["at"] for row in rows], [name.split(", ", 1) for name in list(rows[0])[1:]]
    for engine, who in lines:
        line, dot = STYLES[who]
        width = 2.4 if who == OURS else 1.8
        values = [row[f"{engine}, {who}"] for row in rows]
        axes.plot(places, values, linestyle=line, marker=dot, markersize=5, linewidth=width, color=COLOURS[engine])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(places, [_short(at) for at in places])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: _short(value))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.grid(True, color=GREY, alpha=0.25, linewidth=0.6)
    axes.set_xlabel(across, color=GREY)
    axes.set_ylabel(upwards, color=GREY)
    axes.set_title(title, color=GREY, fontsize=13, loc="left")
    axes.tick_params(colors=GREY)
    for side, spine in axes.spines.items():
        spine.set_color(GREY)
        spine.set_visible(side in ("left", "bottom"))
    kept = [engine for engine in COLOURS if engine in {engine for engine, _ in lines}]
    key = [Line2D([], [], color=COLOURS[engine], linewidth=3, label=engine) for engine in kept]
    for who, (line, dot) in STYLES.items():
        if who in {who for _, who in lines}:
            key.append(Line2D([], [], color=GREY, linestyle=line, marker=dot, linewidth=2, label=who))
    figure.legend(handles=key, loc="outside lower center", ncols=3, frameon=False, labelcolor=GREY, fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, transparent=True, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def table(rows: Sequence[Mapping[str, float]], subject: str) -> str:
    across, names = TITLES[subject][0], list(rows[0])[1:]
    lines = [f"| {across} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    lines += [
        f"| {row['at']:,} | "
        + " | ".join(f"{row[name]:.3g}" if row[name] < 100 else f"{row[name]:.0f}" for name in names)
        + " |"
        for row in rows
    ]
    return "\n".join(lines)


def page(figures: Mapping[str, Any], pictures: str) -> str:
    """What stands between the marks in docs/benchmarks.md."""
    parts = [figures["where"] + "."]
    if figures["failed"]:
        said = ", ".join(f"{count} of {who}" for who, count in figures["failed"].items())
        parts.append(f"Calls that failed, as the server reset their connections, and count as none: {said}.")
    for subject, rows in figures["curves"].items():
        if rows:
            _, upwards, title = TITLES[subject]
            said = f"{title}: {upwards}, by the bare client and ours"
            parts += [f"### {title}", f"![{said}]({pictures}/curves-{subject}.svg)", table(rows, subject)]
    return "\n\n".join(parts)


MARKS = "<!-- curves: by benchmarks/curves.py -->", "<!-- end of curves -->"


def write_page(path: Path, text: str) -> None:
    """Put the figures between the marks."""
    before, _, rest = path.read_text("utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise SystemExit(f"{path} has no {MARKS[0]} … {MARKS[1]}")
    path.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", "utf-8")


def main() -> None:
    here = Path(__file__).parent
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument(
        "--url", default=os.environ.get("QDRANT_URL", "http://127.0.0.1:6333"), help="the server's REST address"
    )
    options.add_argument("--grpc-port", type=int, default=int(os.environ.get("QDRANT_GRPC_PORT", "6334")))
    options.add_argument("--points", type=int, default=10_000)
    options.add_argument("--calls", type=int, default=80, help="at least so many at each concurrency")
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--seconds", type=float, default=200, help="after which no further place is begun")
    options.add_argument("--seconds-each", type=float, default=2.0, help="for a place, at most")
    options.add_argument("--most", type=int, default=10**9, help="places above it are left out")
    options.add_argument("--out", type=Path, default=here / "curves.json", help="the figures")
    options.add_argument("--pictures", type=Path, default=here.parent / "docs" / "pictures")
    options.add_argument("--docs", type=Path, help="a page whose figures are written anew")
    options.add_argument("--draw", action="store_true", help="draw what --out holds, and measure nothing")
    options.add_argument("--png", action="store_true", help="pictures as PNG, to look at")
    given = options.parse_args()
    given.places = {subject: [at for at in places if at <= given.most] for subject, places in PLACES.items()}
    warnings.simplefilter("ignore")
    if not given.draw:
        given.out.write_text(json.dumps(measure(given), indent=1) + "\n", "utf-8")
    figures = json.loads(given.out.read_text("utf-8"))
    for subject, rows in figures["curves"].items():
        if rows:
            draw(rows, subject, given.pictures / f"curves-{subject}.{'png' if given.png else 'svg'}")
    text = page(figures, "pictures")
    print(text)
    if given.docs is not None:
        write_page(given.docs, text)


if __name__ == "__main__":
    main()
