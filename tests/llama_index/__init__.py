"""Tests of the LlamaIndex adapter; what they share is in `tests.llama_index.stores`."""
