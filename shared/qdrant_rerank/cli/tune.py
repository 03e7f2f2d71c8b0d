"""`qdrant-rerank tune`: which strategy to use, and whether it is worth leaving the default for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from qdrant_client import QdrantClient
from rich.text import Text

from .. import Executor, Nearest, RelevanceFeedback, Strategy, load
from .._internals import did_you_mean, warn
from ..learn._internals import LEAST_TOPICS
from ..models import Reranker
from ..tune import Budget, Feedback, Learned, Space, Tuning, tune
from .connect import connect, find_collection
from .learn import read_features
from .measuring import Output, TrainingData, WhereToMeasure
from .models import RERANKERS, QueryModels, ShownText, give_encoders, open_reranker, read_notes
from .options import OUTPUT, check_output, command, option, refuse_unused, split_list, without
from .output import CommandError, errors_console, hint_at_resuming, make_table, results_console, show_progress, show_table


@dataclass(frozen=True)
class _Trials:
    panel: ClassVar = "What to try"

    candidate: list[str] | None = option(
        "--candidate VECTOR",
        "A vector to search by; may be repeated.",
        shows="every dense and sparse vector whose model is known",
    )
    depth: list[int] | None = option(
        "--depth N", "How many candidates a search may hand on; may be repeated.", shows="20, 50 and 100"
    )
    baseline: Path | None = option(
        "--baseline FILE",
        "The strategy to beat, as JSON.",
        shows="RRF with Qdrant's defaults over all candidates, or the only candidate",
    )
    rerank: str | None = option(
        "--rerank MODEL",
        f"Try having this model read the candidates, too: {RERANKERS}",
    )
    feedback: list[Path] | None = option(
        "--feedback FILE",
        "Try relevance feedback with what calibrate wrote to this file, beside plain search and reranking as many documents; "
        "needs the --rerank MODEL that it was fitted to. May be repeated.",
    )
    reads: list[int] | None = option(
        "--reads N",
        "How many documents the model scores for a query with --feedback in mode recall; may be repeated.",
        shows="as the file says",
    )
    text_key: str | None = option(
        "--text-key KEYS", "Payload keys with the text that the model reads, joined by a space.", shows="title,text"
    )
    learn: bool | None = option(
        "--learn/--no-learn",
        "Try a formula whose weights are learned from the judgments, even of few topics; or never.",
        shows="with 50 topics or more",
    )
    features: Path | None = option(
        "--features FILE",
        "What that formula may weigh beside the scores: a JSON object of name to formula, e.g. "
        '{"rating": "field(\'rating\', 3)"}, or what features or fit wrote.',
    )
    measure: str = option("--measure -m NAME", "The measure, as ir-measures writes it.", "nDCG@10")
    splits: int = option("--splits N", "How many times to choose on one half and judge on the other.", 20)
    seed: int = option("--seed N", "Of the random halves: the same gives the same.", 0)

    def space(self) -> Space:
        """What is tried, with a learned formula unless it is declined."""
        if self.rerank is None and self.text_key is not None:
            refuse_unused(["--text-key"], "no model reads texts without --rerank MODEL")
        if self.learn is False and self.features is not None:
            raise CommandError("--features is for the formula that --no-learn declines: leave one of them out")
        space = Space() if self.depth is None else Space(depths=tuple(self.depth))
        families = tuple(family for family in space.families if not isinstance(family, Learned))
        if self.learn is not False:
            formula = Learned({} if self.features is None else read_features(self.features))
            families = (*families, replace(formula, least_topics=LEAST_TOPICS) if self.learn else formula)
        return replace(space, families=families)

    def steered(self) -> Feedback | None:
        """Relevance feedback as the files have it; None without any."""
        if not self.feedback:
            if self.reads:
                raise CommandError("--reads is for --feedback FILE: name what calibrate wrote")
            return None
        if self.rerank is None:
            raise CommandError("--feedback needs --rerank MODEL: the model that the coefficients were fitted to")
        return Feedback([RelevanceFeedback.load(file) for file in self.feedback], self.reads)


@dataclass(frozen=True)
class _Limits:
    panel: ClassVar = "What it may take"

    max_requests: int | None = option("--max-requests N", "At most so many searches.")
    max_texts: int | None = option("--max-texts N", "At most so many texts read by the model.")
    max_seconds: float | None = option("--max-seconds X", "Begin nothing new after so many seconds.")

    def budget(self, with_model: bool) -> Budget:
        """The limits; without a model no text may be read."""
        milliseconds = None if self.max_seconds is None else 1000 * self.max_seconds
        if not with_model:
            refuse_unused([] if self.max_texts is None else ["--max-texts"], "no model reads texts without --rerank MODEL")
        return Budget(self.max_requests, self.max_texts if with_model else 0, milliseconds)


@command
def run_tune(
    *,
    data: TrainingData,
    where: WhereToMeasure,
    trials: _Trials,
    limits: _Limits,
    out: Path | None = option(
        "--output -o FILE",
        "Write the strategy to use as JSON: the one recommended, or else the baseline.",
        panel=OUTPUT,
    ),
    resume: Path | None = option(
        "--resume FILE",
        "Keep what the candidates found in this file, and go on from what it holds, without asking Qdrant again.",
        panel=OUTPUT,
    ),
    rows: int = option("--rows N", "How many configurations to show.", 10, panel=OUTPUT),
    output: Annotated[Output, without("fail_under")],
    models: QueryModels,
) -> None:
    """Find out which strategy to use on a collection, by judgments of documents; or that the default is as good.

    Each vector is searched once for each topic; fusions, weights, depths and formulas are recomputed from that. What is
    chosen on one half of the topics is judged on the other, many times over: only a gain that shows there is recommended.

    $ qdrant-rerank tune ./scifact --split train --edge ./db --output strategy.json

    $ qdrant-rerank tune judged.csv --edge ./db --baseline today.json --measure RR --max-requests 2000

    With a formula learned from the judgments, over the scores and what the payload knows:

    $ qdrant-rerank tune judged.csv --edge ./db --learn --features features.json --output strategy.json

    With a cross-encoder, which may read 5 000 texts to find out whether it helps:

    $ qdrant-rerank tune judged.csv --edge ./db --rerank cross-encoder:./models/reranker --max-texts 5000

    And with relevance feedback, as calibrate fitted it: does it beat plain search, and reranking of as many documents?

    $ qdrant-rerank tune judged.csv --edge ./db --rerank cross-encoder:./models/reranker --feedback feedback.json
    """
    output.check()
    check_output("--output", out)
    check_output("--resume", resume)
    judged, budget, space = data.read(), limits.budget(trials.rerank is not None), trials.space()
    first = None if trials.baseline is None else load(trials.baseline)
    steered = trials.steered()
    space = space if steered is None else space.plus(steered)
    with connect(where) as client, open_reranker(trials.rerank) as model:
        strategies = [*([] if first is None else [first]), *([] if steered is None else steered.strategies)]
        keys = split_list(trials.text_key or "title,text")
        executor, candidates = _prepare(client, where, trials.candidate, strategies, models, model, keys)
        hint = "--resume FILE keeps what the candidates found, and goes on from there"
        with hint_at_resuming(resume, "the candidates' results", hint), show_progress(str(data.data)) as progress:
            found = tune(
                executor,
                *judged,
                candidates,
                baseline=first,
                space=space,
                budget=budget,
                measure=trials.measure,
                splits=trials.splits,
                seed=trials.seed,
                retries=executor.retries,
                cache=resume,
                progress=progress,
            )
    if out is not None:
        found.save(out)
    output.show(found, lambda found: _print_tuning(found, rows), tuning=found, seed=trials.seed)
    if out is not None:
        what = "the strategy recommended" if found.recommended else "the default, which is to be kept,"
        errors_console().print(Text(f"{what} is in {out}", "dim"))


def _prepare(
    client: QdrantClient,
    where: WhereToMeasure,
    names: Sequence[str] | None,
    strategies: Sequence[Strategy],
    models: QueryModels,
    reranker: Reranker | None,
    text_keys: Sequence[str],
) -> tuple[Executor, list[Nearest]]:
    """Make the candidates, and an executor with the encoders that they and the strategies need."""
    policy, payload = where.policy, "flat" if reranker is None else ShownText.of(text_keys)
    collection = find_collection(client, where.collection, policy)
    executor = Executor(client, collection, reranker=reranker, payload=payload, retries=policy.rest)
    schema, options = executor.target().schema, models.by_kind
    there = [*schema.names("dense"), *schema.names("sparse")]
    if names is None:
        notes = read_notes(client, collection, policy)
        candidates = [name for name in there if name in notes or options[schema.vectors[name].kind] is not None]
        for name in there:
            if name not in candidates and candidates:
                warn(f"the vector {name!r} is left out: the collection doesn't say what made it; see --dense and --sparse")
        candidates = candidates or there  # the encoders will say what is missing
    else:
        candidates = list(dict.fromkeys(names))
        for name in candidates:
            if name not in schema.vectors:
                hint = did_you_mean(name, schema.vectors)
                raise CommandError(f"--candidate {name}: the collection {collection!r} has {schema.describe_vectors()}{hint}")
    needed = [name for strategy in strategies for name in strategy.needs() if name in schema.vectors]
    give_encoders(executor, [*candidates, *needed], options, policy)
    return executor, [Nearest(name) for name in candidates]


def _print_tuning(tuning: Tuning, rows: int) -> None:
    console = results_console()
    table = make_table("configuration", tuning.measure, "to default", "held out", "chosen", "texts read")
    shown = [*tuning.configurations[:rows]]
    shown += [row for row in tuning.configurations[rows:] if row.name in ("default", tuning.chosen)]
    for row in shown:
        held_out = "–" if row.held_out is None else f"{row.held_out:.4f}"
        figures = f"{row.mean:.4f}", f"{row.difference:+.4f}", held_out, f"{row.chosen}/{tuning.splits}"
        table.add_row(row.name, *figures, str(row.effort.model_texts), style="bold" if row.name == tuning.chosen else "")
    show_table(console, table)
    spent = tuning.spent
    tried = f"{len(tuning.configurations)} configurations, {len(tuning.topics)} topics"
    trips = f"{spent.requests:,} searches in {spent.round_trips:,} round trip{'' if spent.round_trips == 1 else 's'}"
    console.print(Text(f"{tried}, {trips}, {spent.model_texts:,} texts read by a model, {spent.seconds:.1f} s"), style="dim")
    for reason in tuning.reasons:
        console.print(Text(reason))
