"""Views of processors: made anew at each start, so that they are what the processor now says."""

from collections.abc import Iterable, Sequence

import duckdb

from daemon.errors import ContractError, printable
from processors.contract import View


def make_views(conn: duckdb.DuckDBPyConnection, declared: Sequence[View], taken: Iterable[str]) -> None:
    """Create a processor's views, in their order; its tables are there.

    Args:
        conn: where.
        declared: by the processor.
        taken: names that tables and other views have.

    Raises:
        ContractError: one cannot be created as it is declared.

    """
    names = set(taken)
    for view in declared:
        if view.name in names:
            raise ContractError(f"view {view.name}: the name is taken", "give it another name")
        names.add(view.name)
        try:
            conn.execute(f'CREATE OR REPLACE VIEW "{view.name}" AS {view.sql}')
        except duckdb.Error as error:
            reason = printable(str(error).partition("\n")[0])
            raise ContractError(f"view {view.name}: {reason}", "check its SQL and the tables in it") from error
