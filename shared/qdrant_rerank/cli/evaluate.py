"""`evaluate`: how good a strategy is by judgments, and what a query costs; `compare`: several beside a baseline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

from qdrant_client import QdrantClient
from rich.text import Text

from .. import Executor, SearchOptions, load
from ..evaluate import Comparison, Evaluation, Qrels, TopicChange, Topics, check, compare, evaluate, read_run, write_run
from ..models import Reranker
from .connect import CommandRetries, connect, find_collection
from .measuring import (
    NOT_GOOD_ENOUGH,
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
from .options import check_output, command, flags_of, option, refuse_unused, without
from .output import CommandError, make_table, results_console, show_table
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
    run: Path | None = option("--output -o FILE", "Write the rankings as a TREC run file."),
    output: Output,
    models: QueryModels,
) -> None:
    """Measure how good a strategy's results are, by judgments of documents, and what a query costs.

    Means over the topics come with 95 % bootstrap intervals. Topics without judgments are left out and counted; topics
    that find nothing count as 0 and are listed. The command waits for a rate limit to pass, and for a server that is
    briefly away; a topic that fails all the same ends it, and --resume goes on from there.

    $ qdrant-rerank evaluate ./scifact --split test --edge ./db --hybrid

    $ qdrant-rerank evaluate judged.csv --edge ./db --strategy strategy.json --measure nDCG@10 --measure "P(rel=2)@5"

    Topics and judgments in TREC's files, and a run file out:

    $ qdrant-rerank evaluate topics.tsv --qrels qrels.txt --edge ./db --output dense.run

    With a model that reads the candidates, which takes its time:

    $ qdrant-rerank evaluate ./scifact --edge ./db --hybrid --rerank cross-encoder:./models/reranker --reads 20

    A report to look at, in a browser:

    $ qdrant-rerank evaluate ./scifact --edge ./db --hybrid --report report.html

    In a build, which fails if the search got worse than it should be:

    $ qdrant-rerank evaluate judged.csv --edge ./db --hybrid --fail-under 0.7
    """
    output.check()
    check_output("--output", run)
    check_output("--resume", resume)
    judged, _ = data.read(), measuring.measures
    with connect(where) as client, open_reranker(reranking.model) as model:
        executor, plan = make_plan(client, where, choice, SearchOptions(limit=1), models, reranking)
        executor.reranker = model
        if measuring.check_documents:
            warn_of_unknown(judged[1], executor)
        evaluation = measuring.evaluate(plan.strategy, judged, executor, name or choice.name, resume)
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
    costs, parts, say = evaluation.costs, list[str](), describe_number
    if costs.round_trips is not None:
        trips = "round trip" if costs.round_trips == 1 else "round trips"
        parts.append(f"{say(costs.round_trips)} {trips}, {say(costs.model_texts)} texts read by a model")
        parts.append(f"{say(costs.bytes_sent)} bytes sent, {say(costs.bytes_received)} received")
    if costs.p50_ms is not None and costs.p95_ms is not None:
        parts.append(f"{costs.p50_ms:.1f} ms (median), {costs.p95_ms:.1f} ms (95 %)")
    return "one query: " + ("; ".join(parts) or "costs unknown")


_WHAT: Final = "What to compare"


@command
def run_compare(
    *,
    data: JudgedData,
    where: WhereToMeasure,
    strategy: list[Path] | None = option(
        "--strategy -s FILE",
        "A strategy in a JSON file, as plan --output writes it; called by the file's name. May be repeated.",
        panel=_WHAT,
    ),
    unchecked: bool = option(
        "--unchecked",
        "Run what strategies have learned even on a collection that lacks what it was trained on, or with another model or "
        "other texts than it was fitted to.",
        False,
        panel=_WHAT,
    ),
    run: list[Path] | None = option(
        "--run FILE", "A TREC run file of any system; called by the file's name. May be repeated.", panel=_WHAT
    ),
    baseline: str | None = option(
        "--baseline NAME",
        "What the others are compared with.",
        shows="the first strategy, or else the first run",
        panel=_WHAT,
    ),
    rerank: str | None = option(
        "--rerank MODEL",
        "The model that reads the candidates of strategies that rerank, as search --rerank names it.",
        panel=_WHAT,
    ),
    measuring: Measuring,
    resume: Path | None = option(
        "--resume FOLDER",
        "Keep each strategy's answers in a file of this folder as they come, and go on from what it holds.",
    ),
    changes: int = option("--changes N", "How many of the topics with the largest changes to show.", 3),
    explain: bool = option("--explain", "Show why the results of these topics are where they are.", False),
    fail_worse: bool = option(
        "--fail-worse",
        f"End with exit code {NOT_GOOD_ENOUGH} if a system is worse than the baseline beyond chance.",
        False,
    ),
    output: Output,
    models: QueryModels,
) -> None:
    """Compare strategies, and runs of other systems, with a baseline, on the same topics and judgments.

    The first measure decides. Each difference comes with a paired bootstrap interval and a paired randomisation test,
    corrected for all systems compared, and a verdict in plain words: better, worse, no difference beyond chance, or too
    few topics to say.

    $ qdrant-rerank compare ./scifact --edge ./db --strategy dense.json --strategy hybrid.json --measure nDCG@10

    $ qdrant-rerank compare judged.csv --edge ./db --strategy hybrid.json --run elsewhere.run --baseline elsewhere

    Plain search, reranking and relevance feedback (made by plan --output, plan --rerank --output, and calibrate):

    $ qdrant-rerank compare judged.csv --edge ./db -s plain.json -s rerank.json -s feedback.json --rerank
    cross-encoder:./models/reranker

    A report to look at, in a browser:

    $ qdrant-rerank compare ./scifact --edge ./db --strategy dense.json --strategy hybrid.json --report report.html

    In a build, which fails if the new strategy is worse:

    $ qdrant-rerank compare judged.csv --edge ./db --strategy old.json --strategy new.json --fail-worse
    """
    output.check()
    strategies, runs = strategy or [], run or []
    if (count := len(strategies) + len(runs)) < 2:
        raise CommandError(f"compare needs at least two of --strategy FILE and --run FILE, got {count}")
    if not strategies:
        given = {"--unchecked": unchecked, "--rerank": rerank, "--resume": resume, "--explain": explain}
        flags = [flag for flag, value in given.items() if value] + flags_of(measuring, "measure")
        refuse_unused([*flags, *flags_of(where), *flags_of(models)], "runs are compared as they are, without Qdrant")
    elif rerank is not None and not any(load(file).cost.reads for file in strategies):
        refuse_unused(["--rerank"], "none of the strategies needs a reranker; plan --rerank --output writes one that does")
    measures, judged = measuring.measures, data.read()
    systems = [evaluate(read_run(file, file.stem), *judged, measures) for file in runs]
    if strategies:
        with connect(where) as client, open_reranker(rerank) as model:
            named = replace(where, collection=find_collection(client, where.collection, where.policy))
            choices = [Choice(file, unchecked=unchecked, lenient=True) for file in strategies]
            own = [_evaluate(client, named, each, models, model, measuring, judged, resume) for each in choices]
            if measuring.check_documents:
                warn_of_unknown(judged[1], Executor(client, str(named.collection), retries=where.policy.rest))
            # below the connection, as explanations ask Qdrant
            found = compare([*own, *systems], baseline, measures[0], changes=changes, explain=explain)
    else:
        found = compare(systems, baseline, measures[0], changes=changes)
    output.show(found, _print_comparison, result=found)
    end_with(check(found, fail_under=output.fail_under, fail_worse=fail_worse))


def _evaluate(
    client: QdrantClient,
    where: WhereToMeasure,
    choice: Choice,
    models: QueryModels,
    reranker: Reranker | None,
    measuring: Measuring,
    judged: tuple[Topics, Qrels],
    folder: Path | None,
) -> Evaluation:
    """Evaluate one of the strategies, and keep its answers in the folder."""
    later = CommandRetries(where.policy.rest, where.policy.rest)  # Qdrant has answered by now
    executor, plan = make_plan(client, where, choice, SearchOptions(limit=1), models, policy=later)
    if plan.strategy.cost.reads > 0:
        Reranking("" if reranker else None).over(plan.strategy)  # refuses it where no model is named
        executor.reranker = reranker
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    kept = None if folder is None else folder / f"{choice.name}.jsonl"
    return measuring.evaluate(plan.strategy, judged, executor, choice.name, kept)


def _print_comparison(comparison: Comparison) -> None:
    console = results_console()
    table = make_table("system", comparison.measure, "95 % interval", "trips", "texts read", "median ms")
    for one in comparison.evaluations:
        mean, costs = one.means[comparison.measure], one.costs
        name = Text(one.name + (" (baseline)" if one.name == comparison.baseline else ""), overflow="fold")
        numbers = [describe_number(costs.round_trips), describe_number(costs.model_texts), describe_number(costs.p50_ms)]
        table.add_row(name, f"{mean.estimate:.4f}", describe_interval(mean), *numbers)
    show_table(console, table)
    for verdict in comparison.verdicts:
        console.print(Text(verdict))
    for cost, names in comparison.frontiers.items():
        console.print(Text(f"worth their cost in {_COSTS[cost]}: {', '.join(names)}"), style="dim")
    for difference in comparison.differences:
        if difference.changes:
            console.print()
            console.print(Text(f"largest changes from {comparison.baseline} to {difference.name}"), style="bold")
        for change in difference.changes:
            _print_change(change, comparison.baseline, difference.name)
    print_notes(comparison.evaluations)


_COSTS = {"p50_ms": "time", "round_trips": "round trips", "model_texts": "texts read by a model"}


def _print_change(change: TopicChange, baseline: str, name: str) -> None:
    console = results_console()
    console.print(Text(f"{change.before:.3f} → {change.after:.3f}  {change.topic}: {change.text}"))
    rows = (baseline, change.ranking_before, change.why_before), (name, change.ranking_after, change.why_after)
    for system, ranking, why in rows:
        line = Text(f"  {system}: ", style="dim")
        named = (Text(document, "bold green" if document in change.relevant else "") for document in ranking[:5])
        console.print(line + Text(", ").join(named))
        for document, reason in zip(ranking[:3], why, strict=False):
            console.print(Text(f"    {document}: {reason}"), style="dim")
