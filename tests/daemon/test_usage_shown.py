"""Reports on a terminal and as pictures: what is in them at any width, and what is not known."""

from datetime import date

import pytest

from daemon.commands import charts, grids
from processors.usage.reports import REPORTS

KINDS = {"text": "n" * 60, "path": "/home/" + "p" * 60, "day": date(2026, 3, 1), "share": 0.5, "usd": 12.5}


def row_of(report):
    """A row with long names and large numbers."""
    return {name: KINDS.get(kind, 12_345) for name, kind in report.columns.items() if kind != "moment"} | {
        name: None for name, kind in report.columns.items() if kind == "moment"
    }


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("name", REPORTS)
def test_what_a_report_is_asked_for_is_shown_however_long_names_are(name, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    report = REPORTS[name]
    grids.show(report, [row_of(report)], {}, 50, title="t")
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert ("$12.50" if "cost_usd" in report.columns else "12k" if width < 120 else "12") in shown


PRICED = dict.fromkeys(("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens"), 5)
DAYS = [
    PRICED | {"day": date(2026, 3, 1), "cost_usd": 2.0},
    PRICED | {"day": date(2026, 3, 2), "cost_usd": None},
    PRICED | {"day": date(2026, 3, 4), "cost_usd": 1.0},
]


def test_a_day_whose_cost_is_not_known_is_not_drawn_as_if_it_had_cost_nothing(capsys, tmp_path):
    charts.draw(DAYS, "day", None, title="t")
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if "2026" in line}
    assert "n/a" in lines["2026-03-02"]
    assert "$0.00" in lines["2026-03-03"]  # when nothing happened
    charts.draw(DAYS, "day", tmp_path / "x.svg", title="t")
    assert "n/a" in (tmp_path / "x.svg").read_text()


def test_days_none_of_whose_costs_are_known_can_be_drawn(capsys):
    charts.draw(DAYS[1:2], "day", None, title="t")
    assert "n/a" in capsys.readouterr().out
