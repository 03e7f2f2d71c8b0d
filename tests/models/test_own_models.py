"""Models in folders: known by their contents, whatever they and the folder are called; and what is in the wrong folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llama_index.core import MockEmbedding

from langchain_qdrant_rerank._internals import EmbeddingsEncoder
from llama_index_qdrant_rerank._internals import EmbedModelEncoder, SparseEncoder
from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import as_encoder, check_scores, identify
from qdrant_rerank.models import FastembedCrossEncoder, FastembedDense
from tests.models.tiny_cross_encoder import cross_encoder_folder
from tests.models.tiny_models import onnx_folder
from tests.support import refused


def test_a_cross_encoder_in_a_folder_is_the_same_under_any_name_and_in_any_place(tmp_path: Path) -> None:
    here, there = cross_encoder_folder(tmp_path / "a" / "here"), cross_encoder_folder(tmp_path / "b" / "there")
    same = [
        FastembedCrossEncoder("reranker", path=here),
        FastembedCrossEncoder("my-reranker", path=here),
        FastembedCrossEncoder(path=here),
        FastembedCrossEncoder("reranker", path=there),
    ]
    assert len({model.fingerprint for model in same}) == 1
    assert len({tuple(model.score("boat", ["ferry", "hut"])) for model in same}) == 1
    assert "my-reranker" in repr(same[1])


def test_another_cross_encoder_is_another_under_the_same_name(tmp_path: Path) -> None:
    here, there = cross_encoder_folder(tmp_path / "here"), cross_encoder_folder(tmp_path / "there")
    (there / "model.onnx").write_bytes((there / "model.onnx").read_bytes() + b"\x00")
    (here / "other.onnx").write_bytes(b"another")
    prints = [
        FastembedCrossEncoder("reranker", path=here).fingerprint,
        FastembedCrossEncoder("reranker", path=there).fingerprint,
        FastembedCrossEncoder("reranker", path=here, model_file="other.onnx").fingerprint,
        FastembedCrossEncoder("reranker", path=here, max_length=7).fingerprint,
    ]
    assert len(set(prints)) == 4


def test_an_encoder_in_a_folder_is_the_same_under_any_name_of_one_s_own(tmp_path: Path) -> None:
    folder, twin = onnx_folder(tmp_path / "one"), onnx_folder(tmp_path / "two")
    own = identify(FastembedDense("me/tiny", path=folder))
    assert own == identify(FastembedDense("you/small", path=twin))
    assert own != identify(FastembedDense("me/tiny", path=folder, pooling="cls"))
    # fastembed's own names say how the model is run
    named = FastembedDense("sentence-transformers/all-MiniLM-L6-v2", path=folder)
    assert "all-MiniLM-L6-v2" in str(identify(named)) != own


class Embeds:
    """An embedding model of a framework, which says its name as these do."""

    def __init__(self, model: str | None = None, **settings: object) -> None:
        self.client, self.model = object(), model
        self.__dict__ |= settings

    def embed_query(self, text: str) -> list[float]:
        return [1.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] for _ in texts]

    __call__ = embed_query


class Bare:
    def embed_query(self, text: str) -> list[float]:
        return [1.0]

    embed_documents = embed_query


class Modest(MockEmbedding):
    @property
    def metadata(self) -> Any:
        raise ValueError("an unknown model")


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    "wrap",
    [
        EmbeddingsEncoder,
        lambda model: as_encoder(model.embed_query),
        as_encoder,
        lambda model: as_encoder(partial(embed_with, model)),
        lambda model: EmbeddingsEncoder(Embeds(underlying_embeddings=model)),
        lambda model: EmbeddingsEncoder(Embeds(model=model)),
    ],
)
def test_frameworks_models_are_known_by_their_names_and_settings_and_not_by_where_they_are(wrap: Any) -> None:
    same = [identify(wrap(Embeds("a"))), identify(wrap(Embeds("a")))]
    others = [
        identify(wrap(Embeds("b"))),
        identify(wrap(Embeds("a", dimensions=3))),
        identify(wrap(Embeds("a", encode_kwargs={"prompt": "q"}))),
    ]
    assert same[0] == same[1]
    assert None not in others
    assert len({*same, *others}) == 4
    for unknown in (Embeds(), Embeds("unknown"), Embeds("")):
        assert identify(wrap(unknown)) is None
    assert " at 0x" not in str(identify(wrap(Embeds("a", encode_kwargs={"prompt": object()}))))


def embed_with(model: Any, text: Any) -> Any:
    return model.embed_query(text)


def test_an_object_that_holds_nothing_is_known_by_its_type_and_what_a_function_holds_is_not_known() -> None:
    class Within(Bare):
        pass

    assert identify(EmbeddingsEncoder(Bare())) == "EmbeddingsEncoder(embeddings=tests.models.test_own_models.Bare)"
    assert identify(EmbeddingsEncoder(Within())) is None
    assert identify(as_encoder(lambda text: [1.0])) is None
    assert identify(partial(embed_with, Colour.RED)) == f"partial(tests.models.test_own_models.embed_with, {Colour.RED!r})"
    assert identify(partial(embed_with, object())) is None
    assert identify(partial(embed_with, text=b"a")) == "partial(tests.models.test_own_models.embed_with, ('text', b'a'))"


@dataclass(frozen=True)
class Settled:
    """An encoder of somebody's own that says all of itself in its fields."""

    bias: float = 0.0

    def __call__(self, text: str) -> list[float]:
        return [self.bias]


def test_a_dataclass_is_known_by_its_module_too_and_not_at_all_where_a_function_made_it() -> None:
    @dataclass(frozen=True)
    class Inner(Settled):
        pass

    assert identify(Settled(2.0)) == "tests.models.test_own_models.Settled(bias=2.0)"
    assert identify(Inner(2.0)) is None


def test_what_a_built_in_method_is_bound_to_and_what_a_long_array_holds_is_not_known() -> None:
    assert identify({"a": [1.0]}.get) is None
    assert identify(len) == "builtins.len"
    assert identify(partial(embed_with, np.zeros(5000))) is None
    assert identify(partial(embed_with, "Represent this: ...")) is not None


def test_llama_indexs_models_are_told_apart() -> None:
    known = [EmbedModelEncoder(MockEmbedding(embed_dim=3, model_name=name)).fingerprint for name in ("a", "a", "b")]
    assert known[0] == known[1] != known[2]
    assert EmbedModelEncoder(MockEmbedding(embed_dim=3)).fingerprint is None
    assert EmbedModelEncoder(Modest(embed_dim=3)).fingerprint is None
    assert SparseEncoder(lambda: Bare().embed_query).fingerprint == "tests.models.test_own_models.Bare.embed_query"  # type: ignore[arg-type,return-value]


def test_an_embedding_model_in_the_place_of_a_cross_encoder_is_told_from_one(tmp_path: Path) -> None:
    model = FastembedCrossEncoder("me/tiny", path=onnx_folder(tmp_path / "dense"))
    with refused(ScoringError, "'me/tiny' returns an array of shape", "no cross-encoder", "EncoderSimilarity"):
        model.score("boat", ["ferry"])


@pytest.mark.parametrize("make", [FastembedCrossEncoder, FastembedDense])
def test_a_folder_without_a_model_is_an_error_that_says_what_is_there(tmp_path: Path, make: Any) -> None:
    with refused(StrategyError, "has no model.onnx", "'me/tiny'", "it has no .onnx file"):
        _used(make("me/tiny", path=tmp_path))
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "small.onnx").touch()
    with refused(StrategyError, "it has onnx/small.onnx", "model_file='onnx/small.onnx'"):
        _used(make("me/tiny", path=tmp_path))


def test_a_folder_must_have_the_file_of_a_model_of_fastembed_s(tmp_path: Path) -> None:
    with refused(StrategyError, "has no onnx/model.onnx", "it has no .onnx file"):
        FastembedCrossEncoder(path=tmp_path).score("boat", ["ferry"])


def _used(model: Any) -> None:
    model.score("boat", ["ferry"]) if isinstance(model, FastembedCrossEncoder) else model.encode_query("boat")


class Odd:
    pass


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        (np.ones((2, 3)), "an array of shape (2, 3) instead of a number for each of 2 texts"),
        (np.float64(1.0), "an array of shape () instead of a number"),
        ([np.ones(3), np.ones(3)], "an array of shape (3,) for text 0 (an embedding model scores texts within"),
        ([1.0, [0.5, 0.5]], "a list of 2 for text 1"),
        ((number for number in (1.0, 2.0)), "a generator instead of a number for each of 2 texts"),
        (None, "a NoneType instead of a number"),
        ([1.0, None], "scores that aren't numbers: float() argument"),
        ([1.0], "returned 1 scores for 2 texts"),
        ({0: 1.0, 1: 2.0}, "a dict instead of a number for each of 2 texts"),
        ({1.0, 2.0}, "a set instead of a number"),
        ("12", "a str instead of a number"),
        (b"12", "a bytes instead of a number"),
        (bytearray(b"12"), "a bytearray instead of a number"),
        ([True, False], "scores that aren't numbers: a bool for text 0"),
        ([1.0, np.bool_(True)], "scores that aren't numbers"),
        ([10**400, 1], "scores that are too large"),
    ],
)
def test_what_a_model_returned_instead_of_numbers_is_said(answer: Any, part: str) -> None:
    with refused(ScoringError, "the model (Odd)", part):
        check_scores(answer, 2, Odd())


@pytest.mark.parametrize("answer", [np.array([1, 2]), [np.float32(1.0), np.array(2.0)], (1, 2.0), range(1, 3)])
def test_numbers_of_any_kind_are_taken(answer: Sequence[Any]) -> None:
    assert check_scores(answer, 2, None) == [1.0, 2.0]
