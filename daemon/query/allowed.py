"""Which SQL may be asked: one statement that reads the database's tables, and nothing else.

DuckDB itself parses the text; what is refused or let through is its syntax tree, and the very statement that was
parsed is run. Everything is a list of what is allowed, so what a later DuckDB adds is refused until somebody has
looked at it. This is the first wall; a transaction that cannot write is the second (see :mod:`daemon.query.queries`).
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import duckdb
import msgspec

from daemon.errors import QueryError

MOST_BYTES = 64 << 10
"""Of SQL text. Longer ones can keep the planner busy for minutes, in which it does not hear of a cancellation."""

MOST_NODES = 20_000
"""In the syntax tree, each common table expression counted wherever it is used: it is planned as often."""

MOST_PARTS = 8
"""Of a dotted name. Looking one up takes the square of their number."""

MOST_REPEATS = 10_000
"""In an argument that says how long a value becomes: it is made in one piece, which no limit on memory sees."""


def _listed(name: str) -> list[str]:
    return (files("daemon.query") / name).read_text(encoding="utf-8").lower().split()


FUNCTIONS = frozenset(_listed("functions.txt"))
"""Scalar functions, aggregates and macros of DuckDB 2.0 that see only their arguments. Those whose time grows with
the square of a text's length are left out: one call would not hear for hours that it is to end."""

TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})

SIZED = {"generate_series": slice(None), "lpad": slice(1, 2), "range": slice(None)} | {
    name: slice(1, 2) for name in ("repeat", "rpad")
}
"""Functions whose result is as long as some argument says: which ones have to be small constants."""

_EXPRESSIONS = frozenset(
    {"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION"}
    | {"LAMBDA", "LAMBDA_REF", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"}
)
_QUERIES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_SOURCES = {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
_MODIFIERS = {"LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER", "DISTINCT_MODIFIER"}
_ORDERS = {"ASCENDING", "DESCENDING", "ORDER_DEFAULT"}
_NODES = frozenset(_QUERIES | _SOURCES | _MODIFIERS | _ORDERS)
_TYPES = frozenset(_listed("types.txt")) | {"time with time zone", "timestamp with time zone"}
_SHOWN = frozenset({"", '"tables"', "__show_tables_expanded"})  # SHOW TABLES, SHOW ALL TABLES
_CATALOG = frozenset({"duckdb_columns", "duckdb_tables", "duckdb_views"})
_NAME = re.compile(r"[^\W\d]\w*")
_LONG_NUMBER = re.compile(r"\d{4}|\*|\{[^{}]*\{")

_TABLES = """
    SELECT lower(table_name) FROM duckdb_tables() WHERE NOT internal AND database_name = current_database()
    UNION ALL
    SELECT lower(view_name) FROM duckdb_views() WHERE NOT internal AND database_name = current_database()"""


@dataclass(slots=True)
class _Seen:
    """What one syntax tree names."""

    tables: list[tuple[str, ...]] = field(default_factory=list)
    common: set[str] = field(default_factory=set)
    nodes: int = 0


def check(sql: str, reader: duckdb.DuckDBPyConnection) -> Any:
    """The one statement in ``sql``, ready to be run on ``reader``, whose tables it may read.

    Raises:
        QueryError: it is no SQL, or not allowed; says where, or what.

    """
    if len(sql.encode(errors="replace")) > MOST_BYTES:
        raise QueryError(f"the query is longer than {MOST_BYTES:,} bytes", "shorten it")
    try:
        statements = reader.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(str(error)) from error
    if len(statements) != 1:
        what = "there is no statement" if not statements else f"there are {len(statements)} statements"
        raise QueryError(what, "a query is one statement")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        hint = "PIVOT needs its values: PIVOT … ON … IN (…)" if kind == "MULTI" else _HINT
        raise QueryError(f"a query may not be a statement of the kind {kind}", hint)
    tree = _tree(sql, reader)
    seen = _Seen()
    _walk(tree, seen)
    if seen.nodes > MOST_NODES or _weight(tree) > MOST_NODES:
        raise QueryError("the query has too many parts", "split it, or shorten it")
    _check_tables(seen, reader)
    return statements[0]


def _tree(sql: str, reader: duckdb.DuckDBPyConnection) -> Any:
    text = reader.execute("SELECT json_serialize_sql(?)", [sql]).fetchall()[0][0]
    try:
        tree = msgspec.json.decode(text)
    except (RecursionError, msgspec.DecodeError) as error:
        raise QueryError("the query is nested too deeply", "split it") from error
    if tree.get("error"):
        raise QueryError(f"the query cannot be checked: {tree.get('error_message')}", _HINT)
    return tree["statements"]


def _check_tables(seen: _Seen, reader: duckdb.DuckDBPyConnection) -> None:
    """A name that is no table's could be that of a file, or of a variable of this program."""
    known = {name for (name,) in reader.execute(_TABLES).fetchall()}
    database = reader.execute("SELECT lower(current_database())").fetchall()[0][0]
    for path in seen.tables:
        *outer, name = (part.lower() for part in path)
        if outer[:1] == [database]:
            outer = outer[1:]
        if outer in ([], ["main"]) and (name in known or (name in _CATALOG and not outer)):
            continue
        if (not outer and name in seen.common) or outer == ["information_schema"]:
            continue
        there = ", ".join(sorted(known - {"sessiond_schema"}))
        raise QueryError(f"there is no table {'.'.join(path)!r}", f"there are: {there}")


_HINT = "a query reads tables, as SELECT, FROM, WITH, VALUES, DESCRIBE and SUMMARIZE do"


def _walk(tree: Any, seen: _Seen) -> None:
    """Look at each node of a syntax tree.

    Raises:
        QueryError: one is not allowed.

    """
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            seen.nodes += 1
            _check_node(node, seen)
            todo.extend(value for value in node.values() if isinstance(value, (dict, list)))


def _check_node(node: dict[str, Any], seen: _Seen) -> None:
    kind = node["type"] if isinstance(node.get("type"), str) else None
    if "class" in node:
        _check_expression(node, str(node["class"]))
    elif kind is not None:
        if kind not in _NODES:
            raise QueryError(f"a query may not contain a part of the kind {kind}", _HINT)
        _check_source(node, kind, seen)
    if "function_name" in node:
        _check_function(node)
    named = (entry["key"] for entry in node.get("cte_map", {}).get("map", ()))
    for name in (*named, *([node["ctename"]] if "ctename" in node else ())):
        if not _NAME.fullmatch(name):  # it would allow a file of that name where it is not in scope
            raise QueryError(f"the name {name!r} is no identifier", "use letters, digits and underscores")
        seen.common.add(name.lower())


def _check_source(node: dict[str, Any], kind: str, seen: _Seen) -> None:
    if kind == "TABLE_FUNCTION":
        _check_table_function(node)
    if kind in {"BASE_TABLE", "SHOW_REF"}:
        path = tuple(node.get("qualified_name", {}).get("path") or [node.get("table_name", "")])
        if kind == "BASE_TABLE" or not (len(path) == 1 and path[0] in _SHOWN):
            seen.tables.append(path)


def _check_expression(node: dict[str, Any], kind: str) -> None:
    if kind not in _EXPRESSIONS:
        raise QueryError(f"a query may not contain an expression of the kind {kind}", _HINT)
    if kind == "TYPE" and str(node.get("type_name", "")).lower() not in _TYPES:
        raise QueryError(f"the type {str(node.get('type_name'))!r} is not allowed in a query" + _position(node))
    if len(node.get("column_names", ())) > MOST_PARTS:
        raise QueryError(f"a name has more than {MOST_PARTS} parts", "shorten it")


def _check_function(node: dict[str, Any]) -> None:
    name = str(node["function_name"]).lower()
    path = node.get("qualified_name", {}).get("path") or [name]
    allowed = FUNCTIONS if not node.get("in_from") else TABLE_FUNCTIONS
    if name not in allowed or str(path[-1]).lower() != name:
        raise QueryError(
            f"the function {name!r} is not allowed in a query" + _position(node),
            "functions that see only their arguments are",
        )
    if node.get("in_from"):
        return
    arguments = [argument.get("expression") or {} for argument in node.get("arguments", ())]
    for argument in arguments[SIZED[name]] if name in SIZED else ():
        if not _is_small(argument):
            raise QueryError(
                f"the length in {name}(…) has to be a number up to {MOST_REPEATS:,}" + _position(node),
                "FROM range(…) and FROM generate_series(…) have no such limit" if name != "lpad" else "",
            )
    if name in {"format", "printf"} and not _is_plain_format(arguments[0] if arguments else {}):
        raise QueryError(f"the format in {name}(…) has to be a text with widths below 1,000" + _position(node))


def _check_table_function(node: dict[str, Any]) -> None:
    function = node.get("function")
    if not isinstance(function, dict) or "function_name" not in function:
        raise QueryError("a query may not contain that kind of table function", _HINT)
    function["in_from"] = True


def _is_small(argument: dict[str, Any]) -> bool:
    literal = argument.get("literal") or {}
    text = str(literal.get("text", ""))
    return literal.get("kind") == "INTEGER" and text.isdecimal() and int(text) <= MOST_REPEATS


def _is_plain_format(argument: dict[str, Any]) -> bool:
    literal = argument.get("literal") or {}
    return literal.get("kind") == "STRING" and not _LONG_NUMBER.search(str(literal.get("text", "")))


def _position(node: dict[str, Any]) -> str:
    location = node.get("query_location", 1 << 64)
    return f", at character {location + 1}" if location < MOST_BYTES else ""


def _weight(tree: Any) -> int:
    """How many nodes are planned: those of a common table expression as often as it is used."""
    bodies = dict(_common(tree))
    weights: dict[str, int] = {}

    def of(node: Any, within: tuple[str, ...]) -> int:
        uses: Counter[str] = Counter()
        nodes = 0
        todo = [node]
        while todo:
            each = todo.pop()
            if isinstance(each, list):
                todo.extend(each)
            elif isinstance(each, dict):
                nodes += 1
                if each.get("type") == "BASE_TABLE":
                    uses[str(each.get("table_name", "")).lower()] += 1
                todo.extend(each.values())
        for name, times in uses.items():
            if name in bodies and name not in within and len(within) < MOST_WITHIN:
                if name not in weights:
                    weights[name] = of(bodies[name], (*within, name))
                nodes += times * weights[name]
        return min(nodes, MOST_NODES + 1)

    return of(tree, ())


MOST_WITHIN = 200


def _common(tree: Any) -> Iterator[tuple[str, Any]]:
    todo = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo.extend(node)
        elif isinstance(node, dict):
            for entry in node.get("cte_map", {}).get("map", ()):
                yield str(entry["key"]).lower(), entry["value"]
            todo.extend(node.values())
