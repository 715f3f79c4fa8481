"""What the tests of the doctor share: a host of their own, and one check made on it."""

import pytest

from daemon.doctor import CHECKS, doors, examine, gather


@pytest.fixture(autouse=True)
def _host(monkeypatch, tmp_path):
    """Neither the settings nor the daemon of the host that the tests run on."""
    for name in ("SESSION_DATA_DIR", "SESSIOND_ROOT", "SESSIOND_DB", "STATE_DIRECTORY", "RUNTIME_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SESSIOND_PROCESSORS", '["usage"]')
    monkeypatch.setattr(doors, "SYSTEM_SOCKET", tmp_path / "no" / "sessiond.sock")


@pytest.fixture
def patient(root, database):
    """Makes a patient; by default with the root and the database of the test."""
    made = []

    def make(config=None, **flags):
        made.append(gather({"root": root, "db": database} | flags, config, lambda _text: None))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def ask(patient):
    """What one check says, as (level, what it says, fix), the worst first."""

    def of(name, config=None, **flags):
        found = list(examine(patient(config, **flags), {name: CHECKS[name]}))
        assert found, "a check has to say something"
        assert all(finding.check == name for finding in found)
        assert all("itself failed" not in finding.says for finding in found), found
        order = ["error", "warning", "skipped", "ok"]
        return sorted(((each.level, each.says, each.fix) for each in found), key=lambda each: order.index(each[0]))

    return of
