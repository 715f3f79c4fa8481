"""Orders that processors take from people, see :class:`processors.overall.Order`."""

from collections.abc import Mapping
from typing import Any

import duckdb
import msgspec

from daemon.cursor import utc_now
from daemon.errors import ConfigError, ContractError, UnknownNameError, describe, printable
from daemon.guard import GuardedConnection
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
        ContractError: the processor does what it may not.
        Exception: whatever else it raises.

    """
    guarded: Any = GuardedConnection(conn)  # the writer's: nobody else may end its transaction, or close it
    try:
        answer = dict(order.work(guarded, fields, who, utc_now()))
    except OrderError as error:
        kind = UnknownNameError if error.unknown else ConfigError
        raise kind(printable(error), printable(error.hint)) from error
    except Exception:
        raise
    except BaseException as error:  # which would end the writer
        raise ContractError(f"order {order.name}: {describe(error)}") from error
    try:
        # While nothing of it is kept yet: what cannot be told would be done, and be told as failed.
        told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(answer))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise ContractError(f"order {order.name}: what came of it are not values that JSON has") from error
    return told
