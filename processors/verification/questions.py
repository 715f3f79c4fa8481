"""What is asked of the items: SQL over the views, for commands and for whoever asks the same."""

from dataclasses import dataclass
from typing import Any

STATUSES = ("pending", "approved", "rejected")

_EVIDENCE = """
SELECT item_id, session_file, turn_uuid, source_user, source_ref, detection_type, user_quote, created_at
FROM verification_evidence"""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which items.

    Attributes:
        status, domain, category, user: only these; ``user`` is one of those who stated it.
        least_confidence: from 0 to 1.
        text: in the title or the content, in lower or upper case.

    """

    status: str | None = None
    domain: str | None = None
    category: str | None = None
    user: str | None = None
    least_confidence: float = 0.0
    text: str | None = None

    def where(self) -> tuple[str, list[Any]]:
        """An SQL condition on ``items``, and its parameters."""
        conditions, values = ["confidence >= ?"], [self.least_confidence]
        parameters: list[Any] = list(values)
        for column, value in (("status", self.status), ("domain", self.domain), ("category", self.category)):
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        if self.user is not None:
            conditions.append("id IN (SELECT item_id FROM verification_evidence WHERE source_user = ?)")
            parameters.append(self.user)
        if self.text is not None:
            conditions.append("contains(lower(title || ' ' || content), lower(?))")
            parameters.append(self.text)
        return " AND ".join(conditions), parameters


def listed(filters: Filters, limit: int | None = None) -> tuple[str, list[Any]]:
    """Items, the surest first, with all columns of ``knowledge_items``."""
    where, parameters = filters.where()
    order = "ORDER BY confidence DESC, last_stated_at DESC, id"
    most = "" if limit is None else f"LIMIT {limit:d}"
    return f"SELECT * FROM knowledge_items AS items WHERE {where} {order} {most}", parameters


def evidence_of(filters: Filters) -> tuple[str, list[Any]]:
    """The evidence of all items that :func:`listed` gives without a limit."""
    where, parameters = filters.where()
    items = f"SELECT id FROM knowledge_items AS items WHERE {where}"
    return f"{_EVIDENCE} WHERE item_id IN ({items}) ORDER BY created_at, source_ref", parameters


EVIDENCE = f"{_EVIDENCE} WHERE item_id = ? ORDER BY created_at, source_ref"

RELATED = """
SELECT if(item_a = ?, item_b, item_a) AS id, title, relation, score, reason,
    coalesce(canonical_id, id) AS counts_to
FROM knowledge_item_relations
LEFT JOIN knowledge_canonical ON knowledge_canonical.item_id = if(item_a = ?, item_b, item_a)
LEFT JOIN knowledge_statements ON knowledge_statements.id = if(item_a = ?, item_b, item_a)
WHERE item_a = ? OR item_b = ? ORDER BY score DESC, 1"""

CONTRADICTED = """
SELECT if(item_a = ?, item_b, item_a) AS id, title, severity, explanation, suggested_resolution
FROM knowledge_contradictions
LEFT JOIN knowledge_statements ON knowledge_statements.id = if(item_a = ?, item_b, item_a)
WHERE item_a = ? OR item_b = ? ORDER BY severity, 1"""

REVIEWED = """
SELECT action, other_id, note, reviewer, reviewed_at FROM knowledge_reviews
WHERE item_id = ? OR other_id = ? ORDER BY reviewed_at"""

CANONICAL = "SELECT canonical_id FROM knowledge_canonical WHERE item_id = ?"
