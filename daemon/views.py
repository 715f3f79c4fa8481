"""Views of processors: made anew at each start, so that they are what the processor now says."""

from collections.abc import Iterable, Sequence

import duckdb

from daemon.errors import ContractError, printable
from daemon.kept import KeptView, kept_as
from processors.contract import View


def shown_as(view: View) -> set[str]:
    """The names that a view takes in the database."""
    return {view.name} | (kept_as(view.name) if view.table else set())


def make_views(conn: duckdb.DuckDBPyConnection, declared: Sequence[View], taken: Iterable[str]) -> list[KeptView]:
    """Create a processor's views, in their order; its tables are there. Returns those whose rows are kept.

    Args:
        conn: where.
        declared: by the processor.
        taken: names that tables and other views have.

    Raises:
        ContractError: one cannot be created as it is declared.

    """
    names = set(taken)
    kept: list[KeptView] = []
    for view in declared:
        if clash := names & shown_as(view):
            raise ContractError(f"view {view.name}: the name {min(clash)} is taken", "give it another name")
        names |= shown_as(view)
        if view.table:
            kept.append(KeptView(conn, view))
            continue
        try:
            conn.execute(f'CREATE OR REPLACE VIEW "{view.name}" AS {view.sql}')
        except duckdb.Error as error:
            reason = printable(str(error).partition("\n")[0])
            raise ContractError(f"view {view.name}: {reason}", "check its SQL and the tables in it") from error
    return kept
