"""A machine of its own for these tests: a real systemd, and sessiond installed in it from a wheel.

It is booted once for all of them, over a throw-away overlay of this machine's root, and is gone with the last test.
It takes root, systemd and a Python that other users can run; where one of them is missing, all of these tests are
skipped, which pytest's summary says.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]
PYTHON = Path("/usr/bin/python3")
UNIT = "sessiond.service"
ROOT = "/data/user_sessions"
DB = "/var/lib/sessiond/sessiond.duckdb"
SECONDS = 60.0
ONE_AT_A_TIME = Path("/run/lock/sessiond-test-machine")  # their control groups have the same names


def why_not():
    """What is missing for a machine; None if nothing is."""
    if os.geteuid():
        return "only root can boot a systemd"
    for needed in (Path("/lib/systemd/systemd"), PYTHON):
        if not needed.exists():
            return f"there is no {needed}"
    for command in ("unshare", "nsenter", "setpriv"):
        if shutil.which(command) is None:
            return f"there is no {command}"
    probe = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([PYTHON, "-c", probe], check=False, capture_output=True).returncode:
        return f"{PYTHON} is older than 3.11, or has no venv (package python3-venv)"
    return None


class Machine:
    """A booted systemd; ``run`` runs a command in it, as root."""

    def __init__(self, folder):
        self.folder = folder
        self.root = folder / "root"
        self._console = (folder / "console").open("wb")
        # It goes with this process, however that ends.
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--fork",
            "--kill-child",
        ]
        boot = Path(__file__).with_name("boot.sh")
        self._outer = subprocess.Popen(
            [*command, "bash", str(boot), str(folder)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            stdout=self._console,
            stderr=self._console,
        )
        self._pid = None
        self.until(self._is_up, "it boots")

    def _is_up(self):
        assert self._outer.poll() is None, (self.folder / "console").read_text(errors="replace")
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        if not children:
            return False
        self._pid = children[0]
        return self.run("systemctl", "is-system-running", check=False).stdout.strip() in {"running", "degraded"}

    def run(self, *command, check=True, env=None, **more):
        """Run a command; standard output and error as text."""
        into = ["nsenter", "--target", self._pid, "--mount", "--pid", "--uts", "--ipc", "chroot", self.root]
        clean = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        done = subprocess.run(
            [*into, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=clean | (env or {}),
            **more,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def sh(self, script, **more):
        return self.run("sh", "-euc", script, **more).stdout.strip()

    def until(self, probe, what, seconds=SECONDS):
        """Poll until ``probe()`` is true, and return it."""
        ends = time.monotonic() + seconds
        while not (value := probe()):
            assert time.monotonic() < ends, f"not within {seconds:.0f} s: {what}\n{self.now()}"
            time.sleep(0.05)
        return value

    def now(self):
        """What a failed test shows of the machine."""
        return self.run("systemctl", "status", "-n", "40", UNIT, check=False).stdout if self._pid else ""

    def stop(self):
        if self._pid is not None:
            os.kill(int(self._pid), signal.SIGKILL)  # the machine's first process: all others go with it
        else:
            self._outer.kill()
        self._outer.wait(30)
        self._console.close()


class Host(Machine):
    """A machine with sessiond in /opt/sessiond."""

    def prepare(self, wheel):
        """Install the wheel into a new virtual environment, with what it needs from the package index."""
        network = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_")) or name.lower().endswith("_proxy")
        }
        self.pip_env = network
        self.sh("python3 -m venv /opt/sessiond")
        self.python = Path(self.sh("echo /opt/sessiond/lib/python3*")).name.removeprefix("python")
        shutil.copy(TOP / "constraints.txt", self.folder / "opt")
        self.pip("-c", "/opt/constraints.txt", wheel)

    def pip(self, *what):
        for wheel in what:
            if isinstance(wheel, Path):
                shutil.copy(wheel, self.folder / "opt")
        arguments = [f"/opt/{each.name}" if isinstance(each, Path) else each for each in what]
        self.run("/opt/sessiond/bin/pip", "install", "-q", *arguments, env=self.pip_env)

    def plugin(self, source):
        """Install a processor ``probe`` as plug-ins are; it is gone after the test."""
        info = "/opt/sessiond/lib/python3*/site-packages/probe-1.0.dist-info"
        self.sh(f"mkdir -p {info.replace('3*', self.python)}; cd {info}; cat >../probe.py", input=source)
        self.sh(f"cd {info}; printf 'Metadata-Version: 2.1\\nName: probe\\nVersion: 1.0\\n' >METADATA")
        self.sh(f"cd {info}; printf '[sessiond.processors]\\nprobe = probe:P\\n' >entry_points.txt")

    def sessiond(self, *arguments, **more):
        return self.run("/opt/sessiond/bin/sessiond", *map(str, arguments), **more)

    # The unit

    def systemctl(self, *arguments, **more):
        return self.run("systemctl", *arguments, **more).stdout.strip()

    def show(self, name, unit=UNIT):
        return self.systemctl("show", "--property", name, "--value", unit)

    def pid(self):
        return int(self.show("MainPID"))

    def drop_in(self, text, name="test"):
        """Change the unit, for this test."""
        folder = f"/etc/systemd/system/{UNIT}.d"
        self.run("sh", "-c", f"mkdir -p {folder} && cat >{folder}/{name}.conf", input=text)
        self.systemctl("daemon-reload")

    def configure(self, text):
        """Write the settings, before or after it is installed."""
        self.run("sh", "-ec", "mkdir -p /etc/sessiond; cat >/etc/sessiond/config.toml", input=text)

    # Sessions and rows

    def append(self, key, data, user=None):
        """Append to a session as its owner does."""
        path = Path(ROOT, key)
        script = f"mkdir -p {path.parent} && umask 077 && cat >>{path}"
        if user:
            script += f" && chown {user} {path}"
        self.run("sh", "-ec", script, input=data.decode())

    def query(self, sql):
        """Ask the daemon, or the database while none runs."""
        return json.loads(self.sessiond("query", "--json", sql).stdout)

    def ids(self, key):
        """The numbers of the lines of a session that are in the database, as often as they are."""
        asked = self.sessiond(
            "query", "--json", f"SELECT event_uuid AS id FROM usage_events WHERE session_file = '{key}'", check=False
        )
        if asked.returncode:
            return None  # it is not up
        return sorted(int(row["id"].removeprefix("u")) for row in json.loads(asked.stdout))

    def wait_ids(self, key, numbers, seconds=SECONDS):
        wanted = sorted(numbers)
        self.until(lambda: self.ids(key) == wanted, f"{len(wanted)} lines of {key}", seconds)

    # The journal

    def journal(self, *matches):
        """The entries of the unit of this test that match, oldest first."""
        since = () if any("--since" in match for match in matches) else (self.began,)
        shown = self.run("journalctl", "-u", UNIT, "-o", "json", "--all", "--no-pager", *since, *matches).stdout
        return [json.loads(line) for line in shown.splitlines()]

    def wait_journal(self, *matches, times=1, seconds=SECONDS):
        def enough():
            found = self.journal(*matches)
            return found if len(found) >= times else None

        return self.until(enough, f"{matches} in the journal", seconds)[-1]

    def mark(self):
        """What matches the entries of the journal from now on."""
        return f"--since=@{self.sh('date +%s.%N')[:-3]}"

    def reset(self):
        """As a host is on which nothing was installed yet."""
        self.systemctl("stop", UNIT, "sessiond-revive.timer", check=False)
        self.sessiond("uninstall", "--purge", check=False)
        self.sh(f"umount {ROOT} 2>/dev/null || true; rm -f /etc/systemd/system/*.mount")
        self.sh(f"rm -rf {ROOT} /etc/systemd/system/sessiond*.d /etc/credstore /opt/sessiond/lib/python3*/*/probe*")
        self.systemctl("daemon-reload")
        self.systemctl("reset-failed", check=False)


def build(folder, *, version=None, unit=""):
    """A wheel of the checkout; of another version, and with something more in its unit, if that is wanted."""
    source = folder / "source"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, source)
    for name in ("daemon", "processors", "systemd"):
        shutil.copytree(TOP / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    if version:
        file = source / "pyproject.toml"
        text = file.read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("version = "))
        file.write_text(text.replace(line, f'version = "{version}"'))
    with (source / "systemd" / UNIT).open("a") as file:
        file.write(unit)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(source)]
    subprocess.run(command, check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The checkout as a wheel."""
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def machine(tmp_path_factory, wheel):
    """A host with sessiond in a virtual environment, not installed as a service yet."""
    with ONE_AT_A_TIME.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        host = Host(tmp_path_factory.mktemp("machine"))
        try:
            host.prepare(wheel)
            yield host
        finally:
            host.stop()


@pytest.fixture
def host(machine):
    """The same, and afterwards it is again as it was."""
    machine.began = machine.mark()
    yield machine
    machine.reset()


@pytest.fixture
def installed(host):
    """With the service installed and running."""
    host.sessiond("install")
    return host


def pytest_collection_modifyitems(items):
    if reason := why_not():
        here = Path(__file__).parent
        for item in items:
            if item.path.is_relative_to(here):
                item.add_marker(pytest.mark.skip(reason=f"no test under a real systemd: {reason}"))
