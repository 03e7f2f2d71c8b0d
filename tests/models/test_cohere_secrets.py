from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import sys
import traceback
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from qdrant_rerank import StrategyError
from qdrant_rerank._internals import ApiKey
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.models import CohereEncoder, CohereReranker
from tests.models.stub_cohere import Refuse, StubCohere

KEY = "co-7f3a9b-very-secret"


@pytest.fixture
def server() -> Iterator[StubCohere]:
    with StubCohere() as running:
        yield running


@pytest.fixture(autouse=True)
def no_keys_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CO_API_KEY", "COHERE_API_KEY", "CO_API_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("make", [CohereReranker, CohereEncoder])
@pytest.mark.parametrize("key", [KEY, SecretStr(KEY)], ids=["text", "SecretStr"])
def test_the_key_is_in_no_representation_of_a_model(make: type[CohereReranker | CohereEncoder], key: str | SecretStr) -> None:
    model = make(api_key=key)
    shown = [
        repr(model),
        str(model),
        repr(vars(model)),
        repr(dataclasses.asdict(model)),
        json.dumps(dataclasses.asdict(model), default=repr),
        pickle.dumps(model).decode("latin-1"),
        pickle.dumps(copy.deepcopy(model)).decode("latin-1"),
        model.fingerprint,
    ]
    assert [text for text in shown if KEY in text] == []
    assert eval(repr(model)) == model


def test_the_key_is_sent_nonetheless_also_by_copies_and_replacements(server: StubCohere) -> None:
    model = CohereReranker(api_key=SecretStr(KEY), base_url=server.url)
    for one in (model, copy.deepcopy(model), copy.copy(model), dataclasses.replace(model, seconds=5.0)):
        one.score("a", ["b"])
        one.close()

    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"] * 4


def test_an_unpickled_model_keeps_no_key_and_reads_the_environment(server: StubCohere, monkeypatch: pytest.MonkeyPatch) -> None:
    model = CohereReranker(api_key=KEY, base_url=server.url)
    model.score("a", ["b"])
    twin = pickle.loads(pickle.dumps(model))
    model.close()

    with pytest.raises(StrategyError, match="an unpickled model keeps no key"):
        twin.score("a", ["b"])
    monkeypatch.setenv("COHERE_API_KEY", "from-environment")
    twin.score("a", ["b"])
    twin.close()

    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}", "Bearer from-environment"]


def test_without_a_key_the_environment_is_read_at_first_use_co_api_key_first(
    server: StubCohere, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CohereReranker(base_url=server.url)
    with pytest.raises(StrategyError, match="no API key: pass api_key=…, or set CO_API_KEY or COHERE_API_KEY"):
        model.score("a", ["b"])

    monkeypatch.setenv("COHERE_API_KEY", "second")
    monkeypatch.setenv("CO_API_KEY", "first")
    monkeypatch.setenv("CO_API_URL", server.url)
    model = CohereReranker()
    model.score("a", ["b"])
    model.close()
    assert server.requests[0].headers["authorization"] == "Bearer first"


def test_errors_and_logs_do_not_show_the_key_even_if_the_server_repeats_it(
    server: StubCohere, caplog: pytest.LogCaptureFixture
) -> None:
    from cohere.errors import UnauthorizedError

    caplog.set_level(logging.DEBUG)
    server.script += [Refuse(500), Refuse(401, f"invalid api token {KEY}")]
    model = CohereReranker(api_key=KEY, base_url=server.url)

    with pytest.raises(UnauthorizedError, match=r"invalid api token \*\*\*") as caught:
        model.score("a", ["b"])
    model.close()

    assert KEY not in "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert KEY not in caplog.text
    assert "127.0.0.1" in caplog.text  # the log was on


@pytest.mark.parametrize("bad", ["", "  ", "two words", "naïve", "line\nbreak", "tab\there"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StrategyError) as caught:
        CohereReranker(api_key=bad)
    assert "api_key=" in str(caught.value)
    assert not bad.strip() or bad not in str(caught.value)

    monkeypatch.setenv("CO_API_KEY", bad)
    with pytest.raises(StrategyError, match="CO_API_KEY"):
        CohereReranker().score("a", ["b"])


def test_a_key_read_from_a_file_may_end_in_a_newline(server: StubCohere) -> None:
    model = CohereReranker(api_key=f"{KEY}\n", base_url=server.url)
    model.score("a", ["b"])
    model.close()
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_address_that_holds_a_password_is_refused_without_showing_it() -> None:
    with pytest.raises(StrategyError, match="holds a name or password") as caught:
        CohereReranker(base_url=f"https://me:{KEY}@example.com")
    assert KEY not in str(caught.value)


def test_a_key_shows_only_whether_there_is_one() -> None:
    assert (repr(ApiKey(KEY)), repr(ApiKey())) == ("ApiKey('***')", "ApiKey()")
    assert ApiKey(KEY).get_secret_value() == KEY


def test_without_the_extra_it_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cohere", None)

    with pytest.raises(MissingExtra, match=r"CohereReranker needs .* pip install 'qdrant-rerank\[cohere\]'"):
        CohereReranker(api_key=KEY)
