"""What may befall a service, and that systemd and it put right by themselves, with nothing lost or doubled."""

import pytest

from tests.system.service.conftest import ROOT, UNIT

SABOTEUR = """
import os, signal, threading, time
from daemon import progress, service, writer
from processors import ProcessorResult, Table

STATE = "/var/lib/sessiond/"
progress.WRITER_SECONDS = (1.0, 2.0)


def told(what):
    # Once: the next process works as it should.
    try:
        os.unlink(STATE + what)
    except FileNotFoundError:
        return False
    return True


def hangs(owner, name, what):
    real = getattr(owner, name)

    def hang(*args, **named):
        if told(what):
            threading.Event().wait()
        return real(*args, **named)

    setattr(owner, name, hang)


hangs(writer, "apply", "hang-writer")
hangs(service.Service, "_pass_on", "hang-main")


class P:
    name = "probe"
    budget_seconds = 1
    tables = (Table("seen", {"line": "VARCHAR"}),)

    def process(self, batch):
        if b"hang" in batch.data:
            threading.Event().wait()
        if told("eat"):
            eaten = []
            while True:
                eaten.append(os.urandom(1 << 24))
        rows = [(line.decode(),) for line in batch.lines]
        return ProcessorResult(len(rows), {"seen": rows})
"""
QUICK = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=100ms\nWatchdogSec=3\n"


@pytest.fixture
def service(host, line):
    """Runs with a processor that can be told to do harm, and has one line of alice's."""
    host.plugin(SABOTEUR)
    host.sessiond("install", "--no-start")
    host.drop_in(QUICK)
    host.systemctl("start", UNIT)
    host.append("alice/a.jsonl", line(1))
    host.wait_ids("alice/a.jsonl", [1])
    return host


def tell(service, what):
    service.sh(f"install -o sessiond /dev/null /var/lib/sessiond/{what}")


def restarted(service, pid):
    return service.until(lambda: service.pid() not in {0, pid} and service.show("SubState") == "running", "a restart")


def goes_on(service, line, numbers=(1, 2, 3)):
    """All lines are there once, those that were written meanwhile, and one that is written now."""
    service.append("alice/a.jsonl", line(numbers[-1]))
    service.wait_ids("alice/a.jsonl", numbers)
    seen = service.query("SELECT count(*) AS rows, count(DISTINCT line) AS lines FROM seen")
    assert seen == [{"rows": len(numbers), "lines": len(numbers)}]


def test_a_kill_at_any_moment(service, line):
    for number in range(2, 7):
        service.append("alice/a.jsonl", line(number))
        pid = service.pid()
        service.systemctl("kill", "--signal=KILL", UNIT)
        restarted(service, pid)
    goes_on(service, line, tuple(range(1, 8)))
    assert int(service.show("NRestarts")) == 5


def test_a_process_that_is_stopped_is_ended_by_the_watchdog_and_says_where_it_was(service, line):
    pid = service.pid()
    service.systemctl("kill", "--signal=STOP", UNIT)
    service.append("alice/a.jsonl", line(2))
    restarted(service, pid)
    said = [entry["MESSAGE"] for entry in service.journal()]
    assert any("Watchdog timeout" in message for message in said)
    assert any(message.startswith('  File "') and "in wait" in message for message in said)
    goes_on(service, line)


@pytest.mark.parametrize(
    ("part", "said"),
    [("hang-writer", "the writer makes no progress"), ("hang-main", "Watchdog timeout")],
)
def test_a_part_that_hangs_leads_to_a_restart(service, line, part, said):
    pid = service.pid()
    tell(service, part)
    service.append("alice/a.jsonl", line(2))
    restarted(service, pid)
    assert any(said in entry["MESSAGE"] for entry in service.journal())
    goes_on(service, line)


def test_a_run_that_hangs_is_abandoned_and_quarantined_without_a_restart(service, line):
    service.configure("max_attempts = 2\nbackoff_seconds = 0.1\n")
    service.systemctl("restart", UNIT)
    pid = service.pid()
    service.append("bob/b.jsonl", line(1, "hang"))
    entry = service.wait_journal("EVENT=quarantined", "PROCESSOR=probe")
    assert (entry["SESSION_FILE"], entry["SESSIOND_ATTEMPTS"]) == ("bob/b.jsonl", "2")
    assert len(service.journal("EVENT=abandoned")) == 2
    service.wait_ids("bob/b.jsonl", [1])
    service.append("alice/a.jsonl", line(2))
    goes_on(service, line)
    assert service.pid() == pid


def test_a_process_that_takes_too_much_memory_is_killed_and_started_again(service, line):
    service.drop_in(QUICK + "MemoryHigh=infinity\nMemoryMax=400M\nMemorySwapMax=0\n")
    service.systemctl("restart", UNIT)
    pid = service.pid()
    tell(service, "eat")
    service.append("alice/a.jsonl", line(2))
    restarted(service, pid)
    assert any("code=killed, status=9/KILL" in entry["MESSAGE"] for entry in service.journal())
    interrupted = service.wait_journal("EVENT=interrupted")
    assert (interrupted["PROCESSOR"], interrupted["SESSION_FILE"]) == ("probe", "alice/a.jsonl")
    goes_on(service, line)


def test_a_service_that_cannot_start_rests_and_tries_again_by_itself(host, line):
    host.sessiond("install", "--no-start")
    host.drop_in("[Service]\nRestartSec=100ms\n")
    host.sh(
        "mkdir -p /etc/systemd/system/sessiond-revive.timer.d; printf '[Timer]\\nOnActiveSec=\\nOnActiveSec=2s\\n'"
        " >/etc/systemd/system/sessiond-revive.timer.d/test.conf; systemctl daemon-reload"
    )
    host.configure("scan_seconds = 0\n")
    host.append("alice/a.jsonl", line(1))
    assert host.run("systemctl", "start", UNIT, check=False).returncode
    host.until(
        lambda: sum("Start request repeated too quickly" in entry["MESSAGE"] for entry in host.journal()) > 1,
        "the start limit, twice",
    )
    host.configure("")
    host.until(lambda: host.show("ActiveState") == "active", "it comes back")
    host.wait_ids("alice/a.jsonl", [1])


def revived(host):
    """What comes of the try that the timer makes."""
    host.systemctl("start", "sessiond-revive.service", check=False)
    return host.show("ActiveState")


def test_what_somebody_has_stopped_stays_stopped(service):
    service.systemctl("kill", "--signal=KILL", UNIT)
    service.until(lambda: service.show("NRestarts") == "1", "a restart")
    service.until(lambda: service.show("SubState") == "running", "a restart")
    service.drop_in(QUICK + "Restart=no\n")
    service.systemctl("kill", "--signal=KILL", UNIT)
    service.until(lambda: service.show("ActiveState") == "failed", "it has failed")
    service.until(lambda: service.show("ActiveState", "sessiond-revive.timer") == "active", "it is to be tried again")
    service.systemctl("stop", UNIT)  # of what does not run any more
    assert service.show("ActiveState", "sessiond-revive.timer") == "inactive"
    service.systemctl("disable", UNIT)
    assert revived(service) == "failed"
    service.systemctl("enable", UNIT)
    assert revived(service) in {"activating", "active"}


def test_a_stop_that_had_to_be_forced_is_a_stop_all_the_same(service):
    service.drop_in(QUICK.replace("WatchdogSec=3", "WatchdogSec=0") + "TimeoutStopSec=1\n")
    service.systemctl("restart", UNIT)
    tell(service, "hang-main")
    gone = "test ! -e /var/lib/sessiond/hang-main"
    service.until(lambda: service.run("sh", "-c", gone, check=False).returncode == 0, "it hangs")
    service.systemctl("stop", UNIT)
    assert (service.show("ActiveState"), service.show("Result")) == ("failed", "timeout")
    assert revived(service) == "failed"


def test_a_mount_that_was_not_there_is_waited_for(host, line):
    host.sessiond("install", "--no-start")
    mount = "/etc/systemd/system/data-user_sessions.mount"
    text = f"[Mount]\nWhat=nothing\nWhere={ROOT}\nType=no-such-file-system\n"
    host.sh(f"cat >{mount}; systemctl daemon-reload", input=text)
    assert host.run("systemctl", "start", UNIT, check=False).returncode
    assert host.show("ActiveState") == "inactive"
    host.until(lambda: host.show("ActiveState", "sessiond-revive.timer") == "active", "it is to be tried again")
    host.sh(f"rm {mount}; mkdir -p {ROOT}; systemctl daemon-reload; systemctl reset-failed")
    assert revived(host) in {"activating", "active"}
    host.append("alice/a.jsonl", line(1))
    host.wait_ids("alice/a.jsonl", [1])


def test_a_root_that_goes_and_comes_back_is_waited_for(service, line):
    pid = service.pid()
    service.sh(f"mv {ROOT} {ROOT}.gone")
    service.until(lambda: "waiting for" in service.show("StatusText"), "it says so")
    service.append("alice/a.jsonl", line(2))
    service.wait_ids("alice/a.jsonl", [2])  # another file of that name
    assert service.pid() == pid
