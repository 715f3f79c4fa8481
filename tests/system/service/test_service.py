"""The service as it is from day to day: what it may do, what it says, how it is told to stop."""

import json
import re
import stat

import pytest

from daemon.journald import message_id
from tests.system.service.conftest import DB, ROOT, UNIT

PROBE = """
import errno, os, socket
from processors import ProcessorResult, Table

def outcome(do):
    try:
        do()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

def write(path):
    return lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))

class P:
    name = "probe"
    tables = (Table("tried", {"what": "VARCHAR", "outcome": "VARCHAR"}),)

    def process(self, batch):
        if b"raise" in batch.data:
            raise ValueError(batch.data.decode())
        rows = [(path, outcome(write(path))) for path in %s]
        rows.append(("inet", outcome(lambda: socket.socket(socket.AF_INET))))
        rows.append(("key", outcome(lambda: None) if self.key() == "secret" else "none"))
        return ProcessorResult(len(rows), {"tried": rows})

    def key(self):
        path = os.path.join(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"), "sessiond.llm_api_key")
        return open(path).read() if os.path.exists(path) else ""
"""
FORBIDDEN = [
    f"{ROOT}/alice/new", f"{ROOT}/new", f"{ROOT}/alice/a.jsonl", "/etc/new", "/etc/sessiond/config.toml",
    "/usr/local/new", "/opt/sessiond/new",
    "/var/lib/new", "/var/log/new", "/home/new", "/root/new", "/srv/new", "/boot/new",
    "/proc/sys/vm/swappiness", "/sys/new", "/new",
]  # fmt: skip


def test_files_of_several_users_are_read_and_nothing_can_be_written_but_the_state(host, line):
    host.plugin(PROBE % FORBIDDEN)
    host.sh("useradd alice; useradd bob; mkdir -p /etc/credstore; printf secret >/etc/credstore/sessiond.llm_api_key")
    for user in ("alice", "bob"):
        host.append(f"{user}/a.jsonl", line(1), user)
    assert host.sh(f"stat -c '%U %a' {ROOT}/*/a.jsonl") == "alice 600\nbob 600"
    host.sessiond("install")
    for user in ("alice", "bob"):
        host.wait_ids(f"{user}/a.jsonl", [1])
    rows = host.until(lambda: host.query("SELECT DISTINCT what, outcome FROM tried ORDER BY ALL"), "what was tried")
    tried = {row["what"]: row["outcome"] for row in rows}
    assert tried.pop("key") == "done"
    assert tried.pop("inet") == "EAFNOSUPPORT"
    assert tried.keys() == set(FORBIDDEN)
    assert set(tried.values()) <= {"EROFS", "EACCES", "EPERM", "ENOENT"}, tried
    assert tried[f"{ROOT}/alice/new"] == "EROFS"
    assert host.sh(f"grep CapBnd /proc/{host.pid()}/status").split()[1] == f"{1 << 2:016x}"  # CAP_DAC_READ_SEARCH
    assert host.sh(f"ps -o user= -p {host.pid()}") == "sessiond"
    host.sh("userdel alice; userdel bob")


def test_the_unit_is_sound_and_its_exposure_is_small(installed):
    verified = installed.run("systemd-analyze", "verify", "--man=no", UNIT, "sessiond-revive.timer")
    assert verified.stdout + verified.stderr == ""
    security = installed.run("systemd-analyze", "security", "--no-pager", UNIT).stdout
    (exposure,) = re.findall(r"Overall exposure level for sessiond.service: ([\d.]+)", security)
    assert float(exposure) <= 1.5


def test_a_reload_changes_settings_without_a_restart(installed, line):
    pid = installed.pid()
    assert installed.journal("EVENT=watch_armed") == installed.journal("EVENT=processed") == []  # no root yet
    installed.configure('log_level = "debug"\nscan_seconds = 1\ndebounce_ms = 50\n')
    installed.systemctl("reload", UNIT)
    entry = installed.wait_journal("EVENT=reloaded")
    assert (entry["SESSIOND_CHANGED"], entry["SESSIOND_AFTER_RESTART"]) == (
        "['scan_seconds', 'log_level']",
        "['debounce_ms']",
    )
    installed.append("alice/a.jsonl", line(1))
    entry = installed.wait_journal("EVENT=processed", "SESSION_FILE=alice/a.jsonl", "PROCESSOR=usage")
    assert (entry["ITEMS"], entry["SESSIOND_USER"], len(entry["RUN_ID"])) == ("1", "alice", 16)
    installed.wait_journal("EVENT=scanned", times=3)
    assert installed.pid() == pid
    assert installed.show("NRestarts") == "0"


def test_a_reload_of_wrong_settings_fails_and_everything_goes_on(installed, line):
    pid = installed.pid()
    installed.configure("scan_seconds = 0\n")
    assert installed.run("systemctl", "reload", UNIT, check=False).returncode
    assert "scan_seconds is 0" in "".join(entry["MESSAGE"] for entry in installed.journal("-t", "sessiond"))
    installed.append("alice/a.jsonl", line(1))
    installed.configure("")  # or who asks would be told of it, too
    installed.wait_ids("alice/a.jsonl", [1])
    assert (installed.pid(), installed.show("ActiveState")) == (pid, "active")


def test_a_stop_in_the_middle_of_a_backlog_takes_seconds_and_loses_nothing(host, line):
    files, lines = 4000, 20
    body = b"".join(map(line, range(lines))).decode()
    script = f"mkdir -p {ROOT}/alice; cd {ROOT}/alice; cat >0.jsonl; seq {files - 1} | xargs -I% cp 0.jsonl %.jsonl"
    host.sh(script, input=body)
    host.sessiond("install")
    counted = "SELECT count(DISTINCT session_file) AS sessions, count(*) AS rows FROM usage_events"
    host.until(lambda: host.query(counted)[0]["sessions"] > 100, "some of the backlog")
    mark = host.mark()
    host.systemctl("stop", UNIT)
    stopping, stopped = (
        next(int(entry["__MONOTONIC_TIMESTAMP"]) for entry in host.journal(mark) if entry["MESSAGE"].startswith(word))
        for word in ("Stopping ", "Stopped ")
    )
    assert (stopped - stopping) / 1e6 < 10  # what an operator was promised
    assert (host.show("Result"), host.show("ExecMainStatus")) == ("success", "0")
    (clean,) = {entry["SESSIOND_CLEAN"] for entry in host.journal(mark, "EVENT=stopped")}
    assert clean == "True"
    (middle,) = host.query(counted)
    assert 0 < middle["sessions"] < files
    assert middle["rows"] == middle["sessions"] * lines
    host.systemctl("start", UNIT)
    wanted = [{"sessions": files, "rows": files * lines}]
    host.until(lambda: host.query(counted) == wanted, "all of the backlog", seconds=110)


def test_each_of_many_sessions_that_fail_at_once_has_its_entries(host, line):
    host.plugin(PROBE % [])
    host.configure("max_attempts = 2\nbackoff_seconds = 0.1\n")
    host.sessiond("install")
    for number in range(40):
        host.append(f"carol/{number}.jsonl", line(1, "raise"))
    host.wait_journal("EVENT=quarantined", times=40)
    (entry,) = host.journal("PROCESSOR=probe", "SESSION_FILE=carol/39.jsonl", "EVENT=quarantined", "-p", "warning")
    assert entry["SESSIOND_USER"] == "carol"


def test_what_a_processor_warns_of_or_logs_is_not_in_the_journal(host, line):
    host.plugin(
        "import logging, warnings\nfrom processors import ProcessorResult\n\nclass P:\n    name = 'probe'\n\n"
        "    def process(self, batch):\n        warnings.warn(batch.data.decode())\n"
        "        logging.error(batch.data.decode())\n        return ProcessorResult()\n"
    )
    host.configure('log_level = "debug"\n')
    host.sessiond("install")
    host.append("alice/a.jsonl", line(1, "a-word-of-alice"))
    host.wait_journal("EVENT=processed", "PROCESSOR=probe")
    assert "a-word-of-alice" not in host.run("journalctl", "-o", "json", "--all", "--no-pager").stdout


def test_the_journal_answers_by_field_and_holds_nothing_of_a_transcript(host, line):
    host.plugin(PROBE % [])
    host.configure("max_attempts = 2\nbackoff_seconds = 0.1\n")
    host.sessiond("install")
    host.append("alice/x.jsonl", line(1, "raise a-secret-of-alice"))
    host.append("bob/y.jsonl", line(1))
    host.wait_journal("EVENT=quarantined")
    asked = host.journal("PROCESSOR=probe", "SESSION_FILE=alice/x.jsonl", "-p", "warning")
    assert [entry["EVENT"] for entry in asked] == ["run_failed", "quarantined"]
    assert asked[0]["MESSAGE_ID"] == message_id("run_failed")
    assert asked[0]["RUN_ID"] != asked[1]["RUN_ID"]
    assert re.fullmatch(r"ValueError at probe.py:\d+ in process", asked[0]["ERROR"])
    assert (asked[0]["PRIORITY"], asked[1]["PRIORITY"]) == ("4", "3")
    assert host.journal("PROCESSOR=usage", "SESSION_FILE=alice/x.jsonl", "-p", "warning") == []
    assert {entry["EVENT"] for entry in host.journal("SESSIOND_USER=alice", "-p", "err")} == {"quarantined"}
    assert "a-secret-of-alice" not in host.run("journalctl", "-o", "json", "--all", "--no-pager").stdout
    explained = host.run("journalctl", "-x", "EVENT=quarantined", "--no-pager", host.began).stdout
    assert "Subject: sessiond: quarantined" in explained
    assert "Session: alice/x.jsonl" in explained


@pytest.mark.parametrize("name", ["\x1b[31m\nPRIORITY=0\n", "\udcff\udcfe", "a" * 240])
def test_a_hostile_name_is_one_harmless_entry_of_the_journal(installed, name):
    installed.sh(f"mkdir -p {ROOT}/mallory; cd {ROOT}/mallory; mkfifo fifo")
    installed.run("mv", f"{ROOT}/mallory/fifo", f"{ROOT}/mallory/{name}.jsonl")
    entry = installed.wait_journal("EVENT=refused")
    assert entry["SESSION_FILE"].isprintable()
    assert entry["MESSAGE"].isprintable()
    assert entry["PRIORITY"] == "4"


def test_who_may_ask_is_who_is_in_the_group(installed):
    socket = "/run/sessiond/sessiond.sock"
    mode = int(installed.sh(f"stat -c %f {socket}"), 16)
    assert stat.S_IMODE(mode) == 0o660
    asked = ["/opt/sessiond/bin/sessiond", "status", "--json"]
    stranger = installed.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *asked, check=False)
    assert stranger.returncode == 2
    assert "usermod -aG sessiond" in stranger.stderr
    group = installed.sh("getent group sessiond | cut -d: -f3")
    installed.append("alice/a.jsonl", b"")
    installed.until(lambda: installed.run(*asked, check=False).returncode == 0, "it is healthy")
    member = installed.run("setpriv", "--reuid=65534", "--regid=65534", f"--groups={group}", *asked)
    assert json.loads(member.stdout)["db"] == DB
