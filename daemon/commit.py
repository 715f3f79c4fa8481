"""What a run leaves in the database, and how a group of runs is written: in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from daemon.failures import forget
from daemon.positions import ALL, FOLD_SLICE, Entry, append, fold, forget_position, next_sequence
from daemon.shapes import Part
from daemon.store import transaction
from daemon.tables import ResultTable


@dataclass(frozen=True, slots=True)
class Commit:
    """What one run leaves in the database.

    Attributes:
        entry: the cursor, for the log.
        replaces: sessions of this processor whose rows are deleted first.
        moved_from: sessions whose rows and positions are deleted, because the file goes by another name now.
        rows, updates: by table.
        heals: this processor had failed on this session before.
        lines, malformed, items, ratios: what this run counted.
        bytes: of the session that this run read.
        ran: the processor saw something new.
        took: seconds that it needed.

    """

    entry: Entry
    replaces: tuple[str, ...] = ()
    moved_from: tuple[str, ...] = ()
    rows: Mapping[str, Part] = field(default_factory=dict)
    updates: Mapping[str, Sequence[Part]] = field(default_factory=dict)
    heals: bool = False
    lines: int = 0
    malformed: int = 0
    items: int = 0
    ratios: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    bytes: int = 0
    ran: bool = False
    took: float = 0.0

    @property
    def size(self) -> int:
        """How many rows there are in all tables."""
        return sum(map(len, self.rows.values()))

    @property
    def changes_rows(self) -> bool:
        """Whether any row of a result table is not as before."""
        return bool(self.replaces or self.moved_from or self.rows or self.updates)

    @property
    def cells(self) -> int:
        """How many values there are in all rows, and in what changes rows."""
        parts = [*self.rows.values(), *(part for news in self.updates.values() for part in news)]
        return sum(len(part) * len(part.columns) for part in parts)


def apply(
    conn: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Mapping[str, ResultTable]],
    commits: Sequence[Commit],
) -> None:
    """Write a group of runs in one transaction.

    Args:
        tables: result tables by processor and name.
        commits: at most one per processor and session.

    Raises:
        ContractError: a row does not fit its table.

    """
    with transaction(conn):
        for processor, own in tables.items():
            mine = [commit for commit in commits if commit.entry.processor_name == processor]
            if mine:
                _apply_one(conn, processor, own, mine)
        append(conn, [commit.entry for commit in commits])


def _apply_one(
    conn: duckdb.DuckDBPyConnection,
    processor: str,
    tables: Mapping[str, ResultTable],
    commits: Sequence[Commit],
) -> None:
    replaced = [key for commit in commits for key in commit.replaces]
    moved = [key for commit in commits for key in commit.moved_from]
    healed = [commit.entry.session_key for commit in commits if commit.heals]
    seq = next_sequence()
    for name, table in tables.items():
        if replaced or moved:
            table.delete(conn, [*replaced, *moved], seq)
        table.update(conn, [news for commit in commits for news in commit.updates.get(name, ())], seq)
        if parts := [commit.rows[name] for commit in commits if name in commit.rows]:
            table.append(conn, parts, seq)
    for key in moved:
        forget_position(conn, processor, key)
    if healed or moved:
        forget(conn, processor, [*healed, *moved])


def fold_slice(
    conn: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, ResultTable]], upto: int = ALL
) -> int:
    """Fold some entries of each log, and bring some rows of kept views up to date, each in a transaction of its own.

    Returns how many: 0 once all are.

    Args:
        conn: outside a transaction.
        tables: result tables by processor and name.
        upto: entries with a larger number are left alone, see :func:`next_sequence`.

    """
    return fold_logs(conn, tables, upto) + fold_views(conn, tables, upto)


def fold_views(
    conn: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, ResultTable]], upto: int = ALL
) -> int:
    """The same, of the kept views only."""
    folded = 0
    for table in (table for own in tables.values() for table in own.values() if table.kept):
        with transaction(conn):
            folded += table.fold_views(conn, upto)
    return folded


def fold_logs(
    conn: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, ResultTable]], upto: int = ALL
) -> int:
    """The same, of the logs only."""
    folded = 0
    for one in (fold, *(table.fold for own in tables.values() for table in own.values())):
        with transaction(conn):
            folded += one(conn, FOLD_SLICE, upto)
    return folded


def fold_all(
    conn: duckdb.DuckDBPyConnection, tables: Mapping[str, Mapping[str, ResultTable]], *, views: bool = True
) -> None:
    """Fold all logs, slice by slice; and all that is due of kept ``views``."""
    while fold_slice(conn, tables) if views else fold_logs(conn, tables):
        pass
