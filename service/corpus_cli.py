"""The commands over the corpus: ingest, and articles list, show and history. Parse, call, print."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ingest.article import IngestError
from service.cluster_cli import add_cluster, connected
from service.settings import Settings

DONE, NEGATIVE, BROKEN = 0, 1, 2
#: Problems that a terminal shows one by one; `--json` has more.
SHOWN = 20
Run = Callable[[argparse.Namespace, Settings], int]


def run_ingest(arguments: argparse.Namespace, settings: Settings) -> int:
    """Read sources into the corpus.

    Gives 2 for a broken file or crawl, 1 where nothing was read or a source is held back, else 0: a web site of a thousand pages always
    has one that cannot be read, and a build must not wait for it.
    """
    from ingest.exchanges import load_directory
    from ingest.pipeline import archived_sources, ingest
    from ingest.sources import find_sources
    from ingest.store import CorpusStore
    from service.progress import Progress

    if not arguments.source and not arguments.from_archive:
        arguments.wrong_use("give a SOURCE: a file, a folder, a web address or a sources.toml")
    given = {name: value for name in _SETTINGS if (value := getattr(arguments, name)) is not None}
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    sources = [
        source
        for argument in arguments.source
        for source in find_sources(argument, kind=arguments.kind, **given | lists)
    ]
    directory = load_directory(own_exchanges(settings.home))
    with (
        CorpusStore(settings.home / "corpus.sqlite") as store,
        Progress() as progress,
        connected(arguments, progress.say) as cluster,
    ):
        report = ingest(
            sources or archived_sources(store), store, directory, progress.ingest, accept_loss=arguments.accept_loss,
            from_archive=arguments.from_archive, cluster=cluster,
        )  # fmt: skip
    shown = report.problems if arguments.json else report.problems[:SHOWN]
    for problem in shown:
        print(f"citedesk: {problem}", file=sys.stderr)
    if report.problem_count > len(shown):
        print(f"citedesk: … and {report.problem_count - len(shown)} more; --json names them", file=sys.stderr)
    for note in report.notes:
        print(f"citedesk: {note}", file=sys.stderr)
    for name, why in report.held.items():
        print(
            f"citedesk: {name}: {why}; nothing was taken out, and `citedesk build` waits. If this is right, run the ingest "
            "again with --accept-loss",
            file=sys.stderr,
        )
    if arguments.json:
        from service.cli import print_json

        print_json(asdict(report))
    else:
        _print_report(report)
    if report.broken_files or report.broken_crawls:
        return BROKEN
    return DONE if report.read and not report.held else NEGATIVE


def _print_report(report: Any) -> None:  # noqa: ANN401  (ingest.pipeline.Report, which is slow to import)
    parts = [f"{report.new} new", f"{report.changed} changed", f"{report.unchanged} unchanged"]
    parts += [f"{count} {name}" for name, count in (("moved", report.moved), ("gone", report.gone)) if count]
    print(", ".join([*parts, f"{report.problem_count} not read"]))
    if report.outcomes:
        rate = sum(report.outcomes.values()) / max(report.seconds, 0.001)
        asked = ", ".join(f"{count} {name}" for name, count in sorted(report.outcomes.items(), key=lambda i: -i[1]))
        print(f"crawl: {asked}; {report.seconds:.0f} s, {rate:.1f} a second")
    if report.duplicates or report.suspects:
        print(f"not searched: {report.duplicates} duplicates, {report.suspects} from look-alike sites")


def run_articles(arguments: argparse.Namespace, settings: Settings) -> int:
    """List articles, show one, or tell what happened to one."""
    with _opened(settings) as store:
        match arguments.action:
            case "list":
                return _list(arguments, store)
            case "show":
                return _show(arguments, store)
            case _:
                return _history(arguments, store)


def run_sources(arguments: argparse.Namespace, settings: Settings) -> int:
    """List the sources of the corpus, or take one out with its articles."""
    from ingest.follow import remove_source
    from service.cli import print_json

    with _opened(settings) as store:
        if arguments.action == "remove":
            removed = remove_source(arguments.name, store)
            if arguments.json:
                print_json({"source": arguments.name, "gone": removed})
            else:
                print(f"{arguments.name}: {removed} articles taken out; `citedesk build` publishes that")
            return DONE
        rows = store.state().sources()
    for name, finished, held, articles in rows:
        if arguments.json:
            print_json({"name": name, "finished": finished, "held": held, "articles": articles}, indent=None)
        else:
            print(
                f"{name}  {articles} articles, read {finished or 'never to its end'}"
                + (f"  HELD BACK: {held}" if held else "")
            )
    return DONE if rows else NEGATIVE


def _opened(settings: Settings) -> Any:  # noqa: ANN401  (ingest.store.CorpusStore)
    from ingest.store import CorpusStore

    path = settings.home / "corpus.sqlite"
    if not path.exists():
        raise IngestError(f"{path}: no corpus yet; run `citedesk ingest SOURCE` with this --home")
    return CorpusStore(path)


def _list(arguments: argparse.Namespace, store: Any) -> int:  # noqa: ANN401
    which = {"since": arguments.since, "lately": arguments.changed}
    changes = bool(arguments.since or arguments.changed)
    count = 0
    for row in store.rows(status=arguments.status, origin=arguments.source, **which):
        count += 1
        happened = store.history(row.id, since=arguments.since or "", lately=arguments.changed) if changes else []
        if arguments.json:
            from service.cli import print_json

            told = {"events": [asdict(event) for event in happened]} if changes else {}
            print_json({**asdict(row), **told}, indent=None)
            continue
        status = "" if row.status == "active" else f"  ({row.status})"
        print(f"{row.id}  [{row.exchange or '–'}]  {row.title}{status}")
        for event in happened:
            print(f"    {event.at}  {event.kind}  {event.detail}")
    if not count:
        narrowed = changes or arguments.status or arguments.source
        advice = " like that" if narrowed else " yet; run `citedesk ingest SOURCE` with this --home"
        print(f"citedesk: {'nothing changed' if changes else 'no articles' + advice}", file=sys.stderr)
    return DONE if count else NEGATIVE


def _show(arguments: argparse.Namespace, store: Any) -> int:  # noqa: ANN401
    stored = _found(arguments, store)
    if arguments.json:
        from service.cli import print_json

        print_json(
            {**asdict(stored.article), "text": stored.article.text, "source": stored.source, "status": stored.status,
             "why": stored.why, "speaker": stored.speaker}
        )  # fmt: skip
    else:
        from service.render import print_article

        print_article(stored)
    return DONE


def _history(arguments: argparse.Namespace, store: Any) -> int:  # noqa: ANN401
    stored = _found(arguments, store)
    events = store.history(arguments.id)
    pages = store.state().pages_of(arguments.id)
    if arguments.json:
        from service.cli import print_json

        told = [
            {"url": p.url, "status": p.status, "error": p.error, "fetched": p.fetched, "gone": p.gone} for p in pages
        ]
        print_json({"id": arguments.id, "status": stored.status, "events": [asdict(e) for e in events], "pages": told})
        return DONE
    print(f"{stored.article.title}  ({stored.status})")
    for event in events:
        print(f"{event.at}  {event.kind:<9}  {event.detail}")
    for page in pages:
        state = page.error or ("gone" if page.gone else f"HTTP {page.status}" if page.status else "read")
        print(f"page {page.url}: {state}" + (f", last fetched {page.fetched}" if page.fetched else ""))
    return DONE


def _found(arguments: argparse.Namespace, store: Any) -> Any:  # noqa: ANN401
    stored = store.get(arguments.id)
    if stored is None:
        raise IngestError(f"{arguments.id}: no such article; `citedesk articles list` shows those that there are")
    return stored


def add_ingest(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `citedesk ingest`."""
    parser.add_argument(
        "source",
        nargs="*",
        metavar="SOURCE",
        help="a file (.html, .txt, .md, .pdf, .jsonl, .warc.gz), a folder, a web address, a .txt of addresses, or a sources.toml",
    )
    parser.set_defaults(wrong_use=parser.error)
    kinds = ("page", "site", "sitemap", "feed", "zendesk", "intercom")
    parser.add_argument("--as", dest="kind", choices=kinds, help="what a web address is; guessed where it is not given")
    parser.add_argument(
        "--from-archive",
        action="store_true",
        help="clean the archived pages again and fetch nothing; all of them without SOURCE",
    )
    parser.add_argument(
        "--accept-loss", action="store_true", help="take out what left a source, however much it is at once"
    )
    add_cluster(parser, "clean pages")
    web = parser.add_argument_group("how a SOURCE is read (a sources.toml says it for each source)")
    web.add_argument(
        "--include", action="append", metavar="PATTERN", help="read only what matches, such as '/hc/en-us/*'"
    )
    web.add_argument("--exclude", action="append", metavar="PATTERN", help="read nothing that matches")
    web.add_argument("--exchange", help="the exchange that every page is about, where it does not say it itself")
    web.add_argument("--max-pages", type=_count, metavar="N", help="pages that are fetched at most (default 50000)")
    web.add_argument(
        "--max-depth", type=_depth, metavar="N", help="links that are followed from the start (default 20)"
    )
    web.add_argument("--delay", type=_seconds, metavar="SECONDS", help="between two requests to a host (default 0.25)")
    web.add_argument(
        "--locale", action="append", dest="locales", help="of a Zendesk help centre: read only this locale"
    )
    web.add_argument("--contact", metavar="URL", help="what the user agent names as the address of who runs the crawl")
    web.add_argument("--javascript", action="store_const", const=True, help="let a browser build the pages first")
    web.add_argument(
        "--allow-private", action="store_const", const=True, help="allow private, loopback and link-local addresses"
    )
    web.add_argument(
        "--allow-lookalikes", action="store_const", const=True, help="let in sites that look like an official one"
    )


_SETTINGS = (
    "include", "exclude", "exchange", "locales", "contact", "max_pages", "max_depth", "delay", "javascript", "allow_private", "allow_lookalikes",
)  # fmt: skip


def add_articles(commands: Any, common: Callable[[argparse.ArgumentParser, Run], None]) -> None:  # noqa: ANN401
    """Add `citedesk articles` with its actions."""
    text = "The articles of the corpus."
    actions = commands.add_parser("articles", help=text, description=text).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    listed = actions.add_parser("list", help="one line an article")
    listed.add_argument("--changed", action="store_true", help="those to which something happened in the last ingest")
    listed.add_argument("--since", type=_time, metavar="DATE", help="those to which something happened since a date")
    listed.add_argument("--status", choices=("active", "gone", "duplicate", "suspect"), help="those of this status")
    listed.add_argument("--source", metavar="NAME", help="those of one source")
    common(listed, run_articles)
    for name, help_text in (("show", "one article as it was cleaned"), ("history", "what happened to one, and when")):
        sub = actions.add_parser(name, help=help_text)
        sub.add_argument("id", metavar="ID", type=lambda text: text.encode("utf-8", "replace").decode())
        common(sub, run_articles)


def add_sources(commands: Any, common: Callable[[argparse.ArgumentParser, Run], None]) -> None:  # noqa: ANN401
    """Add `citedesk sources` with its actions."""
    text = "The sources of the corpus."
    actions = commands.add_parser("sources", help=text, description=text).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    common(actions.add_parser("list", help="one line a source"), run_sources)
    removed = actions.add_parser("remove", help="take a source out, with the articles that no other source stands for")
    removed.add_argument("name", metavar="NAME", type=lambda text: text.encode("utf-8", "replace").decode())
    common(removed, run_sources)


def _count(argument: str) -> int:
    if not argument.isascii() or not argument.isdigit() or not int(argument):
        raise argparse.ArgumentTypeError(f"{argument!r} is not a whole number from 1")
    return int(argument)


def _depth(argument: str) -> int:
    return 0 if argument == "0" else _count(argument)


def _seconds(argument: str) -> float:
    try:
        value = float(argument)
    except ValueError:
        value = -1.0
    if not 0 <= value <= timedelta(hours=1).total_seconds():
        raise argparse.ArgumentTypeError(f"{argument!r} is not a number of seconds from 0 to 3600")
    return value


def _time(argument: str) -> str:
    try:
        moment = datetime.fromisoformat(argument)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{argument!r} is not a date; give one like 2026-05-01") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def own_exchanges(home: Path) -> Path | None:
    """Give the operator's own list of exchanges, if there is one."""
    own = home / "exchanges.toml"
    return own if own.exists() else None
