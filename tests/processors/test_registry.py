"""Processors are found through entry points and checked before they are used."""

import sys

import pytest

from processors import ProcessorResult, Table
from processors.registry import ProcessorError, load, register


class Fold:
    """The least that an incremental processor needs."""

    name = "fold"

    def process(self, batch):
        return ProcessorResult()


class Whole:
    """The least that a whole-session processor needs."""

    name = "whole"
    cadence_minutes = 1.5

    def process_session(self, session_path, username, session_key, conn):
        return ProcessorResult()


def test_what_a_processor_does_not_say_has_a_default():
    spec = register(Fold())
    assert (spec.name, spec.version, spec.cadence_seconds, spec.tables) == ("fold", 1, 0, ())
    assert spec.incremental
    assert spec.budget_seconds > 0


def test_a_whole_session_processor_is_known_by_its_method():
    spec = register(Whole, "here")
    assert not spec.incremental
    assert (spec.cadence_seconds, spec.source) == (90, "here")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": None}, "name"),
        ({"name": "Upper Case"}, "Upper Case"),
        ({"name": "a/b"}, "a/b"),
        ({"version": "1"}, "version"),
        ({"version": True}, "version"),
        ({"cadence_minutes": "often"}, "cadence_minutes"),
        ({"tables": ["events"]}, "events"),
        ({"process": None}, "process"),
    ],
)
def test_an_attribute_that_does_not_fit_is_named(changes, named):
    with pytest.raises(ProcessorError, match=named):
        register(type("Odd", (Fold,), changes)())


def test_a_processor_that_cannot_be_created_is_named_by_its_source():
    class Broken(Fold):
        def __init__(self):
            raise RuntimeError

    with pytest.raises(ProcessorError, match=r"my-plugin.*RuntimeError"):
        register(Broken, "my-plugin")


PLUGIN = """
from processors import ProcessorResult, Table

class One:
    name = "one"
    version = 3
    tables = (Table("one_rows", {"n": "INTEGER"}),)
    def process(self, batch):
        return ProcessorResult()

class Thief(One):
    name = "thief"

class Usage(One):
    name = "usage"
    tables = ()
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed distribution with a good processor and several bad ones."""
    (tmp_path / "made_up_plugin.py").write_text(PLUGIN)
    info = tmp_path / "made_up-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[sessiond.processors]\n"
        "missing = made_up_plugin_missing:Nothing\n"
        "one = made_up_plugin:One\n"
        "thief = made_up_plugin:Thief\n"
        "zz_second_usage = made_up_plugin:Usage\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("made_up_plugin", None)


def test_processors_of_other_distributions_are_found_and_say_where_they_are_from(plugin):
    found = {spec.name: spec for spec in load()[0]}
    assert found["one"].source == "made-up 1.2: made_up_plugin:One"
    assert found["one"].version == 3
    assert "sessiond" in found["usage"].source


def test_what_cannot_be_used_is_named_and_disturbs_nobody_else(plugin):
    found, errors = load()
    assert [spec.name for spec in found] == ["one", "usage", "verification"]
    texts = [str(error) for error in errors]
    assert len(texts) == 3
    assert any("made_up_plugin_missing" in text and "cannot be imported" in text for text in texts)
    assert any("Thief" in text and "'one_rows' belongs to 'one'" in text for text in texts)
    assert any("made_up_plugin:Usage" in text and "'usage' is taken" in text for text in texts)


def test_only_what_is_wanted_is_loaded_and_what_is_missing_is_named(plugin):
    found, errors = load(["one", "nobody"])
    assert [spec.name for spec in found] == ["one"]
    assert [str(error) for error in errors if "nobody" in str(error)]


def test_the_usage_processor_is_registered():
    assert [spec.name for spec in load(["usage"])[0]] == ["usage"]


def test_tables_are_part_of_the_description():
    table = Table("t", {"n": "INTEGER"})
    assert register(type("T", (Fold,), {"tables": [table]})()).tables == (table,)


def test_a_whole_session_processor_may_have_a_helper_called_process():
    class Both:
        name = "both"

        def process(self, text):
            return text

        def process_session(self, session_path, username, session_key, conn):
            return ProcessorResult()

    assert not register(Both).incremental


def test_isolation_is_the_processor_s_word_unless_the_operator_has_another():
    apart = type("Apart", (Fold,), {"isolation": "process"})
    apart.__qualname__ = "Apart"
    assert register(Fold).isolation == "thread"
    assert register(apart).isolation == "process"
    assert register(apart, isolation="thread").isolation == "thread"
    spec = register(Fold, isolation="process", options={})
    assert (spec.isolation, spec.place) == ("process", f"{__name__}:Fold")


@pytest.mark.parametrize(
    ("processor", "given", "named"),
    [
        (Whole, "process", r"here: process_session\(\) writes through the daemon's connection.*'thread'"),
        (Fold(), "process", r"here: .*another process cannot find it: register it as an entry point"),
        (type("<locals>.Hidden", (Fold,), {}), "process", "another process cannot find it"),
        (type("Odd", (Fold,), {"isolation": "box"}), None, "isolation is 'box'; it has to be 'thread' or 'process'"),
        (type("Odd", (Fold,), {"isolation": 1}), None, "isolation is 1"),
    ],
)
def test_an_isolation_that_cannot_be_is_refused_with_its_reason(processor, given, named):
    with pytest.raises(ProcessorError, match=named):
        register(processor, "here", isolation=given)


def test_the_operator_s_isolation_is_by_name_and_a_name_that_nobody_has_is_told(plugin):
    found, errors = load(["one"], isolation={"one": "process", "other": "process"})
    assert [(spec.isolation, spec.place) for spec in found] == [("process", "made_up_plugin:One")]
    assert errors == []
    _, errors = load(isolation={"two": "process"})
    assert "isolation is given for 'two', and no processor is called so" in map(str, errors)
