"""`features` logs what a formula would see, `fit` learns a ranker from the log, `drift` tells whether it still fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, cast

import typer
from rich.text import Text

from .. import Executor, SearchOptions, Strategy, StrategyError
from .._internals import brief, parse_json, payload_keys, read_text, warn
from ..errors import FormatError
from ..evaluate import read_topics
from ..expressions import Expression, parse_expression
from ..learn import (
    Drift,
    Feature,
    FeatureLike,
    FeatureLog,
    LearnedRanker,
    Negatives,
    drift,
    fit_logistic,
    log_features,
    read_log,
    write_log,
)
from ..learn._internals import Method, features_from_json
from ..stages import Stage
from .connect import connect, find_collection
from .measuring import NOT_GOOD_ENOUGH, SEED, TrainingData, WhereToMeasure, end_with
from .models import QueryModels, give_encoders
from .options import JSON, argument, check_output, command, flags_of, option, refuse_unused, without
from .output import CommandError, errors_console, hint_at_resuming, make_table, results_console, show_progress, show_table
from .strategies import Choice, make_plan


@dataclass(frozen=True)
class _LoggedChoice(Choice):
    """Which candidates to log; those of a plain search are what it finds."""

    limits_plain: ClassVar = True


@command
def run_features(
    *,
    data: TrainingData,
    output: Path = option(
        "--output -o FILE",
        "The log: .jsonl (kept topic by topic; a run that broke off goes on from it), .csv, .parquet or .svm.",
        ...,
    ),
    feature: list[str] | None = option(
        "--feature -f NAME=TEXT",
        "A feature as a formula is written, e.g. \"rating=field('rating', 3)\"; may be given several times.",
        shows="the score of each candidate",
    ),
    where: WhereToMeasure,
    choice: Annotated[_LoggedChoice, without("unchecked", "fusion", "formula", "mmr", "rescore")],
    drop_unjudged: bool = option("--drop-unjudged", "Leave out candidates that nobody judged, else negatives.", False),
    hard: int | None = option("--hard N", "Of unjudged candidates keep the N best-ranked.", shows="all of them"),
    random: int | None = option(
        "--random N", "With --hard: and N drawn from the others, each standing for its share.", shows="20"
    ),
    seed: int = SEED,
    batch: int = option("--batch-size N", "How many topics share a round trip.", 16),
    models: QueryModels,
) -> None:
    """Log what a formula would see of each candidate of each judged topic, for `fit`.

    The strategy's candidates are searched as in serving; the features are computed as the engine does.

    $ qdrant-rerank features judged.csv --edge ./db --hybrid -o log.csv

    $ qdrant-rerank features judged.csv --edge ./db --hybrid -o log.jsonl -f "dense=score('dense')" -f "r=field('rating', 3)"
    """
    check_output("--output", output)
    if hard is None:
        refuse_unused([] if random is None else ["--random"], "it says what else --hard N keeps")
    elif drop_unjudged:
        refuse_unused(["--hard"], "--drop-unjudged leaves out all that it could keep")
    negatives = None if hard is None else Negatives(hard, 20 if random is None else random)
    judged = data.read()
    with connect(where) as client:
        executor, plan = make_plan(client, where, choice, SearchOptions(limit=1), models)
        candidates = _candidates(plan.strategy, choice.limit)
        file = output if output.suffix == ".jsonl" else None
        hint = "a log whose name ends in .jsonl is kept topic by topic, and gone on with"
        with hint_at_resuming(file, "the topics", hint), show_progress(str(data.data)) as progress:
            log = log_features(
                executor,
                candidates,
                *judged,
                _parse_features(feature or [], candidates),
                unjudged="drop" if drop_unjudged else "negative",
                negatives=negatives,
                path=file,
                batch_size=batch,
                retries=executor.retries,
                seed=seed,
                progress=progress,
            )
    if output.suffix != ".jsonl":
        write_log(log, output)
    _print_log(log, output)


def _candidates(strategy: Strategy, limit: int | None) -> tuple[Stage, ...]:
    """The stages that find the strategy's candidates; a plain search is its own."""
    if not isinstance(strategy, Stage):
        raise CommandError(f"features are logged of strategies that Qdrant runs alone, not of {brief(strategy)}")
    if strategy.candidates:
        return strategy.candidates
    return (replace(strategy, limit=strategy.limit or limit),)


def _parse_features(given: list[str], candidates: tuple[Stage, ...]) -> dict[str, FeatureLike]:
    found: dict[str, FeatureLike] = {}
    for text in given or [f"{candidate.title}=score({candidate.title!r})" for candidate in candidates]:
        name, equals, expression = text.partition("=")
        if not equals or not name.strip():
            raise CommandError(f"--feature {text}: write NAME=FORMULA, e.g. \"rating=field('rating', 3)\"")
        if name.strip() in found:
            raise CommandError(f"--feature {text}: there are two features {name.strip()!r}")
        try:
            found[name.strip()] = with_defaults(parse_expression(expression.strip()))
        except StrategyError as error:
            raise CommandError(f"--feature {text}: {error}") from error
    return found


def _print_log(log: FeatureLog, output: Path) -> None:
    coverage = log.coverage
    relevant, missed = int(log.relevant().sum()), sum(map(len, coverage.missed.values()))
    console, unjudged = results_console(), len(coverage.unjudged)
    console.print(Text(f"{output}: {len(log)} rows of {coverage.topics} topics, {relevant} relevant"), soft_wrap=True)
    if missed:
        console.print(Text(f"{missed} relevant documents were found by no candidate, where no formula helps"), style="yellow")
    if unjudged:
        console.print(Text(f"{unjudged} topics without judgments were left out"), style="yellow")
    for topic, error in list(coverage.failed.items())[:5]:
        warn(f"topic {topic!r} failed: {error}")


_FORM = 'an object of name to formula, e.g. {"rating": "field(\'rating\', 3)"}, or what features or fit wrote'


def read_features(path: Path) -> dict[str, FeatureLike]:
    """The features in a file, by name."""
    try:
        value: Any = parse_json(read_text(path), path)
    except FormatError as error:
        raise FormatError(f"{error.message}: a file of features is {_FORM}", path, error.line) from error
    if isinstance(value, Mapping) and "kind" in value and isinstance(value.get("features"), Mapping):
        value = value["features"]
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if isinstance(kind, str) and kind.isidentifier():  # a feature called kind would be a formula
        raise FormatError(f"its kind is {kind!r}, which holds no features: a file of features is {_FORM}", path)
    if not isinstance(value, Mapping) or not value:
        raise FormatError(f"a file of features is {_FORM}; got {json.dumps(value)[:100]}", path)
    return {name: _feature(name, item, path) for name, item in value.items()}


def _feature(name: str, value: Any, path: Path) -> FeatureLike:
    if not isinstance(value, str):
        return features_from_json({name: value}, path)[name]
    try:
        return Feature(with_defaults(parse_expression(value)))
    except ValueError as error:  # what can't be parsed, or has no default
        raise FormatError(f"the feature {name!r}: {error}", path) from error


def with_defaults(expression: Expression) -> Expression:
    """Refuse a feature's formula that reads a payload key without a default."""
    for key in payload_keys(expression):
        if not key.has_default:
            raise StrategyError(
                f"{brief(expression)} says nothing of points without {key.key!r}: write the value that they are to have, e.g. "
                f"field({key.key!r}, 0)"
            )
    return expression


@command
def run_fit(
    *,
    log: Path = argument("LOG", "What `features` wrote."),
    output: Path = option("--output -o FILE", "The ranker, as JSON.", ...),
    loss: str = option(
        "--loss pointwise|pairwise", "Learn which candidates are relevant, or which of two is more so.", "pointwise"
    ),
    c: float | None = option("--c X", "Inverse strength of regularisation.", shows="by cross-validation"),
    sign: list[str] | None = option("--sign NAME=+|-", "The sign that a weight must have; may be given several times."),
    calibration: str = option("--calibration none|platt|beta|isotonic", "How scores become probabilities.", "none"),
    least_grade: int = option("--least-grade N", "From which grade on a document is relevant.", 1),
    precision: float | None = option("--precision X", "Say which --score-threshold keeps this precision."),
    seed: int = SEED,
    json: bool = JSON,
) -> None:
    """Learn weights from logged features: a formula that gives the probability of relevance.

    All figures are of topics that the weights weren't fitted to.

    $ qdrant-rerank fit log.csv -o ranker.json

    $ qdrant-rerank fit log.csv -o ranker.json --sign dense=+ --calibration platt --precision 0.5

    Then search with it:

    $ qdrant-rerank search "how do I ...?" --edge ./db --strategy ranker.json
    """
    if precision is not None and not 0 < precision <= 1:
        raise CommandError(f"--precision is a share of results, above 0 and at most 1, got {precision:g}")
    check_output("--output", output)
    signs = dict(map(_parse_sign, sign or []))
    ranker = fit_logistic(
        read_log(log),
        loss=cast(Any, loss),
        C="cv" if c is None else c,
        signs=signs,
        calibration=cast(Method, calibration),
        least_grade=least_grade,
        seed=seed,
    )
    point = None if precision is None else ranker.threshold_for(precision=precision)
    ranker.save(output)
    if json:
        typer.echo(ranker.to_json(indent=None))
    else:
        _print_ranker(ranker)
    if point is not None:
        kept = f"keeps a precision of {point.precision:.3f}, recall {point.recall:.3f}"
        (errors_console() if json else results_console()).print(Text(f"--score-threshold {point.threshold:.4f} {kept}"))


def _parse_sign(text: str) -> tuple[str, str]:
    name, equals, sign = text.rpartition("=")
    if not equals or sign not in ("+", "-"):
        raise CommandError(f"--sign {text}: write NAME=+ or NAME=-")
    return name, sign


def _print_ranker(ranker: LearnedRanker) -> None:
    console, training = results_console(), ranker.training
    what = f"{training.loss}, {training.rows} rows of {len(training.topics)} topics, {training.relevant} relevant"
    console.print(Text(f"{what}, C = {training.c:g}"), style="bold")
    table = make_table("feature", "weight", "95 % interval", "per s.d.")
    table.add_column("")
    for one in sorted(ranker.weights, key=lambda one: -abs(one.standardised)):
        ends = "" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
        table.add_row(one.name, f"{one.weight:.4g}", ends, f"{one.standardised:.3f}", one.weak)
    show_table(console, table)
    for name, value in ranker.metrics.items():
        console.print(Text(f"{name}: {value:.4f}"), style="dim")


_STYLES: Final = {"stable": "", "moved": "yellow", "far": "red", "gone": "red"}


@command
def run_drift(
    *,
    ranker: Path = argument("RANKER", "What `fit` wrote."),
    where: WhereToMeasure,
    sample: int | None = option("--sample N", "How many stored points to look at.", shows="1000"),
    topics: Path | None = option(
        "--topics FILE",
        "Recent queries; they need no judgments. Their candidates are looked at instead of stored points, which tells of "
        "scores and request-time values, too.",
    ),
    fail_over: float | None = option(
        "--fail-over X", f"End with exit code {NOT_GOOD_ENOUGH} if a feature's PSI is above X, or no point has it."
    ),
    json: bool = JSON,
    models: QueryModels,
) -> None:
    """Tell whether a collection's values have moved away from those that a ranker was trained on.

    The population stability index (PSI) of each feature: below 0.1 nothing has happened, from 0.25 on fit again. What stands
    beside it is what chance alone exceeds once in a hundred times.

    $ qdrant-rerank drift ranker.json --edge ./db

    In a nightly job, as JSON; exit code 3 says that a feature has moved:

    $ qdrant-rerank drift ranker.json --edge ./db --json --fail-over 0.2
    """
    if fail_over is not None and not fail_over >= 0:
        raise CommandError(f"--fail-over is a PSI, a number of at least 0, got {fail_over}")
    if topics is None:
        refuse_unused(flags_of(models), "only --topics FILE are embedded, stored points are looked at as they are")
    elif sample is not None:
        refuse_unused(["--sample"], "the candidates of --topics are looked at instead of stored points")
    learned = LearnedRanker.load(ranker)
    asked, policy = None if topics is None else read_topics(topics), where.policy
    with connect(where) as client:
        executor = Executor(client, find_collection(client, where.collection, policy), retries=policy.rest)
        if asked is not None:  # stored points need no encoders
            # unchecked: what has moved or is gone is reported, not refused
            plan = executor.plan(learned.strategy.uncheck())
            give_encoders(executor, plan.strategy.needs(), models.by_kind, policy)
        found = drift(executor, learned, sample=1000 if sample is None else sample, topics=asked, retries=policy.rest)
    if json:
        typer.echo(found.to_json(indent=None))
    else:
        _print_drift(found)
    if fail_over is not None:
        end_with([str(one) for one in found.features if one.psi > fail_over or one.verdict == "gone"])


def _print_drift(found: Drift) -> None:
    console = results_console()
    console.print(Text(f"{found.points} {found.compared}"), style="bold")
    table = make_table("feature", "PSI", "by chance", "missing", "then")
    table.add_column("")
    for one in found.features:
        shares = f"{one.psi:.3f}", f"{one.by_chance:.3f}", f"{one.missing:.0%}", f"{one.missing_then:.0%}"
        table.add_row(one.name, *shares, one.said, style=_STYLES[one.verdict])
    show_table(console, table)
    if found.left_out:
        hint = "they read scores or request-time values: give --topics" if found.compared == "stored points" else "unknown then"
        console.print(Text(f"not compared: {', '.join(found.left_out)} ({hint})"), style="dim")
