"""State of many sessions: 100,000 small ones that rows share, and rows for a million that are made by SQL."""

from dataclasses import dataclass
from pathlib import Path

from daemon import positions
from daemon.commit import fold_all
from daemon.config import Settings
from daemon.cursor import Cursor, Place, Signature
from daemon.engine import Engine
from daemon.events import Events
from daemon.store import open_database
from daemon.tables import make_tables as tables_of
from processors.registry import load as load_processors
from processors.usage import UsageProcessor
from tests.bench import corpus, place
from tests.bench.cold import cold_start

LIVE = "live"
"""The folder of the sessions that grow while the crowd is a backlog."""


@dataclass
class Crowd:
    """Many small sessions."""

    root: Path
    db: Path
    sessions: int
    is_processed: bool = False


def unprocessed_crowd(of: place.Place) -> Crowd:
    """100,000 small sessions in 1,000 folders; processed already if a row before this one did that."""

    def make() -> Crowd:
        count = of.count(100_000, 100)
        root = of.folder / "crowd"
        place.written(corpus.write_crowd(root, sessions=count))
        return Crowd(root, of.folder / "crowd-db", count)

    return of.once("the crowd", make)


def processed_crowd(of: place.Place) -> Crowd:
    """The same, processed and settled: no session needs another look."""
    crowd = unprocessed_crowd(of)
    for _ in range(10):  # a file that changed within the last seconds settles at the next look only
        place.fresh(cold_start, crowd.root, crowd.db)
        with open_database(crowd.db) as conn:
            counts = "SELECT count(*), count(*) FILTER (WHERE settled) FROM session_cursors"
            known, settled = conn.sql(counts).fetchall()[0]
        if settled == known >= crowd.sessions:
            crowd.is_processed = True
            return crowd
    raise RuntimeError(f"of {crowd.sessions} sessions, {settled} are settled")


def make_tables(root: Path, db: Path) -> None:
    """Have the engine create all tables of a new database."""
    engine = Engine(Settings(root=root, db=db), load_processors(["usage"])[0], Events())
    engine.start()
    engine.close(60)


def fill_state(root: Path, db: Path, count: int) -> None:
    """Rows as ``count`` processed sessions would have left them, one event and one message for each."""
    make_tables(root, db)
    key = "printf('user%02d/project-%d/%08x-old.jsonl', i % 50, i // 50 % 4, i)"
    at = "TIMESTAMP '2026-01-01' + to_seconds(i)"
    of = f"{key} AS session_file, printf('user%02d', i % 50) AS username"
    made = f"1 AS processor_version, {at} AS extracted_at, i::VARCHAR AS session_id"
    file_hash = "'blake3:' || sha256(i::VARCHAR) AS file_hash"
    with open_database(db) as conn:
        conn.execute("SET enable_progress_bar = false")
        for table, columns in {
            "session_processor_state": f"'usage' AS processor_name, {of}, {at} AS processed_at,"
            f" 10 AS items_extracted, {file_hash}",
            "session_cursors": f"'usage' AS processor_name, {key} AS session_file,"
            " hash(i)::HUGEINT % 9000000000000000000 AS session_hash, 1 AS device, 1000000000 + i AS inode,"
            " 9000 AS size, i AS mtime_ns, i AS ctime_ns, 9000 AS position,"
            " 'blake3:' || sha256(i::VARCHAR) AS fingerprint, 0 AS place, true AS settled,"
            f" {UsageProcessor.version} AS version,"
            " repeat('c', 300)::BLOB AS carry, 5 AS lines, 0 AS malformed_lines, 10 AS items,"
            f" {file_hash}",
            "usage_session_summary_settled": f"{of}, {made}, {at} AS started_at, 5 AS lines",
            "usage_events": f"{of}, {made}, 'tool_use' AS event_type, {at} AS occurred_at,"
            " 'toolu_' || i AS tool_use_id, i AS id, i AS event_number",
            "usage_messages": f"{of}, {made}, 'msg_' || i AS message_id, {at} AS occurred_at,"
            " i AS response_key, false AS is_sidechain, 'claude-x' AS model",
        }.items():
            conn.execute(f"INSERT INTO {table} BY NAME SELECT {columns} FROM range({count}) AS r(i)")
        (spec,) = load_processors(["usage"])[0]
        conn.execute("INSERT INTO usage_tokens_due SELECT response_key, 0 FROM usage_messages")
        conn.execute("INSERT INTO usage_calls_due SELECT id, 0 FROM usage_events")
        fold_all(conn, {"usage": tables_of(conn, spec.tables, spec.views)})
        if conn.sql("SELECT count(*) FROM session_positions").fetchall() != [(count,)]:
            raise RuntimeError("the made-up state is not what the daemon would count as processed")


def fill_cursors(root: Path, db: Path, paths: list[Path]) -> None:
    """Positions at the end of existing files, as if they had been processed."""
    make_tables(root, db)
    now = place.utc_now()
    with open_database(db) as conn:
        for begin in range(0, len(paths), 10_000):
            entries = []
            for path in paths[begin : begin + 10_000]:
                seen = Signature.of(path.stat())
                cursor = Cursor(
                    seen,
                    seen.size,
                    "blake3:0",
                    Place.LINE_START,
                    True,
                    UsageProcessor.version,
                    None,
                    4,
                    0,
                    1,
                    "blake3:0",
                )
                entries.append(positions.Entry("usage", str(path.relative_to(root)), cursor, now))
            positions.append(conn, entries)
        conn.begin()
        positions.fold(conn, 1 << 40)
        conn.commit()
