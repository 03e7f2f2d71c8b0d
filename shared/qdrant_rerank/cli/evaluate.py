"""`qdrant-rerank evaluate`: how good a strategy's results are by judgments, and what a query costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.text import Text

from .. import SearchOptions
from ..evaluate import Evaluation, check, write_run
from .connect import connect
from .consoles import make_table, results_console, show_table
from .measuring import (
    JudgedData,
    Measuring,
    Output,
    WhereToMeasure,
    describe_interval,
    describe_number,
    end_with,
    print_notes,
    warn_of_unknown,
)
from .models import QueryModels, Reranking, open_reranker
from .options import check_output, command, option, without
from .strategies import Choice, make_plan


@command
def run_evaluate(
    *,
    data: JudgedData,
    where: WhereToMeasure,
    choice: Annotated[Choice, without("unchecked")],
    reranking: Reranking,
    measuring: Measuring,
    name: str = option("--name TEXT", "What to call the strategy.", "", shows="what it is"),
    resume: Path | None = option("--resume FILE", "Keep each answer in this file as it comes, and go on from what it holds."),
    run: Path | None = option("--run FILE", "Write the rankings as a TREC run file."),
    output: Output,
    models: QueryModels,
) -> None:
    """Measure how good a strategy's results are, by judgments of documents, and what a query costs.

    Means over the topics come with 95 % bootstrap intervals; topics without judgments are left out and counted, topics
    that find nothing count as 0 and are told. A rate limit and a server that is briefly away are waited for; a topic that
    fails all the same ends the command, and --resume goes on from there.

    $ qdrant-rerank evaluate ./scifact --split test --edge ./db --hybrid

    $ qdrant-rerank evaluate judged.csv --edge ./db --strategy strategy.json --measure nDCG@10 --measure "P(rel=2)@5"

    Topics and judgments in TREC's files, and a run file out:

    $ qdrant-rerank evaluate topics.tsv --qrels qrels.txt --edge ./db --run dense.run

    With a model that reads the candidates, which takes its time:

    $ qdrant-rerank evaluate ./scifact --edge ./db --hybrid --rerank cross-encoder:./models/reranker --rerank-limit 20

    A report to look at, in a browser:

    $ qdrant-rerank evaluate ./scifact --edge ./db --hybrid --report report.html

    In a build, which fails if the search got worse than it should be:

    $ qdrant-rerank evaluate judged.csv --edge ./db --hybrid --fail-under 0.7
    """
    output.check()
    check_output("--run", run)
    check_output("--resume", resume)
    judged, _ = data.read(), measuring.measures
    with connect(where) as client, open_reranker(reranking.model) as model:
        options = SearchOptions(limit=1)
        executor, plan = make_plan(client, where, choice, options, models, reranking)
        executor.reranker = model
        if measuring.check_documents:
            warn_of_unknown(judged[1], executor)
        evaluation = measuring.evaluate(
            plan.strategy,
            judged,
            executor,
            name=name or ("" if choice.file is None else choice.file.stem),
            label=str(data.data),
            kept=resume,
            hint="--resume FILE keeps each answer as it comes, and goes on from there",
        )
    if run is not None:
        write_run(evaluation.run, run)
    output.show(evaluation, print_evaluation, result=evaluation)
    end_with(check(evaluation, fail_under=output.fail_under))


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the means with their intervals, what a query cost, and what a reader must know."""
    console = results_console()
    console.print(Text(f"{evaluation.name}, {len(evaluation.coverage.measured)} topics"), style="bold")
    table = make_table("measure", "mean", "95 % interval")
    for measure, mean in evaluation.means.items():
        table.add_row(measure, f"{mean.estimate:.4f}", describe_interval(mean))
    show_table(console, table)
    console.print(Text(_cost_line(evaluation)), style="dim")
    print_notes([evaluation])


def _cost_line(evaluation: Evaluation) -> str:
    costs = evaluation.costs
    parts = []
    if costs.round_trips is not None:
        trips = "round trip" if costs.round_trips == 1 else "round trips"
        parts.append(
            f"{describe_number(costs.round_trips)} {trips}, {describe_number(costs.model_texts)} texts read by a model"
        )
        parts.append(f"{describe_number(costs.bytes_sent)} bytes sent, {describe_number(costs.bytes_received)} received")
    if costs.p50_ms is not None and costs.p95_ms is not None:
        parts.append(f"{costs.p50_ms:.1f} ms (median), {costs.p95_ms:.1f} ms (95 %)")
    return "one query: " + ("; ".join(parts) or "costs unknown")
