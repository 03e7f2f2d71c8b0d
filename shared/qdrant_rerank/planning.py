"""What a strategy is checked against, and what comes of it: schemas, abilities of servers, plans and their costs.

from qdrant_rerank.planning import plan, read_schema

print(plan(strategy, read_schema(client, "docs")).describe())
"""

from __future__ import annotations

from .capabilities import Capabilities
from .description import PlanDescription
from .plan import Plan, plan
from .query import Target
from .schema import Schema, VectorInfo, aread_schema, read_schema
from .strategies import Cost

__all__ = [
    "Capabilities",
    "Cost",
    "Plan",
    "PlanDescription",
    "Schema",
    "Target",
    "VectorInfo",
    "aread_schema",
    "plan",
    "read_schema",
]
