from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import pytest

from qdrant_rerank import ScoringError, StrategyError
from qdrant_rerank._internals import AsyncReranker, as_reranker
from qdrant_rerank.models import LlmPointwise, LlmStats
from tests.models.llms import Scripted, length_score

TEXTS = ["one", "one two", "", "one two three"]


def test_each_text_gets_its_own_score_in_the_order_of_the_texts() -> None:
    model = LlmPointwise(length_score)
    assert model.score("q", TEXTS) == [1.0, 2.0, 0.0, 3.0]
    assert model.stats == LlmStats(calls=3, empty=1)
    assert model.score("q", []) == []


async def test_async_gives_the_same_scores_for_sync_and_async_functions() -> None:
    async def awaited(prompt: str) -> str:
        return length_score(prompt)

    class Object:
        async def __call__(self, prompt: str) -> str:
            return length_score(prompt)

    for llm in (length_score, awaited, lambda prompt: awaited(prompt), Object()):
        model = LlmPointwise(llm)
        assert await model.ascore("q", TEXTS) == [1.0, 2.0, 0.0, 3.0]
        assert model.stats.calls == 3


def test_it_is_a_feedback_model() -> None:
    model = LlmPointwise(length_score)
    assert isinstance(model, AsyncReranker)
    assert as_reranker(model) is model


def test_a_bad_answer_is_counted_and_asked_for_again() -> None:
    model = LlmPointwise(Scripted("Hm.", '{"score": 12}', "6"), retries=2)
    assert model.score("q", ["a"]) == [6.0]
    assert model.stats == LlmStats(calls=3, retried=2, bad={"prose": 1, "out_of_range": 1})


def test_a_text_with_bad_answers_only_gets_the_bottom_of_the_scale() -> None:
    model = LlmPointwise(Scripted("", "11"), scale=(-5, 5))
    assert model.score("q", ["a"]) == [-5.0]
    assert model.stats == LlmStats(calls=2, retried=1, unusable=1, bad={"empty": 1, "out_of_range": 1})


async def test_on_bad_raise_says_what_the_llm_said() -> None:
    model = LlmPointwise(Scripted("I think " + "very " * 100), on_bad="raise", retries=0)
    with pytest.raises(ScoringError, match=r"not a score from 0 to 10 \(prose\).*asked 1 times.*'I think very") as caught:
        model.score("q", ["a"])
    assert len(str(caught.value)) < 250
    with pytest.raises(ScoringError):
        await model.ascore("q", ["a"])
    assert model.stats.unusable == 2


def test_errors_of_the_llm_pass_as_they_are() -> None:
    def down(prompt: str) -> str:
        raise ConnectionResetError("gone")

    model = LlmPointwise(down)
    with pytest.raises(ConnectionResetError, match="gone"):
        model.score("q", ["a"])
    assert model.stats == LlmStats(calls=1)


def test_a_sync_call_of_an_async_function_says_what_to_do() -> None:
    async def awaited(prompt: str) -> str:
        return "1"

    class Awaitable:
        def __await__(self) -> Any:
            return awaited("").__await__()

    for llm in (awaited, lambda prompt: awaited(prompt), lambda prompt: Awaitable()):
        with pytest.raises(RuntimeError, match="async function: use ascore"):
            LlmPointwise(llm).score("q", ["a"])


def test_instructions_and_scale_are_told_to_the_llm() -> None:
    seen = Scripted("0.5")
    LlmPointwise(seen, instructions="Prefer recent guides.", scale=(0, 1)).score("q", ["a"])
    assert "What counts: Prefer recent guides." in seen.prompts[0]
    assert "a number from 0 (not at all) to 1 (completely)" in seen.prompts[0]


def test_the_fingerprint_changes_with_all_that_changes_scores_and_with_nothing_else() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"instructions": "a"},
        {"instructions": "b"},
        {"scale": (0, 1)},
        {"max_chars": 10},
        {"retries": 0},
        {"name": "other"},
    ]
    prints = [LlmPointwise(length_score, **settings).fingerprint for settings in variants]
    assert len(set(prints)) == len(prints)
    same = LlmPointwise(length_score, concurrency=1, on_bad="raise")
    assert same.fingerprint == prints[0]
    assert same.concurrency == 1
    assert prints[0].startswith("llm-pointwise:tests.models.llms.length_score:prompt=1-")


def test_functions_that_cannot_be_told_apart_have_fingerprints_of_their_own() -> None:
    class Object:
        def __call__(self, prompt: str) -> str:
            return "1"

    makers: list[Any] = [lambda: lambda prompt: "1", lambda: partial(length_score), Object, lambda: Scripted("1").__call__]
    for make in makers:
        assert LlmPointwise(make()).fingerprint != LlmPointwise(make()).fingerprint
        assert LlmPointwise(make(), name="a").fingerprint == LlmPointwise(make(), name="a").fingerprint
    model = LlmPointwise(makers[0]())
    assert model.fingerprint == model.fingerprint


def test_neither_fingerprint_nor_repr_shows_the_llm() -> None:
    class Client:
        model = "m-1"
        temperature = 0.2
        api_key = "sk-secret"

        def __repr__(self) -> str:
            return self.api_key

        def __call__(self, prompt: str) -> str:
            return "1"

    shown = repr(LlmPointwise(Client()))
    assert "Client/m-1@0.2:" in shown
    assert "sk-secret" not in shown


def test_copies_work_and_count_for_themselves() -> None:
    model = LlmPointwise(length_score)
    model.score("q", ["a"])
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.stats == LlmStats()
        assert copied.score("q", ["a b", "c"]) == [2.0, 1.0]
        assert copied.stats.calls == 2
        assert copied.fingerprint == model.fingerprint
    assert model.stats.calls == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": (10, 0)}, "lowest and the highest score"),
        ({"scale": 10}, "lowest and the highest score"),
        ({"scale": (0, float("inf"))}, "lowest and the highest score"),
        ({"concurrency": 0}, "the concurrency of LlmPointwise must be a whole number of at least 1, got 0"),
        ({"max_chars": 0}, "max_chars"),
        ({"retries": -1}, "retries"),
        ({"on_bad": "ignore"}, "on_bad is 'lowest' or 'raise', not 'ignore'"),
        ({"instructions": " "}, "instructions is a text, or None"),
        ({"name": 3}, "name is a text"),
        ({"llm": 3}, "not an LLM: int has neither invoke"),
        ({"llm": Scripted}, "is the class Scripted: pass an object"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        LlmPointwise(**{"llm": length_score, **settings})
