"""`citedesk mcp`: the MCP server over standard input and output, for a client that starts it."""

import argparse
from collections.abc import Callable
from typing import Any

from service.settings import Settings

DONE = 0
Run = Callable[[argparse.Namespace, Settings], int]


def run_mcp(arguments: argparse.Namespace, settings: Settings) -> int:
    """Serve until the input ends.

    Standard output has the protocol alone, the log goes to standard error. Nothing that is asked is kept.
    """
    from index.milvus import retrievers
    from service.desk import Caller, Desk
    from service.logs import configure
    from service.mcp import make_server

    configure()
    whoever_started_it = Caller(key_id="local", kind="secret", door="mcp")
    desk = Desk(settings.home, risk=settings.risk, retriever=retrievers(settings.milvus))
    make_server(desk, local=whoever_started_it).run("stdio")
    return DONE


def add_mcp(
    commands: Any,  # noqa: ANN401  (argparse does not name its type)
    common: Callable[[argparse.ArgumentParser, Run], None],
) -> argparse.ArgumentParser:
    """Add `citedesk mcp`; give its parser, for the options that it shares with other commands."""
    text = "Answer a model's client over standard input and output, by the Model Context Protocol."
    parser: argparse.ArgumentParser = commands.add_parser("mcp", help=text, description=text)
    common(parser, run_mcp)
    return parser
