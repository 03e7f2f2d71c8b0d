"""What a strategy is checked against, and what comes of it: schemas, abilities of servers, plans and their costs.

from qdrant_rerank.planning import payload_schema, plan, read_schema

print(plan(strategy, read_schema(client, "docs")).describe())
print(payload_schema(client, "docs"))  # keys, types and values, before one writes a formula or a filter
"""

from __future__ import annotations

from .capabilities import Capabilities
from .explain.plans import PlanDescription
from .payload_schema import PayloadKeySchema, PayloadSchema, PayloadType, ValueCount, apayload_schema, payload_schema
from .plan import Plan, plan
from .query import Target
from .schema import Schema, VectorInfo, aread_schema, read_schema
from .strategies import Cost

__all__ = [
    "Capabilities",
    "Cost",
    "PayloadKeySchema",
    "PayloadSchema",
    "PayloadType",
    "Plan",
    "PlanDescription",
    "Schema",
    "Target",
    "ValueCount",
    "VectorInfo",
    "apayload_schema",
    "aread_schema",
    "payload_schema",
    "plan",
    "read_schema",
]
