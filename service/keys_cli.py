"""The commands over keys: create, list, revoke. Parse, call, print."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from service.keys import KINDS, Key, KeyStore, Kind
from service.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

DONE, NEGATIVE = 0, 1
UNWRAPPED = 100_000
Run = Callable[[argparse.Namespace, Settings], int]

_MAY: dict[Kind, str] = {
    "widget": "ask, read articles and give feedback from pages of the origins; it is public and may stand in a page",
    "secret": "ask, read articles and give feedback from a server, also through the OpenAI-compatible API and MCP; keep it out of pages",
    "admin": "all that a secret key may, and /insights, /metrics and the snapshot; keep it with whoever runs the desk",
}
_ASK = """-H 'Content-Type: application/json' -d '{"question": "Will I owe money?"}' http://127.0.0.1:8000/v1/query"""


def run_keys(arguments: argparse.Namespace, settings: Settings) -> int:
    """Create a key, list them, or revoke one."""
    store = KeyStore(settings.home / "keys.sqlite")
    match arguments.action:
        case "create":
            return _create(arguments, store)
        case "list":
            return _list(arguments, store)
        case _:
            return _revoke(arguments, store)


def _create(arguments: argparse.Namespace, store: KeyStore) -> int:
    from rich.markup import escape

    key, text = store.create(arguments.kind, arguments.name, arguments.origin)
    if arguments.json:
        _print_json({**asdict(key), "key": text})
        return DONE
    out = _console()
    out.print(f"[bold]{text}[/]\n", soft_wrap=True)
    out.print("[yellow]This is shown once and kept nowhere.[/] Put it where it is used; below it is $KEY.\n")
    for name, value in _explained(key, arguments.home):
        out.print(f"  [bold cyan]{name:<9}[/]{escape(value)}", soft_wrap=True)  # unbroken, so that it can be copied
    return DONE


def _explained(key: Key, home: str | None) -> Iterator[tuple[str, str]]:
    yield "key", f"{key.id}, {key.name} ({key.kind})"
    yield "may", _MAY[key.kind]
    if key.origins:
        yield "origins", " ".join(key.origins)
    yield "try", 'curl -H "Authorization: Bearer $KEY" ' + _tried(key)
    yield "revoke", f"citedesk keys revoke {key.id}" + (f" --home {shlex.quote(home)}" if home else "")


def _tried(key: Key) -> str:
    match key.kind:
        case "widget":
            return f"-H 'Origin: {key.origins[0].replace('*', 'www')}' {_ASK}"
        case "secret":
            return _ASK
        case "admin":
            return "http://127.0.0.1:8000/insights"


def _list(arguments: argparse.Namespace, store: KeyStore) -> int:
    from rich.markup import escape
    from rich.table import Table

    keys = store.list()
    if arguments.json:
        for key in keys:
            _print_json(asdict(key), indent=None)
    elif keys:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("id", "kind", "name", "since", "revoked", "origins"):
            table.add_column(column, no_wrap=column != "origins", overflow="fold")
        for key in keys:
            row = (key.id, key.kind, key.name, key.created[:10], (key.revoked or "")[:10], " ".join(key.origins))
            table.add_row(*map(escape, row), style="dim" if key.revoked else None)
        _console().print(table)
    if not keys:
        print("citedesk: no keys yet; `citedesk keys create --kind secret --name NAME` makes one", file=sys.stderr)
    return DONE if keys else NEGATIVE


def _console() -> "Console":
    """Make a console; where its output is no terminal, lines are as long as they are."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=UNWRAPPED)


def _revoke(arguments: argparse.Namespace, store: KeyStore) -> int:
    # Whoever finds a key somewhere has its text, not its id. What was given is not repeated: it may be such a text.
    found = store.find(arguments.id)
    done = store.revoke(found.id if found else arguments.id)
    if not done:
        print("citedesk: no key in force is called that; `citedesk keys list` shows them", file=sys.stderr)
        return NEGATIVE
    if arguments.json:
        _print_json({"id": found.id if found else arguments.id, "revoked": True})
    else:
        print(f"{found.id if found else arguments.id}: revoked; a running desk refuses it within a second")
    return DONE


def _print_json(data: object, *, indent: int | None = 2) -> None:
    from service.cli import print_json

    print_json(data, indent=indent)


def add_keys(commands: Any, common: Callable[[argparse.ArgumentParser, Run], None]) -> None:  # noqa: ANN401
    """Add `citedesk keys` with its actions."""
    text = "The keys of a desk: who may ask, and from where."
    actions = commands.add_parser("keys", help=text, description=text).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    created = actions.add_parser("create", help="make a key and show it, this once")
    created.add_argument(
        "--kind", choices=KINDS, required=True,
        help="widget: public, for pages; secret: for servers; admin: for whoever runs the desk",
    )  # fmt: skip
    created.add_argument("--name", required=True, help="by which you know it again")
    created.add_argument(
        "--origin", action="extend", nargs="+", default=[], metavar="ORIGIN",
        help="a page that may use a widget key, such as https://help.example.com or https://*.example.com",
    )  # fmt: skip
    common(created, run_keys)
    common(actions.add_parser("list", help="one line a key, without its text"), run_keys)
    revoked = actions.add_parser("revoke", help="take a key out of force, for good")
    revoked.add_argument("id", metavar="ID", help="its id; the text of a key that leaked will do too")
    common(revoked, run_keys)
