"""The tables: what runs extract, what people decide, and what the steps make of both."""

from processors.contract import Table
from processors.overall import OverallTable

FACTS = Table(
    "verification_facts",
    {
        "item_id": "VARCHAR",
        "turn_uuid": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "project": "VARCHAR",
        "detection_type": "VARCHAR",
        "title": "VARCHAR",
        "content": "VARCHAR",
        "user_quote": "VARCHAR",
        "domain": "VARCHAR",
        "entities": "VARCHAR[]",
    },
)
"""What was found in a turn, as it was stated there: one row per session, turn and item. The views count these."""

SESSIONS = Table(
    "verification_sessions",
    {
        "prompts": "BIGINT",
        "windows": "BIGINT",
        "facts": "BIGINT",
        "dropped": "BIGINT",
        "left_out": "BOOLEAN",
    },
    kind="one_per_session",
)
"""What was read of each session: prompts of people, windows that were looked at, what was found, and what was dropped
because its quote does not stand in the prompt or it is no item; and whether its marker has it left out."""

REVIEWS = OverallTable(
    "knowledge_reviews",
    {
        "item_id": "VARCHAR",
        "action": "VARCHAR",
        "other_id": "VARCHAR",
        "note": "VARCHAR",
        "reviewer": "VARCHAR",
        "reviewed_at": "TIMESTAMP",
        "title": "VARCHAR",
        "content": "VARCHAR",
        "category": "VARCHAR",
        "domain": "VARCHAR",
        "entities": "VARCHAR[]",
        "base_confidence": "DOUBLE",
        "source_user": "VARCHAR",
        "source_ref": "VARCHAR",
        "session_file": "VARCHAR",
        "project": "VARCHAR",
        "first_stated_at": "TIMESTAMP",
        "last_stated_at": "TIMESTAMP",
    },
)
"""What people decided: ``approve``, ``reject``, ``reopen``, ``merge`` (into the other item), ``separate`` (from it).
The columns after ``reviewed_at`` are the item as it was then: it stays even if it is not found any more."""

CANONICAL = OverallTable("knowledge_canonical", {"item_id": "VARCHAR", "canonical_id": "VARCHAR"})
"""Which item the evidence of another one counts to; items that stand for themselves are not in it."""

RELATIONS = OverallTable(
    "knowledge_item_relations",
    {"item_a": "VARCHAR", "item_b": "VARCHAR", "relation": "VARCHAR", "score": "DOUBLE", "reason": "VARCHAR"},
)
"""Likely duplicates, whether their evidence was brought together or not; ``item_a`` is the smaller id."""

CONTRADICTIONS = OverallTable(
    "knowledge_contradictions",
    {
        "item_a": "VARCHAR",
        "item_b": "VARCHAR",
        "explanation": "VARCHAR",
        "severity": "VARCHAR",
        "suggested_resolution": "VARCHAR",
    },
)
"""Items of one domain that cannot both be right, as a language model sees it; none where there is none."""
