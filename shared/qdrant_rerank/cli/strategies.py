"""From flags to a strategy: `--hybrid`, `--formula`, `--mmr` and their kin, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from qdrant_client import QdrantClient

from .. import Executor, Formula, Fusion, Mmr, Nearest, RelevanceFeedback, Rerank, SearchOptions, Strategy, load
from .._internals import FusionMethod, Trained, did_you_mean, in_time, placeholders
from .._internals import VectorKind as Kind
from ..expressions import parse_expression
from ..expressions._internals import candidate_scores
from ..models import Encoders
from ..planning import Plan, Schema
from ..stages import ClientFormula, Stage
from .connect import CommandRetries, the_collection
from .failures import CommandError
from .models import Reranking, ShownText, check_embedder, query_encoders, read_notes

__all__ = ["Choice", "check_params", "planned", "prepared"]

_FUSIONS = ("rrf", "dbsf")


@dataclass(frozen=True)
class Choice:
    """How to rank, as the options say; see their help. Lenient, `--unchecked` may find nothing to leave unchecked."""

    file: Path | None = None
    formula: str | None = None
    hybrid: bool = False
    fusion: str | None = None
    mmr: float | None = None
    rescore: str | None = None
    using: str | None = None
    limit: int | None = None
    dense_vector: str | None = None
    sparse_vector: str | None = None
    unchecked: bool = False
    lenient: bool = False

    def strategy(self, schema: Schema) -> Strategy:
        """The strategy, with names that aren't given taken from the schema.

        Raises:
            CommandError: options exclude each other, or a name can't be told.
            FormatError: the file is malformed.
            StrategyError: the formula is.
        """
        self._check()
        if self.file is not None:
            return self._loaded(self.file)
        base = self._base(schema)
        if self.rescore is not None:
            base = Nearest(self.rescore).over(self._candidates(base))
        if self.mmr is not None:
            base = Mmr(self._dense(schema, "--mmr"), diversity=self.mmr).over(self._candidates(base))
        self._check_effect(base)
        return base

    def _loaded(self, file: Path) -> Strategy:
        found = load(file)
        if not self.unchecked:
            return found
        unchecked = _unchecked(found)
        if unchecked is found and not self.lenient:
            raise CommandError(f"--unchecked is for learned formulas and relevance feedback, and {file} holds none")
        return unchecked

    def _candidates(self, stage: Stage) -> Stage:
        return replace(stage, limit=self.limit)  # the outermost stage has none: there -k decides

    def _check(self) -> None:
        given = [name for name, value in self._flags().items() if value is not None and value is not False]
        if self.unchecked and self.file is None:
            raise CommandError("--unchecked is for the learned formula in a file, or relevance feedback: add --strategy FILE")
        if self.file is not None and given:
            raise CommandError(f"--strategy excludes {', '.join(given)}: write that into the file")
        if self.hybrid and self.formula is not None:
            raise CommandError("--formula and --hybrid exclude each other: a formula over the fused ranking reads score('rrf')")
        if self.hybrid and self.using is not None:
            raise CommandError(
                "--hybrid and --using exclude each other: --dense-vector and --sparse-vector choose for --hybrid"
            )
        if self.formula is not None and self.rescore is not None:
            raise CommandError(
                "--rescore would replace the scores of --formula: write score('VECTOR') into the formula instead"
            )
        if self.fusion is not None and self.fusion not in _FUSIONS:
            raise CommandError(f"--fusion is rrf or dbsf, got {self.fusion!r}")
        if self.fusion is not None and not self.hybrid:
            raise CommandError("--fusion says how --hybrid fuses: add --hybrid")

    def _flags(self) -> dict[str, object]:
        """The options that make a strategy."""
        return {
            "--formula": self.formula,
            "--hybrid": self.hybrid,
            "--using": self.using,
            "--fusion": self.fusion,
            "--mmr": self.mmr,
            "--rescore": self.rescore,
            "--limit": self.limit,
            "--dense-vector": self.dense_vector,
            "--sparse-vector": self.sparse_vector,
        }

    def _check_effect(self, made: Stage) -> None:
        """Refuse options that changed nothing."""
        used = {stage.vector for stage in made.stages()}
        if self.limit is not None and not made.candidates:
            raise CommandError("--limit is for candidates, and a plain search has none: -k says how many results there are")
        named = {"--using": self.using, "--dense-vector": self.dense_vector, "--sparse-vector": self.sparse_vector}
        for option, name in named.items():
            if name is not None and name not in used:
                raise CommandError(f"{option} {name} changes nothing here: nothing else in the strategy uses that vector")

    def _base(self, schema: Schema) -> Stage:
        if self.hybrid:
            return self._fused(schema, self.fusion or "rrf", "--hybrid")
        if self.formula is None:
            return Nearest(self._plain(schema))
        expression = parse_expression(self.formula)
        names = dict.fromkeys(score.name for score in candidate_scores(expression))
        candidates = [self._candidates(self._candidate(schema, name)) for name in names or (None,)]
        return Formula(expression).over(*candidates)

    def _candidate(self, schema: Schema, name: str | None) -> Stage:
        """The candidates that `score(name)` in a formula means."""
        if name in _FUSIONS and name not in schema.vectors:
            return self._fused(schema, name, f"score({name!r})")
        return Nearest(self._plain(schema) if name is None else name)

    def _fused(self, schema: Schema, method: str, who: str) -> Stage:
        candidates = Nearest(self._dense(schema, who)), Nearest(self._sparse(schema, who))
        return Fusion(cast(FusionMethod, method)).over(*map(self._candidates, candidates))

    def _plain(self, schema: Schema) -> str | None:
        """The vector of a plain search; None leaves it to the plan, which says what there is."""
        if self.using is not None:
            return self.using
        return None if schema.names("dense") else _only(schema, "sparse")

    def _dense(self, schema: Schema, who: str) -> str:
        return _sure(schema, "dense", who, "--dense-vector") if self.dense_vector is None else self.dense_vector

    def _sparse(self, schema: Schema, who: str) -> str:
        return _sure(schema, "sparse", who, "--sparse-vector") if self.sparse_vector is None else self.sparse_vector


def _unchecked(strategy: Strategy) -> Strategy:
    """The strategy without what keeps learned numbers from what they weren't learned for; itself if nothing is kept from it."""
    match strategy:
        case Rerank(candidate=Strategy() as candidate):
            below = _unchecked(candidate)
            return strategy if below is candidate else replace(strategy, candidate=below)
        case RelevanceFeedback(seeds=seeds):
            plain = _unchecked(seeds)
            return replace(strategy, trust=True, seeds=plain if isinstance(plain, Stage) else seeds)
        case ClientFormula(formula=Formula(trained=Trained())) | Formula(trained=Trained()):
            return strategy.unchecked()
        case _:
            return strategy


def _only(schema: Schema, kind: Kind) -> str | None:
    names = schema.names(kind)
    return names[0] if len(names) == 1 else None


def _sure(schema: Schema, kind: Kind, who: str, option: str) -> str:
    name = _only(schema, kind)
    if name is not None:
        return name
    there = f"the collection {schema.collection!r} has {schema.describe_vectors()}"
    if schema.names(kind):
        raise CommandError(f"{who} needs a {kind} vector, and there are several: {there}; choose with {option} NAME")
    raise CommandError(f"{who} needs a {kind} vector: {there}")


def planned(
    client: QdrantClient,
    collection: str | None,
    choice: Choice,
    options: SearchOptions,
    reranking: Reranking | None,
    policy: CommandRetries,
) -> tuple[Executor, Plan]:
    """An executor for the collection, and the chosen strategy as a plan for it; with a reranking, read by a model.

    Raises:
        CommandError: see `Choice.strategy` and `the_collection`.
        PlanError: the strategy doesn't fit the collection.
    """
    payload = ShownText.of(() if reranking is None else reranking.text_keys)
    named = in_time(lambda: the_collection(client, collection, policy), "listing the collections")
    executor = Executor(client, named, payload=payload, retries=policy.rest)
    chosen = choice.strategy(executor.target().schema)
    return executor, executor.plan(chosen if reranking is None else reranking.over(chosen), options)


def check_params(plan: Plan, params: Mapping[str, Any]) -> None:
    """Refuse values that nothing in the strategy reads.

    Raises:
        CommandError: there is one.
    """
    _, read = placeholders(plan.strategy, plan.target.schema)
    for name in params:
        if name not in read:
            raise CommandError(
                f"--params: nothing in the strategy reads {name!r}{did_you_mean(name, read)} "
                f"(it reads {', '.join(map(repr, read)) or 'no such values'})"
            )


def prepared(
    client: QdrantClient,
    collection: str | None,
    choice: Choice,
    options: SearchOptions,
    models: Mapping[Kind, str | None],
    reranking: Reranking | None,
    policy: CommandRetries,
) -> tuple[Executor, Plan]:
    """As `planned`, with the encoders that the strategy needs and no others, as loading a model takes seconds."""
    executor, plan = planned(client, collection, choice, options, reranking, policy)
    check_embedder(client, models)
    notes = read_notes(client, executor.collection, policy)
    executor.encoders = Encoders(query_encoders(plan.strategy.needs(), plan.target.schema, notes, models))
    return executor, plan
