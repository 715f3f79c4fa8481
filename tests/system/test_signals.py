"""How the daemon ends, and how it takes a new configuration."""

import signal

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_with_0_and_everything_committed(box, line, number):
    daemon = box.daemon()
    box.append("alice/a.jsonl", line(1))
    daemon.wait_lines("alice/a.jsonl", 1)
    assert daemon.stop(number) == 0
    assert daemon.entries[-1]["event"] == "stopped"
    assert daemon.of("stopping", reason=number.name)
    assert not daemon.of("not JSON")
    assert box.query("SELECT lines FROM usage_session_summary") == [(1,)]
    assert box.query("SELECT count(*) FROM session_cursor_log") == [(0,)]
    assert not box.db.with_name(box.db.name + ".wal").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_amid_the_backlog_ends_in_seconds_and_loses_nothing(box, line, number):
    for session in range(2000):
        box.append(f"u{session % 10}/{session}.jsonl", *(line(session * 10 + each) for each in range(10)))
    daemon = box.daemon()
    daemon.wait("processed")
    daemon.send(number)
    assert daemon.ended(15) == 0
    done = box.query("SELECT count(*), sum(lines) FROM usage_session_summary")[0]
    assert 0 < done[0] < 2000
    assert done[1] == 10 * done[0]
    again = box.daemon()
    again.wait_quiet()
    assert again.stop() == 0
    assert box.query("SELECT count(*), sum(lines) FROM usage_session_summary") == [(2000, 20_000)]
    assert box.query("SELECT count(*), count(DISTINCT event_uuid) FROM usage_events") == [(20_000, 20_000)]
    assert sum(entry["lines"] for run in (daemon, again) for entry in run.of("processed")) == 20_000


def test_a_stop_right_at_the_start_is_clean(box, line):
    box.append("alice/a.jsonl", line(1))
    daemon = box.child()
    daemon.wait("starting")
    assert daemon.stop() in {0, -signal.SIGTERM}
    assert not daemon.of("not JSON")
    again = box.daemon()
    again.wait_quiet()
    assert again.stop() == 0
    assert box.query("SELECT lines FROM usage_session_summary") == [(1,)]


def test_a_second_signal_changes_nothing(box, line):
    daemon = box.daemon()
    for _ in range(5):
        daemon.send(signal.SIGTERM)
        daemon.send(signal.SIGINT)
    assert daemon.ended() == 0
    assert not daemon.of("not JSON")


def _configured(box, text):
    config = box.folder / "config.toml"
    config.write_text(text)
    daemon = box.child("run", str(box.root), "--db", str(box.db), "--config", str(config))
    daemon.wait("ready")
    return config, daemon


def test_sighup_reads_the_configuration_again(box, line):
    config, daemon = _configured(box, "scan_seconds = 3600\n")
    daemon.wait("scanned")
    config.write_text("scan_seconds = 1\n")
    daemon.send(signal.SIGHUP)
    assert daemon.wait("reloaded")["changed"] == ["scan_seconds"]
    daemon.wait("scanned", 3)
    box.append("alice/a.jsonl", line(1))
    daemon.wait_lines("alice/a.jsonl", 1)
    assert daemon.stop() == 0


@pytest.mark.parametrize("text", ["scan_seconds = -1\n", "scan_seconds = \n", "no_such_setting = 1\n", "\x00"])
def test_sighup_with_a_bad_configuration_keeps_the_old_one_and_says_why(box, line, text):
    config, daemon = _configured(box, "scan_seconds = 3600\n")
    config.write_text(text)
    daemon.send(signal.SIGHUP)
    assert daemon.wait("reload_failed")["error"]
    box.append("alice/a.jsonl", line(1))
    daemon.wait_lines("alice/a.jsonl", 1)
    config.write_text("scan_seconds = 1\n")
    daemon.send(signal.SIGHUP)
    daemon.wait("reloaded")
    assert daemon.stop() == 0


def test_sighup_amid_appends_loses_nothing(box, line):
    _, daemon = _configured(box, "")
    for number in range(50):
        box.append("alice/a.jsonl", line(number))
        daemon.send(signal.SIGHUP)
    daemon.wait_lines("alice/a.jsonl", 50)
    assert daemon.stop() == 0
    assert box.query("SELECT lines FROM usage_session_summary") == [(50,)]
