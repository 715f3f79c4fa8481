"""From an installed package to a running service, and back."""

import json

import pytest

from tests.system.service.conftest import DB, ROOT, UNIT, build

PLACED = (
    "/usr/local/lib/systemd/system/sessiond.service",
    "/usr/local/lib/systemd/system/sessiond-revive.timer",
    "/usr/local/lib/sysusers.d/sessiond.conf",
    "/etc/sessiond/config.toml",
    "/usr/local/bin/sessiond",
)


def there(host):
    return [path for path in PLACED if host.run("test", "-e", path, check=False).returncode == 0]


def test_an_installed_service_runs_and_each_line_is_a_row(host, line):
    host.append("alice/a.jsonl", line(1))
    said = host.sessiond("install").stdout
    assert "systemctl start sessiond.service" in said
    assert (host.show("ActiveState"), host.show("SubState")) == ("active", "running")
    assert host.show("UnitFileState") == "enabled"
    events = [entry["EVENT"] for entry in host.journal() if "EVENT" in entry]
    assert events.index("watch_armed") < events.index("ready")  # which is when systemd hears that it is up
    host.wait_ids("alice/a.jsonl", [1])
    host.append("alice/a.jsonl", line(2) + line(3))
    host.wait_ids("alice/a.jsonl", [1, 2, 3])
    assert host.run("sessiond", "status").returncode == 0  # on the path of everybody
    assert host.sh("stat -c '%U %a' /var/lib/sessiond /run/sessiond/sessiond.sock") == "sessiond 700\nsessiond 660"


def test_a_dry_run_prints_each_action_and_does_none(host):
    said = host.sessiond("install", "--dry-run").stdout.splitlines()
    assert all(line.startswith("would ") for line in said)
    assert [line for line in said if "write /usr/local/lib/systemd/system/sessiond.service" in line]
    assert there(host) == []
    assert host.run("id", "sessiond", check=False).returncode
    as_json = json.loads(host.sessiond("install", "--dry-run", "--json").stdout)
    assert as_json["actions"] == [line.removeprefix("would ") for line in said]
    host.sessiond("install")
    assert host.sessiond("uninstall", "--dry-run").stdout.startswith("would systemctl disable")
    assert there(host) == list(PLACED)


def test_installing_again_does_nothing(installed):
    pid = installed.pid()
    said = installed.sessiond("install").stdout
    assert said.startswith("nothing to do\n")
    assert installed.pid() == pid


def test_what_is_missing_or_changed_is_put_right_and_settings_stay(installed):
    installed.configure("scan_seconds = 7\n")
    installed.sh("echo '# by hand' >>/usr/local/lib/systemd/system/sessiond.service")
    installed.sh("rm /usr/local/lib/sysusers.d/sessiond.conf")
    installed.systemctl("disable", UNIT)
    pid = installed.pid()
    said = installed.sessiond("install").stdout
    assert "replace /usr/local/lib/systemd/system/sessiond.service" in said
    assert "config.toml\n" not in said.partition("sessiond.service is")[0]
    assert installed.sh("cat /etc/sessiond/config.toml") == "scan_seconds = 7"
    assert installed.show("UnitFileState") == "enabled"
    assert installed.pid() != pid


def test_a_new_version_of_the_package_is_brought_along_and_state_is_kept(host, wheel, line, tmp_path):
    old = build(tmp_path, version="0.0.9", unit="# of an older version\n")
    try:
        host.pip("--no-deps", "--force-reinstall", old)
        host.sessiond("install")
        host.configure("scan_seconds = 7\n")
        host.append("alice/a.jsonl", line(1))
        host.wait_ids("alice/a.jsonl", [1])
        assert json.loads(host.sessiond("status", "--json").stdout)["version"] == "0.0.9"
        pid = host.pid()
    finally:
        host.pip("--no-deps", "--force-reinstall", wheel)
    host.append("alice/a.jsonl", line(2))  # while the old one runs on
    host.wait_ids("alice/a.jsonl", [1, 2])
    said = host.sessiond("install").stdout
    assert f"systemctl restart {UNIT}" in said
    assert host.pid() != pid
    assert json.loads(host.sessiond("status", "--json").stdout)["version"] != "0.0.9"
    assert "of an older version" not in host.sh("systemctl cat sessiond")
    host.append("alice/a.jsonl", line(3))
    host.wait_ids("alice/a.jsonl", [1, 2, 3])
    assert host.sh("cat /etc/sessiond/config.toml") == "scan_seconds = 7"


def test_uninstalling_leaves_rows_and_settings_unless_they_are_to_go_too(installed, line):
    installed.append("alice/a.jsonl", line(1))
    installed.wait_ids("alice/a.jsonl", [1])
    installed.sessiond("uninstall")
    assert there(installed) == ["/etc/sessiond/config.toml"]
    assert installed.show("LoadState") == "not-found"
    assert installed.ids("alice/a.jsonl") == [1]
    assert installed.sessiond("uninstall").stdout == "nothing to do\n"
    installed.sessiond("install")
    assert installed.ids("alice/a.jsonl") == [1]
    installed.sessiond("uninstall", "--purge")
    assert there(installed) == []
    assert installed.run("test", "-e", DB, check=False).returncode
    assert installed.run("id", "sessiond", check=False).returncode


def test_another_root_is_written_into_settings_and_unit(host, line):
    host.sh("mkdir -p /home/transcripts/alice")
    host.sessiond("install", "--root", "/home/transcripts")
    assert 'root = "/home/transcripts"' in host.sh("cat /etc/sessiond/config.toml")
    assert "/home/transcripts" in host.show("RequiresMountsFor").split()
    assert host.show("ProtectHome") == "read-only"
    host.sh("cat >>/home/transcripts/alice/a.jsonl", input=line(1).decode())
    host.wait_ids("alice/a.jsonl", [1])
    refused = host.sessiond("install", "--root", "/srv/elsewhere", check=False)
    assert refused.returncode == 2
    assert "/etc/sessiond/config.toml has another root, /home/transcripts" in refused.stderr
    host.sh("rm -rf /home/transcripts")


def test_a_root_behind_a_link_into_a_home_is_seen(host, line):
    host.sh(f"mkdir -p /home/transcripts /data; ln -s /home/transcripts {ROOT}")
    host.sessiond("install")
    host.append("alice/a.jsonl", line(1))
    host.wait_ids("alice/a.jsonl", [1])
    host.sh(f"rm -r /home/transcripts {ROOT}")


def test_what_was_left_undone_is_done_by_the_next_one(installed):
    pid = installed.pid()
    installed.sh("echo '# by hand' >>/usr/local/lib/systemd/system/sessiond.service; systemctl daemon-reload")
    installed.sessiond("install", "--no-start")
    assert installed.pid() == pid
    installed.sh("rm /var/lib/systemd/catalog/database")
    said = installed.sessiond("install").stdout
    assert f"systemctl restart {UNIT}" in said
    assert "journalctl --update-catalog" in said
    assert installed.pid() != pid
    assert installed.sessiond("install").stdout.startswith("nothing to do")


def test_the_command_leads_to_the_installation_that_was_installed_last(installed):
    installed.sh("ln -sfn /opt/elsewhere/bin/sessiond /usr/local/bin/sessiond")
    assert "link /usr/local/bin/sessiond" in installed.sessiond("install").stdout
    assert installed.sh("readlink /usr/local/bin/sessiond") == "/opt/sessiond/bin/sessiond"
    installed.sh("rm /usr/local/bin/sessiond; echo another >/usr/local/bin/sessiond")
    assert installed.sessiond("install").stdout.startswith("nothing to do")
    installed.sessiond("uninstall")
    assert installed.sh("cat /usr/local/bin/sessiond; rm /usr/local/bin/sessiond") == "another"


def test_a_user_that_comes_back_with_another_number_gets_the_state(installed, line):
    installed.append("alice/a.jsonl", line(1))
    installed.wait_ids("alice/a.jsonl", [1])
    installed.sessiond("uninstall")
    installed.sh("userdel sessiond; useradd -r -u 801 -d /var/lib/sessiond -s /usr/sbin/nologin sessiond")
    installed.sessiond("install")
    installed.append("alice/a.jsonl", line(2))
    installed.wait_ids("alice/a.jsonl", [1, 2])


def test_a_state_folder_that_is_a_link_is_no_reason_to_stop_half_way(installed):
    installed.sessiond("uninstall")
    installed.sh("mv /var/lib/sessiond /srv/state; ln -s /srv/state /var/lib/sessiond")
    installed.sessiond("uninstall", "--purge")
    assert there(installed) == []
    assert installed.sh("ls /srv/state; rm -r /srv/state").startswith("sessiond.duckdb")


@pytest.mark.parametrize(
    ("spoil", "mend", "said"),
    [
        (
            "touch /etc/systemd/system/sessiond.service",
            "rm /etc/systemd/system/sessiond.service",
            "/etc/systemd/system/sessiond.service goes before the unit that would be installed",
        ),
        ("systemctl mask sessiond.service", "systemctl unmask sessiond.service", "sessiond.service is masked"),
        (
            "mkdir -p /etc/sessiond; echo 'root = \"~/sessions\"' >/etc/sessiond/config.toml",
            "rm -r /etc/sessiond",
            "root is ~/sessions",
        ),
        ("chmod 700 /opt/sessiond", "chmod 755 /opt/sessiond", "/opt/sessiond cannot be read by other users"),
        ("mkdir -p /etc/sessiond; echo 'x = [' >/etc/sessiond/config.toml", "rm -r /etc/sessiond", "is no TOML"),
    ],
)
def test_what_could_not_work_is_refused_before_anything_is_done(host, spoil, mend, said):
    host.sh(spoil)
    try:
        refused = host.sessiond("install", check=False)
    finally:
        host.sh(mend)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert there(host) == []


def test_only_root_may_install(host):
    asked = host.run(
        "setpriv", "--reuid=65534", "--clear-groups", "/opt/sessiond/bin/sessiond", "install", check=False
    )
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "only root may do this" in asked.stderr
    assert there(host) == []


def test_a_root_that_the_service_could_not_see_is_refused(host):
    refused = host.sessiond("install", "--root", "/tmp/transcripts", check=False)
    assert refused.returncode == 2
    assert "the service cannot see /tmp/transcripts" in refused.stderr
    assert ROOT not in refused.stderr
