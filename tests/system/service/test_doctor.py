"""What doctor says of a service, on a host that has one and on one that has none."""

import json

from tests.system.service.conftest import UNIT


def said(host, check="unit"):
    asked = host.sessiond("doctor", "--json", check=False)
    found = [finding for finding in json.loads(asked.stdout)["findings"] if finding["check"] == check]
    return [(finding["level"], finding["says"], finding["fix"]) for finding in found], asked.returncode


def test_without_a_service_it_says_how_to_get_one(host):
    ((level, says, fix),), _ = said(host)
    assert (level, says, fix) == ("skipped", "sessiond is no service of this host", "sessiond install")


def test_a_service_that_is_well_has_no_errors(installed, line):
    installed.append("alice/a.jsonl", line(1))
    installed.wait_ids("alice/a.jsonl", [1])
    asked = installed.sessiond("doctor", "--json", check=False)
    findings = json.loads(asked.stdout)["findings"]
    assert [finding for finding in findings if finding["level"] == "error"] == []
    assert said(installed)[0] == [("ok", f"{UNIT} is active, enabled and up to date", "")]
    ((level, says, _),) = said(installed, "socket")[0]
    assert (level, says.partition(": ")[0]) == ("ok", "a daemon answers at /run/sessiond/sessiond.sock")


def test_what_is_wrong_with_the_unit_is_said_with_the_fix(installed):
    installed.append("alice/a.jsonl", b"")
    installed.systemctl("disable", UNIT)
    installed.sh("echo '# by hand' >>/usr/local/lib/systemd/system/sessiond.service")
    found, _ = said(installed)
    assert [(level, fix.partition(",")[0]) for level, _, fix in found] == [
        ("warning", f"systemctl enable {UNIT}"),
        ("warning", "systemctl daemon-reload"),
        ("warning", "sessiond install"),
    ]
    installed.until(lambda: said(installed)[1] == 1, "nothing else is wrong")
    installed.sessiond("install")
    assert said(installed)[0][0][0] == "ok"


def test_a_service_that_has_failed_is_an_error(installed):
    installed.drop_in("[Service]\nRestart=no\n")
    installed.systemctl("kill", "--signal=KILL", UNIT)
    installed.until(lambda: installed.show("ActiveState") == "failed", "it has failed")
    found, code = said(installed)
    assert (found[0][:2], code) == (("error", f"{UNIT} has failed: signal"), 2)
    installed.sessiond("install")
    assert installed.show("ActiveState") == "active"
