"""What is known of each session, by processor: from the database, and what the lanes are doing with it now."""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.query.queries import Reader

AT_REST = ("processed", "partial", "unprocessed", "retrying", "quarantined")
UNDER_WAY = ("running", "changed", "backlog", "waiting")
STATES = AT_REST + UNDER_WAY
MOST = 10_000

_LISTED = """
    SELECT processor_name, session_file, position AS "offset", size, items, lines, malformed_lines,
        processed_at AS last_run, attempts, error,
        CASE WHEN quarantined THEN 'quarantined' WHEN attempts > 0 THEN 'retrying' WHEN version = 0 THEN 'unprocessed'
            WHEN position < size AND fingerprint <> 'adopted' THEN 'partial' ELSE 'processed' END AS state
    FROM (SELECT * EXCLUDE (username, size), size FROM session_positions)
    FULL JOIN (SELECT processor_name, session_file, attempts, quarantined, error FROM session_failures)
        USING (processor_name, session_file)"""

Lanes = Mapping[str, Mapping[str, str]]


def sessions(
    reader: Reader, lanes: Lanes, *, username: str | None, state: str | None, after: str, limit: int
) -> dict[str, Any]:
    """A page of sessions in the order of their keys.

    Args:
        reader: of the database.
        lanes: by processor, what each session does that is not at rest.
        username, state: only those of a user; only those of which some processor is in that state.
        after: only keys after this one.
        limit: how many at most.

    Returns:
        ``sessions``: a list of ``session_file``, ``username`` and ``processors``: by name, ``state``, ``offset``,
        ``size``, ``items``, ``lines``, ``malformed_lines``, ``last_run``, ``attempts``, ``error``.
        ``next``: what to pass as ``after`` for the page that follows; None if there is none.

    """
    now: dict[str, dict[str, str]] = {}
    for processor, states in lanes.items():
        for key, doing in states.items():
            now.setdefault(key, {})[processor] = doing
    keys = _keys(reader, now, username, state, after, limit + 1)
    page = keys[:limit]
    listed: dict[str, dict[str, Any]] = {
        key: {"session_file": key, "username": key.partition("/")[0], "processors": {}} for key in page
    }
    rows = reader.rows(f"SELECT * FROM ({_LISTED}) WHERE session_file IN (SELECT unnest(?))", [page])
    for row in rows:
        name, key = row.pop("processor_name"), row.pop("session_file")
        if row["last_run"] is not None:
            row["last_run"] = row["last_run"].isoformat(timespec="milliseconds") + "Z"
        listed[key]["processors"][name] = {"state": row.pop("state"), **row}
    for key in page:
        for processor, doing in now.get(key, {}).items():
            listed[key]["processors"].setdefault(processor, {})["state"] = doing
    return {"sessions": list(listed.values()), "next": page[-1] if len(keys) > limit else None}


def _keys(
    reader: Reader,
    now: Mapping[str, Mapping[str, str]],
    username: str | None,
    state: str | None,
    after: str,
    limit: int,
) -> list[str]:
    """The keys of the page: those that the lanes know of, and those that the database does."""

    def fits(key: str) -> bool:
        return key > after and (username is None or key.startswith(f"{username}/"))

    wanted = {key for key, states in now.items() if fits(key) and (state is None or state in states.values())}
    if state is None or state in AT_REST:
        where: Sequence[object] = [after, username, username, state, state, limit + len(now)]
        found = reader.rows(
            f"SELECT DISTINCT session_file FROM ({_LISTED}) WHERE session_file > ?"
            " AND (? IS NULL OR starts_with(session_file, ? || '/')) AND (? IS NULL OR state = ?)"
            " ORDER BY session_file LIMIT ?",
            where,
        )
        wanted.update(row["session_file"] for row in found)
    return sorted(wanted)[:limit]
