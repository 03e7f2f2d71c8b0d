from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from benchmarks.onnx_inputs import with_zeros
from tests.models.tiny_cross_encoder import WEIGHTS, _model


def test_an_input_that_becomes_zeros_need_not_be_passed() -> None:
    model = _model([number + 1.0 for number in range(len(WEIGHTS))])
    zeros = onnxruntime.InferenceSession(with_zeros(model, "input_ids", like="attention_mask"))

    assert [node.name for node in zeros.get_inputs()] == ["attention_mask"]
    [logits] = zeros.run(None, {"attention_mask": np.ones((2, 3), np.int64)})
    assert np.asarray(logits).tolist() == [[3.0], [3.0]]  # three tokens, each of id 0


def test_a_name_that_is_no_input_is_refused() -> None:
    with pytest.raises(ValueError, match="no input 'token_type_ids'"):
        with_zeros(_model([1.0]), "token_type_ids")
