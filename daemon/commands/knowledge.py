"""``sessiond knowledge``: what people told the assistant that everyone should know, and what a curator says of it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer
from rich.console import Console

from daemon.client import Client
from daemon.commands.knowledge_screens import screen_of, table_of
from daemon.commands.markdown import as_markdown
from daemon.commands.options import Config, Db, Json, RootOption, Socket, client_of
from daemon.errors import ConfigError, SessiondError, UnknownNameError, printable
from daemon.output import Commands, show
from daemon.query.formats import rows_of
from processors.verification.model import DETECTIONS, DOMAINS
from processors.verification.questions import (
    CANONICAL,
    CONTRADICTED,
    EVIDENCE,
    RELATED,
    REVIEWED,
    STATUSES,
    Filters,
    evidence_of,
    listed,
)

PROCESSOR = "verification"

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="What people told the assistant that everyone should know: list it, look at the evidence, decide.\n\n"
    "An item is [bold]pending[/bold] until somebody approves or rejects it. What likely says the same is one item "
    "with more evidence; a correction stands for itself. Each decision is recorded, and outlives reprocessing. "
    "The daemon may run or not.",
)

Item = Annotated[str, typer.Argument(metavar="ITEM", help="Its id, such as kv_0123456789ab.")]
Items = Annotated[list[str], typer.Argument(metavar="ITEM...", help="Ids, such as kv_0123456789ab.")]
Note = Annotated[str | None, typer.Option("--note", help="Why; kept with the decision.")]
Status = Annotated[str | None, typer.Option(metavar="STATUS", help=f"Only these: {', '.join(STATUSES)}.")]
Domain = Annotated[str | None, typer.Option(metavar="DOMAIN", help=f"Only of one: {', '.join(DOMAINS)}.")]
Category = Annotated[str | None, typer.Option("--type", metavar="TYPE", help=f"Only these: {', '.join(DETECTIONS)}.")]
User = Annotated[str | None, typer.Option(metavar="NAME", help="Only what this user stated.")]
Confidence = Annotated[
    float, typer.Option("--confidence", metavar="LEAST", help="Only as sure as this.", min=0, max=1)
]
Search = Annotated[str | None, typer.Option("--text", metavar="TEXT", help="Only with this in title or content.")]


def _filters(
    status: str | None, domain: str | None, category: str | None, user: str | None, least: float, text: str | None
) -> Filters:
    for name, value, known in (
        ("status", status, STATUSES),
        ("domain", domain, DOMAINS),
        ("type", category, DETECTIONS),
    ):
        if value is not None and value not in known:
            raise ConfigError(f"there is no {name} {printable(value)}", f"there are: {', '.join(known)}")
    return Filters(status, domain, category, user, least, text)


def _ask(client: Client, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
    try:
        table: pa.Table = client.query(sql, parameters)
    except SessiondError as error:
        if "no table 'knowledge_" not in str(error) and "no table 'verification_" not in str(error):
            raise
        raise ConfigError(
            "this database has no knowledge in it yet",
            "sessiond run, or sessiond scan, with the processor verification",
        ) from error
    return rows_of(table)


@app.command(name="list")
def list_items(
    status: Status = None,
    domain: Domain = None,
    category: Category = None,
    user: User = None,
    confidence: Confidence = 0.0,
    text: Search = None,
    limit: Annotated[int, typer.Option(help="The most items.", min=1)] = 100,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Items, the surest first."""
    filters = _filters(status, domain, category, user, confidence, text)
    sql, parameters = listed(filters, limit)
    found = _ask(client_of(root_option, db, config, socket), sql, parameters)
    names = ["id", "status", "confidence", "domain", "type", "title", "verifiers", "evidence"]
    rows = [
        [
            item["id"],
            item["status"],
            f"{item['confidence']:.2f}",
            item["domain"],
            item["category"],
            item["title"],
            item["verifiers"],
            item["evidence"],
        ]
        for item in found
    ]
    if json_output or not sys.stdout.isatty():
        show(_plain(found), json_output, names, rows)
        return
    Console().print(table_of(names, rows))


@app.command(name="show")
def show_item(
    item: Item,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """One item with its evidence, what is related to it or contradicts it, and what was decided."""
    whole = _whole(client_of(root_option, db, config, socket), item)
    if json_output:
        print(json.dumps(_plain(whole), indent=2))  # noqa: T201
    else:
        Console().print(screen_of(whole))


def _whole(client: Client, item: str) -> dict[str, Any]:
    found = _ask(client, "SELECT * FROM knowledge_items WHERE id = ?", [item])
    if not found:
        into = _ask(client, CANONICAL, [item])
        hint = f"it counts to {into[0]['canonical_id']}" if into else "sessiond knowledge list shows them"
        raise UnknownNameError(f"there is no item {printable(item)}", hint)
    return {
        **found[0],
        "evidence": _ask(client, EVIDENCE, [item]),
        "related": _ask(client, RELATED, [item] * 5),
        "contradictions": _ask(client, CONTRADICTED, [item] * 4),
        "reviews": _ask(client, REVIEWED, [item] * 2),
    }


def _plain(value: Any) -> Any:
    """As JSON has it: times as text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _decide(client: Client, action: str, items: list[str], note: str | None, *, json_output: bool) -> None:
    done, failed = [], 0
    for item in items:
        fields = {"item": item} | ({"note": note} if note is not None else {})
        try:
            done.append(client.order(PROCESSOR, action, fields))
        except (UnknownNameError, ConfigError) as error:
            failed += 1
            print(f"sessiond: {printable(error)}", file=sys.stderr)  # noqa: T201
    show(done, json_output, ["item", "was", "status"], [[each["item"], each["was"], each["status"]] for each in done])
    sys.exit(1 if failed else 0)


@app.command()
def approve(
    items: Items,
    note: Note = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Say that items are right. Exits with 1 if one of the items could not be decided on, and says why."""
    _decide(client_of(root_option, db, config, socket), "approve", items, note, json_output=json_output)


@app.command()
def reject(
    items: Items,
    note: Note = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Say that items are wrong, or of no use; what is stated likewise later counts to it and does not come back."""
    _decide(client_of(root_option, db, config, socket), "reject", items, note, json_output=json_output)


@app.command()
def reopen(
    items: Items,
    note: Note = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Make items pending again."""
    _decide(client_of(root_option, db, config, socket), "reopen", items, note, json_output=json_output)


@app.command()
def merge(
    item: Item,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The item that its evidence counts to from now on.")],
    note: Note = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Both say the same: the evidence of the first counts to the second."""
    _pair(client_of(root_option, db, config, socket), "merge", item, into, note, json_output=json_output)


@app.command()
def separate(
    item: Item,
    other: Annotated[str, typer.Argument(metavar="OTHER", help="An item that does not say the same.")],
    note: Note = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """They do not say the same: undoes a merge, and keeps them from being taken for one."""
    _pair(client_of(root_option, db, config, socket), "separate", item, other, note, json_output=json_output)


def _pair(client: Client, action: str, item: str, other: str, note: str | None, *, json_output: bool) -> None:
    fields = {"item": item, "other": other} | ({"note": note} if note is not None else {})
    done = client.order(PROCESSOR, action, fields)
    show(done, json_output, ["item", action, "other"], [[done["item"], "", done["other"]]])
    if not done["settled"]:
        print("sessiond: recorded; it shows once the daemon has worked it out", file=sys.stderr)  # noqa: T201


@app.command()
def export(
    status: Annotated[str, typer.Option(metavar="STATUS", help=f"{', '.join(STATUSES)}, or all.")] = "approved",
    domain: Domain = None,
    category: Category = None,
    user: User = None,
    confidence: Confidence = 0.0,
    text: Search = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write there, not to standard output.")
    ] = None,
    root_option: RootOption = None,
    db: Db = None,
    config: Config = None,
    socket: Socket = None,
    json_output: Json = False,
) -> None:
    """Items with their evidence, as Markdown, or with --json as JSON; the approved ones, if nothing else is said."""
    client = client_of(root_option, db, config, socket)
    filters = _filters(None if status == "all" else status, domain, category, user, confidence, text)
    evidence: dict[str, list[dict[str, Any]]] = {}
    for each in _ask(client, *evidence_of(filters)):
        evidence.setdefault(each["item_id"], []).append(each)
    items = [{**item, "evidence": evidence.get(item["id"], [])} for item in _ask(client, *listed(filters))]
    told = json.dumps(_plain(items), indent=2) if json_output else as_markdown(items)
    if output is None:
        print(told)  # noqa: T201
        return
    try:
        output.write_text(told + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {printable(output)}: {error.strerror}", "see --output") from error
