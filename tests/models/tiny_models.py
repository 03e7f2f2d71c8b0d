"""Model folders as small as fastembed will run: a few words, four numbers each. Written, not downloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[MASK]", "boat", "ferry", "train", "hut", "."]
TABLE: NDArray[np.float32] = np.random.default_rng(7).normal(size=(len(WORDS), 4)).astype(np.float32)


def row(word: str) -> list[float]:
    """What the models know of a word."""
    values: list[float] = TABLE[WORDS.index(word)].tolist()
    return values


def onnx_folder(folder: Path, model_file: str = "model.onnx") -> Path:
    """A transformer without layers: its token vectors are rows of `TABLE`."""
    folder.mkdir(parents=True)
    _tokenizer(folder)
    (folder / model_file).write_bytes(_gather_model())
    return folder


def bm25_folder(folder: Path, stop_words: list[str]) -> Path:
    """What fastembed's BM25 reads: a list of stop words."""
    folder.mkdir(parents=True)
    (folder / "english.txt").write_text("\n".join(stop_words))
    return folder


def _tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 16, "pad_token": "[PAD]"}))
    (folder / "config.json").write_text(json.dumps({"pad_token_id": 0}))
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": "[PAD]", "mask_token": "[MASK]"}))


def _gather_model() -> bytes:
    """An ONNX file with one node: token ids to rows of the table. (Protocol buffers by hand, as `onnx` isn't needed else.)"""
    batch_of_ids, vectors = ["batch", "tokens"], ["batch", "tokens", TABLE.shape[1]]
    node = _message({1: [b"table", b"input_ids"], 2: [b"last_hidden_state"], 3: [b"gather"], 4: [b"Gather"]})
    table = _message({1: list(TABLE.shape), 2: [1], 8: [b"table"], 9: [TABLE.tobytes()]})
    graph = _message(
        {
            1: [node],
            2: [b"tiny"],
            5: [table],
            11: [_value("input_ids", 7, batch_of_ids), _value("attention_mask", 7, batch_of_ids)],
            12: [_value("last_hidden_state", 1, vectors)],
        }
    )
    return _message({1: [8], 7: [graph], 8: [_message({1: [b""], 2: [13]})]})


def _value(name: str, element: int, shape: list[str | int] | list[str]) -> bytes:
    dims = [_message({1: [size]} if isinstance(size, int) else {2: [size.encode()]}) for size in shape]
    tensor = _message({1: [element], 2: [_message({1: dims})]})
    return _message({1: [name.encode()], 2: [_message({1: [tensor]})]})


def _message(fields: Mapping[int, list[bytes] | list[int]]) -> bytes:
    parts: list[bytes] = []
    for number, values in fields.items():
        for value in values:
            if isinstance(value, int):
                parts += [_varint(number << 3), _varint(value)]
            else:
                parts += [_varint(number << 3 | 2), _varint(len(value)), value]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)
