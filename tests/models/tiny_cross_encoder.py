"""A cross-encoder as small as fastembed will run: a pair's score is the sum of its words' weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.models.tiny_models import WORDS, _message, _tokenizer, _value

WEIGHTS = {word: float(number - 3) / 4 if number > 3 else 0.0 for number, word in enumerate(WORDS)}


def cross_encoder_folder(folder: Path, model_file: str = "model.onnx") -> Path:
    """A folder that fastembed runs as a cross-encoder."""
    folder.mkdir(parents=True)
    _tokenizer(folder)
    (folder / model_file).write_bytes(_model(list(WEIGHTS.values())))
    return folder


def weight(*texts: str) -> float:
    """The score of words together."""
    return sum(WEIGHTS.get(word, 0.0) for text in texts for word in text.split())


def _model(weights: list[float]) -> bytes:
    """Two nodes: token ids to weights (Gather), their sum over the tokens (ReduceSum over axis 1)."""
    table = _message({1: [len(weights), 1], 2: [1], 8: [b"table"], 9: [np.array(weights, np.float32).tobytes()]})
    axis = _message({1: [1], 2: [7], 8: [b"axis"], 9: [np.array([1], np.int64).tobytes()]})
    gather = _message({1: [b"table", b"input_ids"], 2: [b"rows"], 4: [b"Gather"]})
    flat = _message({1: [b"keepdims"], 3: [0], 20: [2]})
    total = _message({1: [b"rows", b"axis"], 2: [b"logits"], 4: [b"ReduceSum"], 5: [flat]})
    ids = ["batch", "tokens"]
    one: list[str | int] = ["batch", 1]
    graph = _message(
        {
            1: [gather, total],
            2: [b"tiny"],
            5: [table, axis],
            11: [_value("input_ids", 7, ids), _value("attention_mask", 7, ids)],
            12: [_value("logits", 1, one)],
        }
    )
    return _message({1: [8], 7: [graph], 8: [_message({1: [b""], 2: [13]})]})
