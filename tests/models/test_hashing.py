from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from qdrant_rerank import StrategyError
from qdrant_rerank._internals import features_of_word
from qdrant_rerank.models import Encoder, HashedNgrams


def cosine(one: str, other: str, encoder: HashedNgrams | None = None) -> float:
    encoder = encoder or HashedNgrams(4096)
    return float(np.dot(encoder.encode_query(one), encoder.encode_query(other)))


def test_texts_that_share_words_or_parts_of_words_are_nearer() -> None:
    assert cosine("bicycle repair", "repair of a bicycle") == pytest.approx(1.0)
    assert cosine("bicycle", "bicycles") > 0.3
    assert cosine("bicycle", "tricycle") > 0.2
    assert abs(cosine("bicycle", "weather")) < 0.1


def test_meaning_is_not_matched_as_the_docstring_admits() -> None:
    assert abs(cosine("bike", "bicycle")) < 0.2
    assert "not meaning" in (HashedNgrams.__doc__ or "")


@pytest.mark.parametrize("size", [1, 64, 512])
def test_vectors_have_the_size_asked_for_and_length_1(size: int) -> None:
    vector = HashedNgrams(size).encode_query("the last boat leaves at nine")

    assert len(vector) == size
    assert math.hypot(*vector) == pytest.approx(1.0)
    assert {type(number) for number in vector} == {float}


def test_case_accents_and_punctuation_make_no_difference() -> None:
    encoder = HashedNgrams()

    assert encoder.encode_query("CAFÉ, Straße!") == encoder.encode_query("cafe strasse")


def test_a_word_that_is_repeated_counts_less_and_less() -> None:
    encoder = HashedNgrams(4096)
    once, thrice = cosine("ferry hut", "ferry", encoder), cosine("ferry ferry ferry hut", "ferry", encoder)

    assert once < thrice < 1
    assert thrice / math.sqrt(1 - thrice**2) == pytest.approx((1 + math.log(3)) * once / math.sqrt(1 - once**2), rel=0.1)


def test_stop_words_are_left_out_unless_there_is_nothing_else() -> None:
    encoder = HashedNgrams()

    assert encoder.encode_query("the ferry") == encoder.encode_query("ferry")
    assert any(encoder.encode_query("to be or to do"))
    assert HashedNgrams(skip_stop_words=False).encode_query("the ferry") != encoder.encode_query("ferry")


def test_a_text_without_words_is_all_zeros() -> None:
    assert HashedNgrams(8).encode_documents(["", "?!"]) == [[0.0] * 8, [0.0] * 8]


def test_queries_and_documents_are_embedded_alike() -> None:
    encoder = HashedNgrams()

    assert encoder.encode_documents(["a hut", "a boat"]) == [encoder.encode_query("a hut"), encoder.encode_query("a boat")]


def test_every_process_with_its_own_hash_seed_computes_these_numbers() -> None:
    expected = [-0.358814, -0.187579, -0.016344, 0.0, -0.171235, -0.171235, -0.016344, -0.881413]

    assert HashedNgrams(8).encode_query("Ferry to the hut") == pytest.approx(expected, abs=1e-6)


def test_it_is_an_encoder_and_a_plain_value() -> None:
    encoder = HashedNgrams(64)

    assert isinstance(encoder, Encoder)
    assert (encoder.kind, encoder.size) == ("dense", 64)
    assert pickle.loads(pickle.dumps(encoder)) == encoder == eval(repr(encoder))


def test_each_of_2000_words_is_hashed_once_however_many_texts_have_it() -> None:
    words = [f"word{number}" for number in range(2000)]
    texts = [" ".join(words[start % 1901 : start % 1901 + 100]) for start in range(0, 17_000, 17)]
    features_of_word.cache_clear()

    HashedNgrams().encode_documents(texts)

    assert features_of_word.cache_info().misses == len({word for text in texts for word in text.split()}) > 1900
    assert features_of_word.cache_info().hits > 90_000


def test_a_size_below_1_is_refused() -> None:
    with pytest.raises(StrategyError, match="the size of HashedNgrams must be a whole number of at least 1, got 0"):
        HashedNgrams(0)
