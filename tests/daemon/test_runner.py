"""One processor, once, over all that is unprocessed: both forms, and what is kept when it fails."""

import os
from hashlib import md5

import duckdb
import pyarrow as pa
import pytest

from daemon import compute_file_hash, run_processor
from processors import PauseError, ProcessorResult, Table
from processors.registry import ProcessorError

KEYS = {"processor", "scanned", "processed", "skipped", "errors", "items_extracted", "errors_detail"}


class Fold:
    """A row for each line, numbered over the batches, and a total."""

    name = "fold"
    version = 1
    tables = (
        Table("fold_rows", {"n": "INTEGER", "text": "VARCHAR"}, key=("n",)),
        Table("fold_total", {"total": "INTEGER", "batches": "INTEGER"}, kind="one_per_session"),
    )

    def process(self, batch):
        total, batches = batch.carry or (0, 0)
        rows = [(total + n, value.get("text")) for n, value in enumerate(batch.objects())]
        if any(text == "poison" for _, text in rows):
            raise RuntimeError(batch.session_key)
        total, batches = total + len(rows), batches + 1
        return ProcessorResult(
            items_count=len(rows),
            rows={"fold_rows": rows, "fold_total": [{"total": total, "batches": batches}]},
            updates={"fold_rows": [{"n": 0, "text": "updated"}]} if not batch.is_first else {},
            carry=[total, batches],
        )


class Whole:
    """Keeps the size of each session, through its own statements."""

    name = "whole"
    result = ProcessorResult(items_count=2)

    def __init__(self):
        self.runs = []

    def process_session(self, session_path, username, session_key, conn):
        self.runs.append((username, session_key))
        conn.execute("CREATE TABLE IF NOT EXISTS sizes (session VARCHAR, size BIGINT)")
        conn.execute("DELETE FROM sizes WHERE session = ?", [session_key])
        conn.execute("INSERT INTO sizes VALUES (?, ?)", [session_key, session_path.stat().st_size])
        if b"poison" in session_path.read_bytes():
            raise RuntimeError
        return self.result


def put(root, key, content, mode="wb"):
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        file.write(content)
    return path


def figures(counts):
    assert counts.keys() == KEYS
    assert counts["scanned"] == counts["processed"] + counts["skipped"] + counts["errors"]
    assert len(counts["errors_detail"]) == counts["errors"]
    return counts["scanned"], counts["processed"], counts["errors"], counts["items_extracted"]


def texts(conn):
    found = conn.execute("SELECT session_file, n, text FROM fold_rows ORDER BY ALL").fetchall()
    return [(key, n, text) for key, n, text in found]


def state(conn):
    return conn.execute(
        "SELECT processor_name, session_file, username, items_extracted, file_hash"
        " FROM session_processor_state ORDER BY ALL"
    ).fetchall()


def test_all_sessions_below_users_folders_are_processed_and_nothing_else(root, conn):
    path = put(root, "alice/s.jsonl", b'{"text": "a"}\n{"text": "b"}\n')
    put(root, "bob/project/subagents/t.jsonl", b'{"text": "c"}')
    put(root, "direct.jsonl", b'{"text": "no"}\n')
    put(root, "alice/notes.txt", b'{"text": "no"}\n')
    (root / "alice/link.jsonl").symlink_to(path)
    os.mkfifo(root / "alice/fifo.jsonl")
    counts = run_processor(conn, Fold(), root)
    assert counts["processor"] == "fold"
    assert figures(counts) == (2, 2, 0, 3)
    assert texts(conn) == [
        ("alice/s.jsonl", 0, "a"),
        ("alice/s.jsonl", 1, "b"),
        ("bob/project/subagents/t.jsonl", 0, "c"),
    ]
    assert state(conn)[0] == ("fold", "alice/s.jsonl", "alice", 2, compute_file_hash(path))


def test_rows_say_whose_they_are_and_by_which_version(root, conn):
    put(root, "alice/s.jsonl", b"{}\n")
    run_processor(conn, Fold(), root)
    found = conn.execute("SELECT session_file, username, processor_version, typeof(extracted_at) FROM fold_rows")
    assert found.fetchall() == [("alice/s.jsonl", "alice", 1, "TIMESTAMP")]


@pytest.mark.parametrize("processor", [Fold(), Whole()], ids=["incremental", "whole"])
def test_a_stable_processed_session_is_not_even_scanned(root, conn, processor):
    put(root, "alice/s.jsonl", b"{}\n")
    assert figures(run_processor(conn, processor, root))[:2] == (1, 1)
    before = state(conn)
    assert figures(run_processor(conn, processor, root)) == (0, 0, 0, 0)
    assert state(conn) == before


@pytest.mark.parametrize("processor", [Fold(), Whole()], ids=["incremental", "whole"])
def test_a_file_rewritten_right_after_processing_is_seen_whatever_its_timestamps_say(root, conn, processor):
    path = put(root, "alice/s.jsonl", b'{"text": "a"}\n')
    run_processor(conn, processor, root)
    for text in (b"b", b"c", b"d"):
        before = path.stat()
        put(root, "alice/s.jsonl", b'{"text": "%s"}\n' % text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert figures(run_processor(conn, processor, root))[:2] == (1, 1)
        assert state(conn)[0][4] == compute_file_hash(path)


def test_an_append_gives_the_new_lines_the_carry_and_updates(root, conn):
    put(root, "alice/s.jsonl", b'{"text": "a"}\n')
    run_processor(conn, Fold(), root)
    put(root, "alice/s.jsonl", b'{"text": "b"}\n{"text": "unfinished', "ab")
    assert figures(run_processor(conn, Fold(), root)) == (1, 1, 0, 1)
    assert texts(conn) == [("alice/s.jsonl", 0, "updated"), ("alice/s.jsonl", 1, "b")]
    assert conn.execute("SELECT total, batches FROM fold_total").fetchall() == [(2, 2)]
    assert state(conn)[0][3] == 2


def test_an_update_changes_no_other_session(root, conn):
    for name in ("s", "t"):
        put(root, f"alice/{name}.jsonl", b'{"text": "a"}\n')
    run_processor(conn, Fold(), root)
    put(root, "alice/s.jsonl", b'{"text": "b"}\n', "ab")
    run_processor(conn, Fold(), root)
    assert ("alice/t.jsonl", 0, "a") in texts(conn)


@pytest.mark.parametrize("content", [b'{"text": "new"}\n', b"", b'{"text": "A"}\n{"text": "b"}\n'])
def test_a_rewrite_replaces_the_rows_of_its_session_only(root, conn, content):
    put(root, "alice/s.jsonl", b'{"text": "a"}\n{"text": "b"}\n')
    put(root, "alice/t.jsonl", b'{"text": "t"}\n')
    run_processor(conn, Fold(), root)
    put(root, "alice/s.jsonl", content)
    run_processor(conn, Fold(), root)
    mine = [text for key, _, text in texts(conn) if key == "alice/s.jsonl"]
    assert b"".join(b'{"text": "%s"}\n' % text.encode() for text in mine) == content
    assert ("alice/t.jsonl", 0, "t") in texts(conn)
    totals = dict(conn.execute("SELECT session_file, total FROM fold_total").fetchall())
    assert totals.get("alice/s.jsonl", 0) == len(mine)


def test_a_higher_version_replaces_all_rows(root, conn):
    for name in ("s", "t"):
        put(root, f"alice/{name}.jsonl", b'{"text": "a"}\n')
    run_processor(conn, Fold(), root)

    class Better(Fold):
        version = 2

    assert figures(run_processor(conn, Better(), root))[:2] == (2, 2)
    found = conn.execute("SELECT processor_version, count(*) FROM fold_rows GROUP BY ALL").fetchall()
    assert found == [(2, 2)]
    assert figures(run_processor(conn, Better(), root))[:2] == (0, 0)


@pytest.mark.parametrize("processor", [Fold(), Whole()], ids=["incremental", "whole"])
def test_a_deleted_file_keeps_its_rows_and_its_state(root, conn, processor):
    path = put(root, "alice/s.jsonl", b"{}\n")
    run_processor(conn, processor, root)
    before = state(conn)
    path.unlink()
    assert figures(run_processor(conn, processor, root)) == (0, 0, 0, 0)
    assert state(conn) == before
    table = "fold_rows" if processor.name == "fold" else "sizes"
    assert conn.execute(f"SELECT count(*) FROM {table}").fetchall() == [(1,)]


def test_a_moved_file_takes_its_rows_along(root, conn):
    path = put(root, "alice/s.jsonl", b'{"text": "a"}\n')
    run_processor(conn, Fold(), root)
    (root / "bob").mkdir()
    path.rename(root / "bob/moved.jsonl")
    run_processor(conn, Fold(), root)
    assert texts(conn) == [("bob/moved.jsonl", 0, "a")]
    assert [row[1:3] for row in state(conn)] == [("bob/moved.jsonl", "bob")]


def test_a_copy_is_a_session_of_its_own(root, conn):
    path = put(root, "alice/s.jsonl", b'{"text": "a"}\n')
    run_processor(conn, Fold(), root)
    put(root, "bob/copy.jsonl", path.read_bytes())
    run_processor(conn, Fold(), root)
    assert [key for key, _, _ in texts(conn)] == ["alice/s.jsonl", "bob/copy.jsonl"]


@pytest.mark.parametrize("processor", [Fold(), Whole()], ids=["incremental", "whole"])
def test_a_processor_that_raises_leaves_nothing_and_is_tried_again(root, conn, processor):
    put(root, "alice/bad.jsonl", b'{"text": "poison"}\n')
    put(root, "alice/good.jsonl", b'{"text": "a"}\n')
    for _ in range(2):
        counts = run_processor(conn, processor, root)
        assert counts["errors"] == 1
        assert [detail["session_file"] for detail in counts["errors_detail"]] == ["alice/bad.jsonl"]
        assert "poison" not in counts["errors_detail"][0]["error"]
        assert [row[1] for row in state(conn)] == ["alice/good.jsonl"]
        column, table = ("session_file", "fold_rows") if processor.name == "fold" else ("session", "sizes")
        assert conn.execute(f"SELECT {column} FROM {table}").fetchall() == [("alice/good.jsonl",)]
    put(root, "alice/bad.jsonl", b'{"text": "fine"}\n')
    assert figures(run_processor(conn, processor, root))[:3] == (1, 1, 0)


@pytest.mark.parametrize("odd", [None, 5, {"items_count": 3}, "done"])
def test_a_return_that_is_no_result_counts_as_empty_and_marks_the_session_processed(root, conn, odd):
    put(root, "alice/s.jsonl", b"{}\n")
    processor = Whole()
    processor.result = odd
    assert figures(run_processor(conn, processor, root)) == (1, 1, 0, 0)
    assert figures(run_processor(conn, processor, root)) == (0, 0, 0, 0)
    assert processor.runs == [("alice", "alice/s.jsonl")]
    assert state(conn)[0][3] == 0


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ({"fold_rows": [{"n": "no number", "text": "x"}]}, "column n"),
        ({"fold_rows": [{"n": 1, "other": "x"}]}, "column other"),
        ({"fold_rows": [(1, "x", 3)]}, "fold_rows"),
        ({"fold_rows": {"n": [1, 2], "text": ["x"]}}, "fold_rows"),
        ({"fold_rows": [(2**40, "x")]}, "column n"),
        ({"nobody": [(1,)]}, "nobody"),
    ],
)
def test_rows_that_do_not_fit_are_named_by_their_column_and_nothing_of_the_run_is_kept(root, conn, rows, named):
    put(root, "alice/s.jsonl", b'{"text": "a"}\n')

    class Odd(Fold):
        def process(self, batch):
            total = {"fold_total": [(1, 1)]}
            return ProcessorResult(rows=rows | total, carry=1)

    counts = run_processor(conn, Odd(), root)
    assert counts["errors"] == 1
    assert named in counts["errors_detail"][0]["error"]
    assert texts(conn) == []
    assert conn.execute("SELECT * FROM fold_total").fetchall() == []
    assert state(conn) == []


def test_a_file_with_no_complete_line_yet_is_skipped_until_it_has_one(root, conn):
    put(root, "alice/s.jsonl", b'{"text": ')
    assert figures(run_processor(conn, Fold(), root))[:2] == (1, 0)
    put(root, "alice/s.jsonl", b'"a"}', "ab")
    assert figures(run_processor(conn, Fold(), root))[:2] == (1, 1)
    assert texts(conn) == [("alice/s.jsonl", 0, "a")]


@pytest.mark.parametrize("processor", [Fold(), Whole()], ids=["incremental", "whole"])
def test_a_session_that_an_older_tool_processed_is_not_run_again_until_it_changes(root, conn, processor):
    content = b'{"text": "a"}\n'
    put(root, "alice/s.jsonl", content)
    conn.execute(
        "INSERT INTO session_processor_state (processor_name, session_file, username, file_hash) VALUES (?, ?, ?, ?)",
        [processor.name, "alice/s.jsonl", "alice", md5(content, usedforsecurity=False).hexdigest()],
    )
    for _ in range(2):
        assert figures(run_processor(conn, processor, root)) == (0, 0, 0, 0)
    put(root, "alice/s.jsonl", b'{"text": "b"}\n', "ab")
    assert figures(run_processor(conn, processor, root))[:2] == (1, 1)
    if processor.name == "fold":
        assert [text for _, _, text in texts(conn)] == ["a", "b"]


def test_a_state_row_that_another_tool_removed_makes_the_session_unprocessed(root, conn):
    put(root, "alice/s.jsonl", b'{"text": "a"}\n')
    run_processor(conn, Fold(), root)
    conn.execute("DELETE FROM session_processor_state")
    assert figures(run_processor(conn, Fold(), root))[:2] == (1, 1)
    assert texts(conn) == [("alice/s.jsonl", 0, "a")]


def test_a_missing_folder_gives_zeros(tmp_path, conn):
    counts = run_processor(conn, Fold(), tmp_path / "nowhere")
    assert figures(counts) == (0, 0, 0, 0)
    assert counts["errors_detail"] == []


def test_the_folder_is_taken_from_the_environment(root, conn, monkeypatch):
    put(root, "alice/s.jsonl", b"{}\n")
    monkeypatch.setenv("SESSION_DATA_DIR", str(root))
    assert figures(run_processor(conn, Fold()))[:2] == (1, 1)


def test_any_connection_will_do(root):
    put(root, "alice/s.jsonl", b'{"text": "a"}\n')
    with duckdb.connect() as conn:
        assert figures(run_processor(conn, Fold(), root))[:2] == (1, 1)
        assert texts(conn) == [("alice/s.jsonl", 0, "a")]


def test_an_object_that_is_no_processor_is_refused(conn, root):
    with pytest.raises(ProcessorError, match="process"):
        run_processor(conn, object(), root)


def test_a_processor_may_insert_from_its_own_arrow_tables(root, conn):
    put(root, "alice/s.jsonl", b"{}\n")

    class Arrow(Whole):
        def process_session(self, session_path, username, session_key, conn):
            conn.execute("CREATE TABLE mine (n BIGINT)")
            local_table = pa.table({"n": [1, 2, 3]})
            conn.execute("INSERT INTO mine SELECT * FROM local_table")
            return ProcessorResult(items_count=local_table.num_rows)

    assert figures(run_processor(conn, Arrow(), root)) == (1, 1, 0, 3)
    assert conn.execute("SELECT sum(n) FROM mine").fetchall() == [(6,)]


def test_a_touched_session_keeps_the_count_of_its_items(root, conn):
    class Whole:
        name = "whole"

        def process_session(self, session_path, username, session_key, conn):
            return ProcessorResult(7)

    (root / "alice").mkdir(parents=True, exist_ok=True)
    (root / "alice/touched.jsonl").write_bytes(b"{}\n")
    run_processor(conn, Whole(), root)
    counted = "SELECT session_file, items_extracted FROM session_processor_state ORDER BY ALL"
    before = conn.execute(counted).fetchall()
    assert {items for _, items in before} == {7}
    for path in root.rglob("*.jsonl"):
        os.utime(path, (1, 1))
    run_processor(conn, Whole(), root)
    assert conn.execute(counted).fetchall() == before


def test_one_that_cannot_run_now_is_not_asked_for_each_session(tmp_path):
    class Silent:
        name = "silent"
        runs = 0

        def process(self, _batch):
            self.runs += 1
            if self.runs == 2:
                raise PauseError("the oracle is silent", 60)
            return ProcessorResult()

    for number in range(5):
        put(tmp_path, f"alice/{number}.jsonl", b"{}\n")
    silent = Silent()
    with duckdb.connect() as conn:
        counts = run_processor(conn, silent, tmp_path)
        assert figures(counts) == (2, 1, 1, 0)
        assert counts["errors_detail"] == [{"session_file": "alice/1.jsonl", "error": "the oracle is silent"}]
        assert silent.runs == 2
        assert figures(run_processor(conn, silent, tmp_path)) == (4, 4, 0, 0)
