"""The command over the chat widget: the tag that puts it on a page."""

import argparse
import json
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlsplit

from service.settings import Settings, SettingsError

DONE = 0
Run = Callable[[argparse.Namespace, Settings], int]


def snippet(service: str, key: str, *, pinned: bool = True) -> str:
    """Write the tag that puts the widget on a page.

    :param service: The address of the running desk, such as `https://help.example`.
    :param key: The text of a widget key.
    :param pinned: Name the content's hash: a browser then runs this very file and no other, and keeps it for good; after
        an update of the desk the tag has to be written anew.
    :raises SettingsError: The address is none of the web, or the key is not one that may stand in a page.
    """
    parts = urlsplit(service)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"{service!r} is no address of a desk; give one such as https://help.example")
    if not key.startswith("cdw_"):
        raise SettingsError(
            "only a widget key may stand in a page, and its text begins with cdw_; "
            "`citedesk keys create --kind widget --name NAME --origin ORIGIN` makes one"
        )
    from service.api.widget import widget_file

    source = f"{service.rstrip('/')}/widget.js"
    attributes = [("src", source), ("data-key", key)]
    if pinned:
        file = widget_file()
        attributes = [
            ("src", f"{source}?v={file.version}"), ("integrity", file.integrity), ("crossorigin", "anonymous"),
            ("data-key", key),
        ]  # fmt: skip
    written = " ".join(f'{name}="{escape(value)}"' for name, value in attributes)
    return f"<script {written} async></script>"


def run_widget(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print the tag."""
    tag = snippet(arguments.service, arguments.key, pinned=not arguments.unpinned)
    print(json.dumps({"snippet": tag}, ensure_ascii=False) if arguments.json else tag)
    return DONE


def add_widget(commands: Any, common: Callable[[argparse.ArgumentParser, Run], None]) -> None:  # noqa: ANN401
    """Add `citedesk widget` with its actions."""
    text = "The chat widget: a help desk on any page, by one tag."
    actions = commands.add_parser("widget", help=text, description=text).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    shown = actions.add_parser("snippet", help="print the tag that puts the widget on a page")
    shown.add_argument("--service", required=True, metavar="URL", help="where the desk runs, as a page reaches it")
    shown.add_argument("--key", required=True, help="the text of a widget key, which `citedesk keys create` shows once")
    shown.add_argument(
        "--unpinned", action="store_true",
        help="without the integrity hash: the page follows updates of the desk by itself, and checks for them at each load",
    )  # fmt: skip
    common(shown, run_widget)
