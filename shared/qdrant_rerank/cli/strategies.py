"""From flags to a strategy: `--hybrid`, `--formula`, `--mmr` and their kin, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, cast

from qdrant_client import QdrantClient
from qdrant_client.models import Filter

from .. import Executor, Formula, Fusion, Mmr, Nearest, SearchOptions, Strategy, load
from .._internals import FusionMethod, candidate_scores, did_you_mean, in_time
from ..expressions import parse_expression
from ..planning import Plan, Schema
from ..stages import Stage
from .connect import CommandRetries, Where, find_collection
from .models import QueryModels, Reranking, ShownText, give_encoders
from .options import flags_of, option
from .output import CommandError

_FUSIONS = ("rrf", "dbsf")


PARAMS: Final = option(
    "--params JSON",
    "Values that the formula takes from the request, e.g. '{\"here\": [46.01, 8.52]}'; @FILE reads them from a file.",
    panel="How to rank",
)


@dataclass(frozen=True)
class Choice:
    """How to rank, as the options say. Lenient, `--unchecked` may find nothing to leave unchecked."""

    panel: ClassVar = "How to rank"
    limits_plain: ClassVar = False

    file: Path | None = option(
        "--strategy -s FILE",
        "A strategy in a JSON file, as plan --output writes it, instead of the options that make one.",
    )
    unchecked: bool = option(
        "--unchecked",
        "Run what was learned, a formula or relevance feedback, in --strategy even on a collection that lacks what it was "
        "trained on, or with another model or other texts than it was fitted to.",
        False,
    )
    hybrid: bool = option("--hybrid", "Search the dense and the sparse vector, and fuse both rankings.", False)
    fusion: str | None = option(
        "--fusion rrf|dbsf", "How --hybrid fuses: by ranks (rrf) or by normalised scores (dbsf).", shows="rrf"
    )
    formula: str | None = option(
        "--formula TEXT",
        "Score candidates by a formula, e.g. \"0.8*score() + 0.2*field('rating', 3)\". score() is the plain search's; "
        "score('NAME') the search's by the vector NAME; score('rrf') and score('dbsf') are the fused ones. Dates are ISO 8601: "
        "datetime_field('published', default='2020-01-01').",
    )
    mmr: float | None = option(
        "--mmr 0..1",
        "Choose among what the rest of this group found so that results differ from each other: 0 is not at all, 1 most.",
    )
    rescore: str | None = option(
        "--rescore VECTOR", "Score the candidates again by another vector of theirs, e.g. a late-interaction one."
    )
    using: str | None = option(
        "--using VECTOR", "The vector of a plain search.", shows="the only dense vector, or else the only sparse one"
    )
    dense_vector: str | None = option("--dense-vector VECTOR", "The dense vector for --hybrid and --mmr.", shows="the only one")
    sparse_vector: str | None = option("--sparse-vector VECTOR", "The sparse vector for --hybrid.", shows="the only one")
    limit: int | None = option("--limit N", "How many candidates each search hands on to be ranked.", shows="100")
    lenient: bool = False

    @property
    def name(self) -> str:
        """What to call the strategy: the file's name; "" without one."""
        return "" if self.file is None else self.file.stem

    def strategy(self, schema: Schema) -> Strategy:
        """The strategy; names that aren't given are the schema's."""
        self._check()
        if self.file is not None:
            return self._load(self.file)
        base = self._base(schema)
        if self.rescore is not None:
            base = Nearest(self.rescore).over(self._candidates(base))
        if self.mmr is not None:
            base = Mmr(self._vector(schema, "dense", "--mmr"), diversity=self.mmr).over(self._candidates(base))
        self._check_effect(base)
        return base

    def _load(self, file: Path) -> Strategy:
        found = load(file)
        unchecked = found.uncheck() if self.unchecked else found
        if self.unchecked and unchecked is found and not self.lenient:
            raise CommandError(f"--unchecked is for learned formulas and relevance feedback, and {file} holds none")
        return unchecked

    def _candidates(self, stage: Stage) -> Stage:
        return replace(stage, limit=self.limit)  # the outermost stage has none: there -k decides

    def _check(self) -> None:
        given = flags_of(self, "file", "unchecked")
        if self.unchecked and self.file is None:
            raise CommandError("--unchecked is for the learned formula in a file, or relevance feedback: add --strategy FILE")
        if self.file is not None and given:
            raise CommandError(f"--strategy excludes {', '.join(given)}: write that into the file")
        if self.hybrid and self.formula is not None:
            raise CommandError(
                "--formula and --hybrid exclude each other: leave out --hybrid, as a formula searches the vectors whose scores "
                "it reads, score('dense') and score('bm25') for instance; score('rrf') is the fused score"
            )
        if self.hybrid and self.using is not None:
            raise CommandError("--hybrid excludes --using: --dense-vector and --sparse-vector choose for --hybrid")
        if self.formula is not None and self.rescore is not None:
            raise CommandError("--rescore would replace the scores of --formula: write score('VECTOR') into the formula")
        if self.fusion is not None and self.fusion not in _FUSIONS:
            raise CommandError(f"--fusion is rrf or dbsf, got {self.fusion!r}")
        if self.fusion is not None and not self.hybrid:
            raise CommandError("--fusion says how --hybrid fuses: add --hybrid")

    def _check_effect(self, made: Stage) -> None:
        """Refuse options that changed nothing."""
        used = {stage.vector for stage in made.stages()}
        if self.limit is not None and not made.candidates and not self.limits_plain:
            raise CommandError("--limit is for candidates, and a plain search has none: -k says how many results there are")
        named = {"--using": self.using, "--dense-vector": self.dense_vector, "--sparse-vector": self.sparse_vector}
        for flag, name in named.items():
            if name is not None and name not in used:
                raise CommandError(f"{flag} {name} changes nothing here: nothing else in the strategy uses that vector")

    def _base(self, schema: Schema) -> Stage:
        if self.hybrid:
            return self._fuse(schema, self.fusion or "rrf", "--hybrid")
        if self.formula is None:
            return Nearest(self._plain(schema))
        expression = parse_expression(self.formula)
        names = dict.fromkeys(score.name for score in candidate_scores(expression))
        candidates = [self._candidates(self._candidate(schema, name)) for name in names or (None,)]
        return Formula(expression).over(*candidates)

    def _candidate(self, schema: Schema, name: str | None) -> Stage:
        """The candidates that `score(name)` in a formula means."""
        if name in _FUSIONS and name not in schema.vectors:
            return self._fuse(schema, name, f"score({name!r})")
        return Nearest(self._plain(schema) if name is None else name)

    def _fuse(self, schema: Schema, method: str, who: str) -> Stage:
        candidates = Nearest(self._vector(schema, "dense", who)), Nearest(self._vector(schema, "sparse", who))
        return Fusion(cast(FusionMethod, method)).over(*map(self._candidates, candidates))

    def _plain(self, schema: Schema) -> str | None:
        """The vector of a plain search; None leaves it to the plan, which says what there is."""
        sparse = schema.names("sparse")
        return self.using or (sparse[0] if len(sparse) == 1 and not schema.names("dense") else None)

    def _vector(self, schema: Schema, kind: Literal["dense", "sparse"], who: str) -> str:
        """The vector of this kind that an option names, or the only one."""
        named, names = (self.dense_vector if kind == "dense" else self.sparse_vector), schema.names(kind)
        if named is not None or len(names) == 1:
            return named or names[0]
        there = f"the collection {schema.collection!r} has {schema.describe_vectors()}"
        if names:
            raise CommandError(f"{who} needs a {kind} vector, and there are several: {there}; choose with --{kind}-vector NAME")
        raise CommandError(f"{who} needs a {kind} vector: {there}")


def make_plan(
    client: QdrantClient,
    where: Where,
    choice: Choice,
    options: SearchOptions,
    models: QueryModels | None,
    reranking: Reranking | None = None,
    policy: CommandRetries | None = None,
    fixed_filter: Filter | None = None,
) -> tuple[Executor, Plan]:
    """Make an executor for the collection, with the encoders that the chosen strategy needs, and a plan of the strategy.

    Without `models` it has no encoders; without `reranking` the strategy says how a model reads. Requests are made again as
    `policy` says, or `where` if None; every point meets `fixed_filter`.
    """
    policy = policy or where.policy
    payload = ShownText.of(() if reranking is None else reranking.text_keys)
    named = in_time(lambda: find_collection(client, where.collection, policy), "listing the collections")
    executor = Executor(client, named, payload=payload, retries=policy.rest, fixed_filter=fixed_filter)
    chosen = choice.strategy(executor.target().schema)
    plan = executor.plan(chosen if reranking is None else reranking.over(chosen), options)
    if models is not None:
        give_encoders(executor, plan.strategy.needs(), models.by_kind, policy, is_for_all=choice.lenient)
    return executor, plan


def refuse_unread_params(plan: Plan, params: Mapping[str, Any]) -> None:
    """Refuse values that nothing in the strategy reads."""
    read = plan.strategy.params()
    if unread := [name for name in params if name not in read]:
        listed, hint = ", ".join(map(repr, read)) or "no such values", did_you_mean(unread[0], read)
        raise CommandError(f"--params: nothing in the strategy reads {unread[0]!r}{hint} (it reads {listed})")
