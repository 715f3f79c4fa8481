"""Orders that processors take from people, see :class:`processors.overall.Order`."""

from collections.abc import Mapping
from typing import Any

import duckdb

from daemon.cursor import utc_now
from daemon.errors import ConfigError, UnknownNameError, printable
from processors.overall import Order, OrderError
from processors.registry import Registered


def find(spec: Registered, name: str, fields: Mapping[str, str]) -> Order:
    """An order of a processor.

    Raises:
        UnknownNameError: it takes none of that name.
        ConfigError: it does not take such a field.

    """
    for order in spec.orders:
        if order.name == name:
            if unknown := fields.keys() - set(order.fields):
                known = ", ".join(order.fields) or "none"
                raise ConfigError(f"{spec.name} {name} takes no {printable(min(unknown))}", f"it takes: {known}")
            return order
    names = ", ".join(order.name for order in spec.orders) or "none"
    raise UnknownNameError(f"{spec.name} takes no order {printable(name)}", f"it takes: {names}")


def carry_out(conn: duckdb.DuckDBPyConnection, order: Order, fields: Mapping[str, str], who: str) -> dict[str, Any]:
    """Carry an order out, inside the caller's transaction; returns what came of it.

    Raises:
        UnknownNameError: it names what is not there.
        ConfigError: it cannot be carried out.

    """
    try:
        return dict(order.work(conn, fields, who, utc_now()))
    except OrderError as error:
        kind = UnknownNameError if error.unknown else ConfigError
        raise kind(printable(error), printable(error.hint)) from error
