"""`qdrant-rerank calibrate`: the coefficients of relevance feedback, and whether to use it at all."""

from __future__ import annotations

import json as jsonlib
import random
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, Final, cast, get_args

import typer
from qdrant_client import models as qdrant
from rich.table import Table
from rich.text import Text

from .. import Coefficients, Executor, Query, RelevanceFeedback, SearchOptions
from .._internals import RECALL_READS, Mode, warn
from ..evaluate import Topic, Topics, read_topics
from ..learn import FeedbackEstimate, FeedbackFit, estimate_feedback_fit, fit_feedback
from ..learn._internals import (
    LEAST_JUDGED,
    LEAST_QUERIES,
    SYNTHETIC_WARNING,
    Progress,
    ScoreFile,
    check_candidate_count,
    check_queries,
    duration,
    first_search,
    is_sampled,
    sample_queries,
    show_gain,
)
from ..planning import Schema
from ..report._internals import count as count_words
from ..stages import Stage
from .connect import connect, find_collection
from .measuring import NOT_GOOD_ENOUGH, WhereToMeasure, read_data
from .models import RERANKERS, QueryModels, ShownText, give_encoders, open_reranker
from .options import (
    JSON,
    OUTPUT,
    ResultOptions,
    argument,
    check_output,
    command,
    flags_of,
    option,
    parse_filter,
    refuse_unused,
    split_list,
    without,
)
from .output import CommandError, errors_console, hint_at_resuming, make_table, results_console, show_progress, show_table
from .results import TEXT_KEYS
from .strategies import Choice


@dataclass(frozen=True)
class _Queries:
    """What the fit learns from: query id → text, and id → document id → grade of those with judgments."""

    texts: Mapping[str, str]
    judged: Mapping[str, Mapping[str, int]]

    @property
    def distinct(self) -> int:
        return len(set(self.texts.values()))

    @property
    def distinct_judged(self) -> int:
        return len({self.texts[id] for id in self.judged})


@dataclass(frozen=True)
class _Source:
    panel: ClassVar = "Queries and judgments"

    queries: Path | None = argument(
        "[QUERIES]",
        "Real queries: a file with id, tab and text on each line, or JSON lines with _id and text; or a folder as BEIR lays it "
        "out, whose judgments are used. With --sample, the file that the queries are written to.",
        None,
    )
    sample: int | None = option(
        "--sample N", "Make N queries of stored documents (titles, first sentences), for a trial: such queries mislead."
    )
    qrels: Path | None = option(
        "--qrels FILE",
        "Judgments of documents for the queries, as TREC or BEIR write them; without any, the model judges itself.",
    )
    split: str | None = option(
        "--split NAME",
        "Which judgments of a BEIR folder. Not those that the result will be tested on.",
        shows="train",
    )
    doc_id: str | None = option(
        "--doc-id KEY",
        "The payload key that holds a document's id as it is in the judgments. If not given _id, or the point's id where a "
        "point has no _id.",
    )
    most: int | None = option("--most N", "Take at most N of the queries, drawn at random (see --seed).", shows="200")
    seed: int = option("--seed N", "For what is drawn at random: the same gives the same.", 0)

    def check(self) -> None:
        """Refuse options that exclude each other, and numbers that can't be."""
        for flag, value in (("--most", self.most), ("--sample", self.sample)):
            if value is not None and value < 1:
                raise CommandError(f"{flag} must be at least 1, got {value}")
        if self.sample is None and self.queries is None:
            raise CommandError(
                "which queries? give a file of real ones (id, tab, text), or --sample N to make some for a trial"
            )
        if self.sample is not None:
            refuse_unused(
                flags_of(self, "queries", "sample", "seed"),
                "--sample makes as many queries as it says, and nobody has judged documents for them",
            )
        if self.sample is not None and self.queries is not None and self.queries.exists():
            raise CommandError(f"--sample would write its queries over {self.queries}: leave it out to use those")

    def read(self) -> _Queries | None:
        """Read the files; None with `--sample`, which needs a collection."""
        if self.sample is not None or self.queries is None:
            return None
        none: Mapping[str, Mapping[str, int]] = {}
        topics, qrels = read_data(self.queries, self.qrels, self.split, "train", lambda file: (read_topics(file), none))
        if not qrels:
            refuse_unused(flags_of(self, "queries", "most", "seed"), "there are no judgments")
        taken = self._draw(topics)
        judged = {topic.id: qrels[topic.id] for topic in taken if topic.id in qrels}
        if qrels and not judged:
            raise CommandError(f"{self.qrels} has no judgments for the queries of {self.queries}: their ids differ")
        if is_sampled(found := {topic.id: topic.text for topic in taken}):
            warn(SYNTHETIC_WARNING)
        return _Queries(found, judged)

    def _draw(self, topics: Topics) -> Sequence[Topic]:
        if others := sum(not topic.is_plain for topic in topics):
            warn(f"{others} of the queries come with filters, params or vectors; the fit uses nothing but their text")
        most = 200 if self.most is None else self.most
        if len(topics) <= most:
            return topics.items
        warn(f"{most} of the {len(topics)} queries are taken, at random; --most N takes more")
        return random.Random(self.seed).sample(topics.items, most)

    def make(self, executor: Executor, filter: qdrant.Filter | None, *, keep: bool) -> _Queries:
        """Make queries of the collection; `keep` writes them to the file that is named."""
        assert self.sample is not None
        texts = sample_queries(executor, self.sample, filter=filter)
        if len(texts) < self.sample:
            warn(f"--sample {self.sample}: only {len(texts)} different queries could be made of the points drawn")
        if self.queries is not None and keep:
            self.queries.write_text("".join(f"{id}\t{text}\n" for id, text in texts.items()), "utf-8")
        return _Queries(texts, {})


@dataclass(frozen=True)
class _Fit:
    panel: ClassVar = "What to fit"

    rerank: str | None = option(
        "--rerank MODEL",
        f"The reranker, which must be given: {RERANKERS}",
    )
    text_key: str = option("--text-key KEYS", "Payload keys with the text that the model reads.", TEXT_KEYS)
    mode: str = option(
        "--mode precision|recall",
        "How feedback will be used: precision scores the seeds only, and returns what the steered search finds; recall scores "
        "that, too, and sorts all by the model.",
        "precision",
    )
    seeds: int = option("--seeds N", "How many of the first results the model is shown.", 5)
    reads: int | None = option("--reads N", "With --mode recall: how many documents are scored for a query in all.", shows="25")
    candidates: int | None = option(
        "--candidates N",
        "How many results of each query the model scores to learn from.",
        shows="50, or twice --reads if that is more",
    )

    def feedback(self, choice: Choice, schema: Schema) -> RelevanceFeedback:
        """Relevance feedback over the chosen first search, with coefficients of plain search."""
        chosen = choice.strategy(schema)
        if self.mode not in get_args(Mode):
            raise CommandError(f"--mode is {' or '.join(get_args(Mode))}, got {self.mode!r}")
        if self.reads is not None and self.mode != "recall":
            raise CommandError(
                "--reads is for --mode recall: in mode precision as many documents are scored as there are --seeds"
            )
        if not isinstance(chosen, Stage):
            raise CommandError(f"the seeds are found by a search that Qdrant runs alone, which {type(chosen).__name__} isn't")
        return RelevanceFeedback(
            seeds=replace(chosen, limit=self.seeds),
            coefficients=Coefficients(1.0, 0.0, 0.0),
            mode=cast(Mode, self.mode),
            limit=self.reads,
        )


@dataclass(frozen=True)
class _Files:
    panel: ClassVar = OUTPUT

    cache: Path | None = option(
        "--resume FILE",
        "Keep the model's scores in this file as they come, and go on from what it holds.",
    )
    out: Path | None = option(
        "--output -o FILE",
        "Write the strategy with its coefficients as JSON, if feedback is what to use; else the exit code is "
        f"{NOT_GOOD_ENOUGH}, and nothing is written.",
    )
    anyway: bool = option(
        "--anyway",
        f"Write --output even if feedback isn't what to use; the exit code is {NOT_GOOD_ENOUGH} all the same.",
        False,
    )

    def check(self) -> None:
        """Refuse at once what would fail after the model is paid."""
        check_output("--resume", self.cache)
        check_output("--output", self.out)
        if self.anyway and self.out is None:
            raise CommandError("--anyway says to write --output whatever comes out: add --output FILE")

    def finish(self, fit: FeedbackFit) -> None:
        """Write the strategy if it is recommended, else end with `NOT_GOOD_ENOUGH`."""
        good = fit.recommends == "feedback"
        if self.out is not None and (good or self.anyway):
            fit.save(self.out, anyway=self.anyway)
            errors_console().print(Text(f"the strategy is in {self.out}", "dim"))
        elif self.out is not None:
            errors_console().print(
                Text(f"{self.out} is not written, as feedback isn't what to use; --anyway writes it", "yellow")
            )
        if not good:
            sys.exit(NOT_GOOD_ENOUGH)


@command
def run_calibrate(
    *,
    source: _Source,
    where: WhereToMeasure,
    wanted: _Fit,
    choice: Annotated[Choice, without("unchecked", "formula", "mmr", "rescore", "dense_vector", "sparse_vector")],
    selection: Annotated[ResultOptions, without("k", "score_threshold", "group_by")],
    files: _Files,
    dry_run: bool = option(
        "--dry-run",
        "Only say what it will cost; the model scores a handful of texts, to tell how long it takes.",
        False,
        panel=OUTPUT,
    ),
    json: bool = JSON,
    models: QueryModels,
) -> None:
    """Fit relevance feedback to a collection and a model, and find out whether it is worth using.

    A model scores what a first search finds; from that the coefficients are learned. Plain search, plain reranking of as many
    documents, and feedback are compared on each query by coefficients that were learned without it. Take 50 to 200 real
    queries, with judgments if there are any. What it costs is known before:

    $ qdrant-rerank calibrate topics.tsv --edge ./db --rerank cross-encoder:./models/reranker --dry-run

    $ qdrant-rerank calibrate topics.tsv --qrels qrels.txt --edge ./db --rerank cross-encoder:./models/reranker
    --resume scores.jsonl --output feedback.json

    The file is a strategy: search QUERY --strategy feedback.json --rerank MODEL. The exit code is 3 if feedback isn't what
    to use.

    Without real queries, for a trial, with queries made of 50 stored documents:

    $ qdrant-rerank calibrate made.tsv --sample 50 --edge ./db --rerank cross-encoder:./models/reranker --dry-run
    """
    files.check()
    source.check()
    refuse_unused(["--json"] if json and dry_run else [], "--dry-run says in a sentence what it will cost")
    given, only, policy = source.read(), parse_filter(selection.filter), where.policy
    with connect(where) as client, open_reranker(wanted.rerank) as model:
        if model is None:
            raise CommandError(
                "which reranker? --rerank MODEL, e.g. cohere:rerank-v3.5, fastembed:Xenova/ms-marco-MiniLM-L-6-v2, or "
                "cross-encoder:DIR for one in a folder"
            )
        named = find_collection(client, where.collection, policy)
        executor = Executor(
            client, named, payload=ShownText.of(split_list(wanted.text_key)), reranker=model, retries=policy.rest
        )
        target = executor.target()
        strategy = wanted.feedback(choice, target.schema)
        needs = executor.plan(strategy, SearchOptions(limit=1, filter=only)).strategy.needs()
        give_encoders(executor, needs, models.by_kind, policy)
        queries = given or source.make(executor, only, keep=not dry_run)
        count = max(50, 2 * (strategy.most or 0)) if wanted.candidates is None else wanted.candidates
        # refused before its cost is shown; a dry run only warns of too few queries
        check_candidate_count(strategy, count)
        first_search(strategy.resolve(target.schema), target, count, only)
        if not dry_run:
            check_queries(queries.texts.values())
        with closing(ScoreFile(model, files.cache)) as scores:
            kept = len(scores.known)
            speed = _measure_speed(executor, strategy, next(iter(queries.texts.values())), only, scores) if dry_run else None
        cost = estimate_feedback_fit(
            queries.distinct,
            mode=strategy.mode,
            seeds=wanted.seeds,
            reads=strategy.most or RECALL_READS,
            candidates=count,
            judged_queries=queries.distinct_judged,
            seconds_per_document=speed,
        )
        _print_cost(cost, queries, f"{files.cache} holds {count_words(kept, 'score')}" if kept else "", dry_run=dry_run)
        if dry_run:
            return
        with hint_at_resuming(files.cache, "the scores"), show_scoring() as progress:
            fit = fit_feedback(
                executor,
                queries.texts,
                mode=strategy.mode,
                seeds=strategy.seeds,
                reads=strategy.most or RECALL_READS,
                candidates=count,
                qrels=queries.judged,
                doc_id=source.doc_id,
                filter=only,
                cache=files.cache,
                progress=progress,
                seed=source.seed,
                retries=policy.rest,
            )
    if json:
        typer.echo(_fit_json(fit))
    else:
        _print_fit(fit)
    files.finish(fit)


_HANDFUL: Final = 8  # texts, to tell how long the model takes


def _measure_speed(
    executor: Executor, strategy: RelevanceFeedback, query: str, filter: qdrant.Filter | None, scores: ScoreFile
) -> float | None:
    """Measure the model's seconds for a text; None if all scores were kept."""
    seeds = replace(strategy.seeds, limit=None)
    points = executor.retrieve(seeds, Query(query), SearchOptions(limit=_HANDFUL, filter=filter, with_payload=True))
    texts = [text for point in points if (text := executor.payload.content(point.payload or {}).text).strip()]
    scores.score(query, texts)
    return scores.seconds / scores.asked if scores.asked else None


def _print_cost(cost: FeedbackEstimate, queries: _Queries, kept: str, *, dry_run: bool) -> None:
    """Print what a fit takes, as the result of a dry run, else beside the results; and what is too little.

    `kept` says how many scores there are already; only the fit's searches show which of them it needs.
    """
    judged = queries.distinct_judged
    if 0 < judged < LEAST_JUDGED:
        warn(f"the judgments of {judged} queries are too few and aren't used: it takes {LEAST_JUDGED}")
    line = (
        f"{cost.queries} queries{f' ({judged} with judgments)' if judged else ''}: one search each"
        f"{', three more for each that is judged' if judged >= LEAST_JUDGED else ''}, in "
        f"{count_words(cost.requests, 'request')} to Qdrant; the model scores up to {cost.documents:,} texts"
        f"{'' if cost.seconds is None else f', which takes it about {duration(cost.seconds)}'}"
        f"{f'; {kept}, and none of those that this fit needs is asked for again' if kept else ''}"
    )
    if not dry_run:
        errors_console().print(Text(line, "dim"))
        return
    results_console().print(Text(line), soft_wrap=True)
    if queries.distinct < LEAST_QUERIES:
        warn(f"{queries.distinct} queries are too few: the fit needs at least {LEAST_QUERIES}, and 50 to 200 are better")


@contextmanager
def show_scoring() -> Generator[Callable[[Progress], None], None, None]:
    """Show a fit's progress as a bar with cost and time left, or lines without a terminal."""
    with show_progress("scoring", has_notes=True) as tell:
        yield lambda at: tell(at.done, at.total, describe_progress(at))


def describe_progress(progress: Progress) -> str:
    """What was paid for, and how long the rest takes."""
    left = "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
    return f"{progress.asked:,} asked of the model{left}"


def _print_fit(fit: FeedbackFit) -> None:
    console = results_console()
    verdict, signal, *others = str(fit).splitlines()
    console.print(Text(verdict, "bold green" if fit.recommends == "feedback" else "bold yellow"))
    console.print(Text(signal))
    console.print(Text(others[0]))
    show_table(console, _table(fit))
    console.print(
        Text("agreement: with the model, of all that was found; unseen: of what it wasn't shown, which tells signal", "dim")
    )
    console.print(Text(others[-1], "dim"))


def _table(fit: FeedbackFit) -> Table:
    """Three rows for each measure: each way beside what it has to beat."""
    table = make_table("held out", "by", "mean", "over plain [95 %]", "over rerank [95 %]", text=2)
    for each in fit.comparisons:
        table.add_row(each.measure, "plain", f"{each.plain:.3f}", "", "")
        table.add_row("", "rerank", f"{each.rerank:.3f}", show_gain(each.rerank_over_plain), "")
        table.add_row("", "feedback", f"{each.feedback:.3f}", show_gain(each.over_plain), show_gain(each.over_rerank))
    return table


def _fit_json(fit: FeedbackFit) -> str:
    names = {"recommends": fit.recommends, "signal": fit.signal, "disagreement": fit.disagreement, "queries": fit.queries}
    found = {"queries_with_judgments": fit.judged_queries, "skipped": fit.skipped, "coefficients": _plain(fit.coefficients)}
    folds, comparisons = [_plain(each) for each in fit.folds], [asdict(each) for each in fit.comparisons]
    return jsonlib.dumps(names | found | {"coefficients_by_fold": folds, "comparisons": comparisons})


def _plain(weights: Coefficients) -> dict[str, float]:
    return {"a": weights.a, "b": weights.b, "c": weights.c}
