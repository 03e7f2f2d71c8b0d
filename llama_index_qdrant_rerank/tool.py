"""The retriever as an agent's tool."""

from __future__ import annotations

from typing import Any

from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.core.tools.retriever_tool import RetrieverTool
from llama_index.core.tools.types import ToolOutput

__all__ = ["QdrantRerankTool"]


class QdrantRerankTool(RetrieverTool):
    """LlamaIndex's `RetrieverTool`, but what the agent asks is the query.

    For an agent's `input="hello"`, `RetrieverTool` searches for `"\\ninput is hello\\n"`, which ranks by the words "input"
    and "is" as well. Make it with `QdrantRerankTool.from_defaults(retriever, name=…, description=…)`; postprocessors go
    into `node_postprocessors=[…]`.
    """

    def call(self, *args: Any, **kwargs: Any) -> ToolOutput:
        query = _query(args, kwargs)
        nodes = self._retriever.retrieve(query)
        for postprocessor in self._node_postprocessors:
            nodes = postprocessor.postprocess_nodes(nodes, QueryBundle(query))
        return self._output(query, nodes)

    async def acall(self, *args: Any, **kwargs: Any) -> ToolOutput:
        query = _query(args, kwargs)
        nodes = await self._retriever.aretrieve(query)
        for postprocessor in self._node_postprocessors:
            nodes = await postprocessor.apostprocess_nodes(nodes, QueryBundle(query))
        return self._output(query, nodes)

    def _output(self, query: str, nodes: list[NodeWithScore]) -> ToolOutput:
        return ToolOutput(
            content="\n\n".join(node.get_content(MetadataMode.LLM) for node in nodes),
            tool_name=self.metadata.get_name(),
            raw_input={"input": query},
            raw_output=nodes,
        )


def _query(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The texts that the tool is called with, by whatever names."""
    return " ".join(str(value) for value in (*args, *kwargs.values()))
