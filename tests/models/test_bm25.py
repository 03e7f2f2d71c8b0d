from __future__ import annotations

import math
import pickle
import sys
import threading
import unicodedata
from collections import Counter

import pytest
from qdrant_client import models

from qdrant_rerank import StrategyError
from qdrant_rerank.errors import MissingExtra
from qdrant_rerank.ingest import Document, ensure_collection, ingest
from qdrant_rerank.models import Bm25, Encoder, encoders
from tests.engines import open_client

DOCUMENTS = {1: "Ferry tickets, ferry times", 2: "A train to the mountain hut, and back by train", 3: "mountain weather"}
STEMS = {
    1: ["ferri", "ticket", "ferri", "time"],
    2: ["train", "mountain", "hut", "back", "train"],
    3: ["mountain", "weather"],
}
"""The words without stop words, stemmed by hand."""


def by_hand(query: list[str], k: float, b: float, average: float) -> dict[int, float]:
    scores = {}
    for number, words in STEMS.items():
        counts = Counter(words)
        scores[number] = 0.0
        for word in query:
            having = sum(word in other for other in STEMS.values())
            idf = math.log(1 + (len(STEMS) - having + 0.5) / (having + 0.5))
            tf = counts[word]
            scores[number] += idf * tf * (k + 1) / (tf + k * (1 - b + b * len(words) / average))
    return {number: score for number, score in scores.items() if score > 0}


@pytest.mark.parametrize(("k", "b", "average"), [(1.2, 0.75, 256.0), (2.0, 0.3, 4.0), (0.5, 1.0, 3.5)])
def test_scores_in_qdrant_are_bm25_computed_by_hand(k: float, b: float, average: float) -> None:
    encoder = Bm25(k=k, b=b, avg_len=average)
    client = open_client()
    ensure_collection(client, "docs", {"bm25": encoder})
    ingest(client, "docs", [Document(id, text) for id, text in DOCUMENTS.items()], {"bm25": encoder})

    found = client.query_points("docs", query=encoder.encode_query("Trains to a mountain?"), using="bm25").points

    assert {point.id: point.score for point in found} == pytest.approx(by_hand(["train", "mountain"], k, b, average), abs=1e-5)


def test_words_that_a_query_repeats_count_once() -> None:
    assert Bm25().encode_query("ferry ferries ferry") == Bm25().encode_query("ferry")


def test_the_language_decides_on_stems_and_stop_words() -> None:
    [english] = Bm25().encode_documents(["der die das Boote"])
    [german] = Bm25("german").encode_documents(["der die das Boote"])

    assert (len(english.indices), len(german.indices)) == (4, 1)
    assert german.indices == Bm25("german").encode_query("Boot").indices


def test_vectors_are_qdrants_own_with_plain_numbers() -> None:
    [vector] = Bm25().encode_documents(["mountain ferry"])

    assert isinstance(vector, models.SparseVector)
    assert {type(index) for index in vector.indices} == {int}
    assert {type(value) for value in vector.values} == {float}


def test_a_text_of_stop_words_has_an_empty_vector_and_can_be_stored() -> None:
    client = open_client()
    ensure_collection(client, "docs", {"bm25": Bm25()})

    report = ingest(client, "docs", [Document(1, "the and of"), Document(2, "ferry")], {"bm25": Bm25()})

    assert report.written == 2
    assert [point.id for point in client.query_points("docs", query=Bm25().encode_query("ferry"), using="bm25").points] == [2]


def test_it_is_an_encoder_that_says_what_it_makes_and_pickles_after_use() -> None:
    encoder = Bm25("german", k=1.5)
    encoder.encode_query("Boot")

    assert isinstance(encoder, Encoder)
    assert (encoder.kind, encoder.idf) == ("sparse", True)
    assert pickle.loads(pickle.dumps(encoder)) == encoder
    assert repr(encoder) == "Bm25(language='german', k=1.5, b=0.75, avg_len=256.0)"


def test_it_can_be_used_in_many_threads() -> None:
    encoder = Bm25(avg_len=100.0)
    found: list[models.SparseVector] = []
    threads = [threading.Thread(target=lambda: found.append(encoder.encode_query("ferry times"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [encoder.encode_query("ferry times")] * 8


def test_wrong_settings_are_refused_at_once() -> None:
    with pytest.raises(StrategyError, match=r"Bm25\(language='klingon'.*unsupported language"):
        Bm25("klingon")
    with pytest.raises(StrategyError, match=r"b must be finite and in \[0.0, 1.0\], got 2"):
        Bm25(b=2)
    with pytest.raises(StrategyError, match="the k of Bm25 must be a finite number, got nan"):
        Bm25(k=math.nan)
    with pytest.raises(StrategyError, match="the avg_len of Bm25 must be a finite number, got '8'"):
        Bm25(avg_len="8")  # type: ignore[arg-type]


def test_without_qdrant_edge_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    encoders._model.cache_clear()

    with pytest.raises(MissingExtra, match=r"Bm25 needs .* pip install 'qdrant-rerank\[edge\]'"):
        Bm25()


def test_a_word_is_the_same_composed_and_decomposed() -> None:
    for text in ("café crème", "캘린더", "größe"):
        composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
        assert composed != decomposed
        assert Bm25().encode_query(composed) == Bm25().encode_query(decomposed)
        assert Bm25().encode_documents([composed]) == Bm25().encode_documents([decomposed])
