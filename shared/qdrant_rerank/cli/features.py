"""`qdrant-rerank features`: what a formula over a strategy's candidates would see, with labels, as a file to fit to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from rich.text import Text

from .. import SearchOptions, Strategy, StrategyError
from .._internals import brief, parse_json, payload_keys, read_text, warn
from ..errors import FormatError
from ..expressions import Expression, parse_expression
from ..learn import Feature, FeatureLike, FeatureLog, Negatives, log_features, write_log
from ..learn._internals import features_from_json
from ..stages import Stage
from .connect import connect
from .consoles import results_console, show_progress
from .failures import CommandError, hint_at_resuming
from .measuring import SEED, TrainingData, WhereToMeasure
from .models import QueryModels
from .options import check_output, command, option, without
from .strategies import Choice, make_plan


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
    choice: Annotated[Choice, without("unchecked", "fusion", "formula", "mmr", "rescore")],
    drop_unjudged: bool = option("--drop-unjudged", "Leave out candidates that nobody judged, else negatives.", False),
    hard: int | None = option("--hard N", "Of unjudged candidates keep the N best-ranked.", shows="all of them"),
    random: int = option("--random N", "With --hard: and N drawn from the others, each standing for its share.", 20),
    seed: int = SEED,
    batch: int = option("--batch N", "How many topics share a round trip.", 16),
    models: QueryModels,
) -> None:
    """Log what a formula would see of each candidate of each judged topic, for `fit`.

    The strategy's candidates are searched as in serving; the features are computed as the engine does.

    $ qdrant-rerank features judged.csv --edge ./db --hybrid -o log.csv

    $ qdrant-rerank features judged.csv --edge ./db --hybrid -o log.jsonl -f "dense=score('dense')" -f "r=field('rating', 3)"
    """
    check_output("--output", output)
    negatives = None if hard is None else Negatives(hard, random)
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
    console = results_console()
    console.print(Text(f"{output}: {len(log)} rows of {coverage.topics} topics, {relevant} relevant"), soft_wrap=True)
    if missed:
        console.print(Text(f"{missed} relevant documents were found by no candidate, where no formula helps"), style="yellow")
    if coverage.unjudged:
        console.print(Text(f"{len(coverage.unjudged)} topics without judgments were left out"), style="yellow")
    for topic, error in list(coverage.failed.items())[:5]:
        warn(f"topic {topic!r} failed: {error}")


_FORM = 'an object of name to formula, e.g. {"rating": "field(\'rating\', 3)"}, or what features or fit wrote'


def read_features(path: Path) -> dict[str, FeatureLike]:
    """The features in a file, by name.

    Raises:
        FormatError: it isn't JSON, holds no features, or a formula of it can't be read.
        OSError: there is no such file.
    """
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
    """A feature's formula, refused where a point without some payload key would have no value.

    Raises:
        StrategyError: it reads a key without a default; says how to write one.
    """
    for key in payload_keys(expression):
        if not key.has_default:
            raise StrategyError(
                f"{brief(expression)} says nothing of points without {key.key!r}: write the value that they are to have, e.g. "
                f"field({key.key!r}, 0)"
            )
    return expression
