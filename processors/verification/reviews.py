"""What people decide about items: orders to the processor, each of which adds a row to its records.

An item's status is that of the last decision on it. What is kept of the item as it was then lets a decision outlive
the transcripts that the item was found in.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import duckdb

from processors.overall import Order, OrderError
from processors.verification.candidates import pair
from processors.verification.canonical import Pair
from processors.verification.tables import REVIEWS

MOST_NOTE = 2_000
"""Characters."""

_COPIED = (
    *("title", "content", "category", "domain", "entities", "source_user", "source_ref"),
    *("first_stated_at", "last_stated_at", "base_confidence", "project", "session_file"),
)

# Whose text it is decides whether it may be kept, not whose evidence counts to it.
_ITEM = """
SELECT items.title, items.content, items.category, items.domain, items.entities,
    own.username, own.session_file || '#' || own.turn_uuid, items.created_at, items.last_stated_at,
    (SELECT max(base_confidence) FROM verification_evidence AS evidence WHERE evidence.item_id = items.id),
    own.project, own.session_file
FROM knowledge_items AS items JOIN verification_facts AS own ON own.item_id = items.id
WHERE items.id = ? ORDER BY least(own.occurred_at, own.extracted_at), own.session_file, own.turn_uuid LIMIT 1"""

_KEPT = f"""
SELECT {", ".join(_COPIED)}
FROM {REVIEWS.name} WHERE item_id = ? AND content IS NOT NULL ORDER BY reviewed_at DESC LIMIT 1"""

DECIDED = f"""
SELECT item_id, other_id, action FROM {REVIEWS.name}
WHERE action IN ('merge', 'separate') ORDER BY reviewed_at, item_id, other_id"""


def decided(rows: Iterable[tuple[str, str, str]]) -> tuple[list[Pair], set[Pair]]:
    """Merges in their order, and pairs that are not the same: of a pair, the last decision counts.

    Args:
        rows: of :data:`DECIDED`.

    """
    latest: dict[Pair, tuple[str, Pair]] = {}
    for item, other, action in rows:
        both = pair(item, other)
        latest.pop(both, None)
        latest[both] = action, (item, other)
    merges = [into for action, into in latest.values() if action == "merge"]
    return merges, {both for both, (action, _) in latest.items() if action == "separate"}


def orders() -> tuple[Order, ...]:
    """The orders that the processor takes."""
    # Which item others count to depends on what is approved, or is not any more, merged and separated.
    after = ("duplicates",)
    alone = [Order(name, ("item", "note"), _decide(name), after) for name in ("approve", "reject", "reopen")]
    pairs = [Order(name, ("item", "other", "note"), _pair(name), after) for name in ("merge", "separate")]
    return (*alone, *pairs)


def _decide(action: str) -> Any:
    def decide(
        conn: duckdb.DuckDBPyConnection, fields: Mapping[str, str], who: str, at: datetime
    ) -> Mapping[str, Any]:
        item = _given(fields, "item")
        before = _status(conn, item)
        _add(conn, action, item, None, fields.get("note"), who, at)
        return {"item": item, "was": before, "status": _status(conn, item)}

    return decide


def _pair(action: str) -> Any:
    def decide(
        conn: duckdb.DuckDBPyConnection, fields: Mapping[str, str], who: str, at: datetime
    ) -> Mapping[str, Any]:
        item, other = _given(fields, "item"), _given(fields, "other")
        if item == other:
            raise OrderError(f"{item} is given twice", "give two items")
        for each in (item, other):
            _stated(conn, each)
        if action == "merge":
            _check_no_circle(conn, item, other)
        _add(conn, action, item, other, fields.get("note"), who, at)
        return {"item": item, "other": other}

    return decide


def _given(fields: Mapping[str, str], name: str) -> str:
    try:
        return fields[name]
    except KeyError:
        raise OrderError(f"no {name} is given", "an id is like kv_0123456789ab") from None


def _stated(conn: duckdb.DuckDBPyConnection, item: str) -> None:
    if not conn.execute("SELECT 1 FROM knowledge_statements WHERE id = ?", [item]).fetchall():
        raise OrderError(f"there is no item {item}", "sessiond knowledge list shows them", unknown=True)


def _status(conn: duckdb.DuckDBPyConnection, item: str) -> str:
    """The status of an item that stands for itself.

    Raises:
        OrderError: it does not, or there is none.

    """
    found = conn.execute("SELECT status FROM knowledge_items WHERE id = ?", [item]).fetchall()
    if found:
        return str(found[0][0])
    into = conn.execute("SELECT canonical_id FROM knowledge_canonical WHERE item_id = ?", [item]).fetchall()
    if into:
        raise OrderError(
            f"{item} counts to {into[0][0]}", f"decide on that, or: sessiond knowledge separate {item} {into[0][0]}"
        )
    raise OrderError(f"there is no item {item}", "sessiond knowledge list shows them", unknown=True)


def _check_no_circle(conn: duckdb.DuckDBPyConnection, item: str, other: str) -> None:
    """Raises OrderError if the other item counts to this one, by what people decided."""
    merges, _ = decided(conn.execute(DECIDED).fetchall())
    into: dict[str, str] = {}
    for source, target in merges:
        if not _leads(into, target, source):
            into[source] = target
    if last := _leads(into, other, item):
        raise OrderError(f"{other} counts to {item} already", f"first: sessiond knowledge separate {last} {item}")


def _leads(into: Mapping[str, str], start: str, end: str) -> str | None:
    """The item before the end, on the way there from the start; None if the way does not lead there."""
    at: str | None = start
    while at is not None and (following := into.get(at)) != end:
        at = following
    return at


def _add(
    conn: duckdb.DuckDBPyConnection,
    action: str,
    item: str,
    other: str | None,
    note: str | None,
    who: str,
    at: datetime,
) -> None:
    if note is not None and len(note) > MOST_NOTE:
        raise OrderError(f"the note has {len(note):,} characters", f"at most {MOST_NOTE:,}")
    latest = conn.execute(f"SELECT max(reviewed_at) FROM {REVIEWS.name}").fetchall()[0][0]
    row = {
        "item_id": item,
        "action": action,
        "other_id": other,
        "note": note,
        "reviewer": who,
        # Decisions have an order, whatever the clock does.
        "reviewed_at": at if latest is None or at > latest else latest + datetime.resolution,
        **_as_it_is(conn, item),
    }
    names = ", ".join(row)
    conn.execute(f"INSERT INTO {REVIEWS.name} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def _as_it_is(conn: duckdb.DuckDBPyConnection, item: str) -> dict[str, Any]:
    """The item as it is now, if it is found in a transcript; or else as it was at the decision before."""
    found = conn.execute(_ITEM, [item]).fetchall() or conn.execute(_KEPT, [item]).fetchall()
    return dict(zip(_COPIED, found[0], strict=True)) if found else {}
