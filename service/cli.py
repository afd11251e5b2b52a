"""The command line: parse, call, print. Nothing here decides anything."""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from index.filters import Filters
from index.snapshot import HeldError, Snapshot, SnapshotError, SnapshotShelf
from ingest.article import IngestError, Trust
from service.cluster_cli import add_cluster, connected
from service.corpus_cli import add_articles, add_ingest, add_sources, own_exchanges, run_ingest
from service.insights_cli import add_insights
from service.keys_cli import add_keys
from service.llm import attach
from service.mcp_cli import add_mcp
from service.question import QuestionError
from service.settings import DEFAULT_RISK, Settings, SettingsError, parse_risk, read_settings
from service.widget_cli import add_widget

if TYPE_CHECKING:
    from service.assistant import Assistant

DONE, NEGATIVE, BROKEN = 0, 1, 2
LAST_PORT = 65_535


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code: 0 done, 1 a negative outcome, 2 wrong use or broken input."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of another encoding gets a ? for what it cannot show
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace, Settings], int] = arguments.run
    try:
        outcome = run(arguments, read_settings(arguments.home, getattr(arguments, "risk", None)))
        sys.stdout.flush()
        return outcome
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: nothing is left to flush
        return DONE
    except _errors() as error:
        print(f"citedesk: {error}", file=sys.stderr)
        return NEGATIVE if isinstance(error, HeldError) else BROKEN
    except OSError as error:
        print(f"citedesk: {error}; check the path, its rights and the disk's space", file=sys.stderr)
        return BROKEN


def _errors() -> tuple[type[Exception], ...]:
    from index.encoder import EncoderError
    from ingest.cluster import ClusterError
    from service.evaluation.questions import EvaluationError
    from service.keys import KeysError
    from service.question_log import QuestionLogError

    ours = (SnapshotError, IngestError, QuestionError, EncoderError, EvaluationError, SettingsError)
    return (*ours, ClusterError, KeysError, QuestionLogError)


def _ask(arguments: argparse.Namespace, settings: Settings) -> int:
    answer = _assistant(settings).ask(
        arguments.question,
        exchange=arguments.exchange,
        language=arguments.language,
        page_url=arguments.page_url,
        history=arguments.history,
        only=_only(arguments),
    )
    if arguments.json:
        print_json(asdict(answer))
    else:
        from service.render import print_answer

        print_answer(answer)
    return DONE if answer.status == "answered" else NEGATIVE


def _only(arguments: argparse.Namespace) -> Filters:
    def chosen(values: list[str]) -> frozenset[Any] | None:
        return frozenset(values) if values else None

    return Filters(
        languages=chosen(arguments.articles_in), trusts=chosen(arguments.trust), products=chosen(arguments.product)
    )


def _chat(arguments: argparse.Namespace, settings: Settings) -> int:
    from service.render import print_answer

    assistant = _assistant(settings)
    history: list[str] = []
    if not arguments.json:
        print("Ask a question; an empty line or Ctrl-D ends the chat.")
    while True:
        try:
            question = input("" if arguments.json else "\n› ")
        except EOFError:
            return DONE
        if not question.strip():
            return DONE
        try:
            answer = assistant.ask(
                question, exchange=arguments.exchange, language=arguments.language, page_url=arguments.page_url,
                history=history, only=_only(arguments),
            )  # fmt: skip
        except QuestionError as error:
            print(f"citedesk: {error}", file=sys.stderr)
            continue
        if arguments.json:
            print_json(asdict(answer), indent=None)
        else:
            print_answer(answer)
        history.append(question)


def _build(arguments: argparse.Namespace, settings: Settings) -> int:
    from ingest.exchanges import load_directory, shipped_path

    directory = own_exchanges(settings.home) or shipped_path()
    load_directory(directory)  # refused before it is in a snapshot, from which nothing could be answered then

    from index.build import build
    from index.weights import exported
    from service import read_ahead
    from service.progress import Progress

    with Progress() as progress, connected(arguments, progress.say) as cluster:
        progress.say(f"encoder {arguments.encoder}")
        folder = exported(arguments.encoder, settings.cache)
        # The encoder of many languages is helped by one of English alone, see index/second.py.
        second = exported("minilm", settings.cache) if arguments.encoder == "e5" else None
        text = directory.read_text(encoding="utf-8")
        send = _sender(settings, progress.stage)
        built = build(
            settings.home,
            folder,
            text,
            progress.stage,
            second_folder=second,
            addition=read_ahead.addition(folder, settings.read_ahead),
            before_publishing=send,
            cluster=cluster,
        )
        if not built.published:  # Milvus may be new, or have lost it
            send(SnapshotShelf(settings.home).open())
    counts = built.manifest.counts
    if arguments.json:
        print_json(
            {"snapshot_id": built.manifest.id, "counts": counts, "encoded": built.encoded, "built": built.published}
        )
        return DONE
    what = f"{counts['articles']} articles, {counts['passages']} passages, {counts['sentences']} sentences"
    if built.published:
        print(f"published {built.manifest.id}: {what}; {built.encoded} texts encoded anew")
    else:
        print(f"unchanged: {built.manifest.id} already holds this corpus ({what})")
    return DONE


def _sender(
    settings: Settings, progress: Callable[[str, int, int], None] = lambda *_: None
) -> Callable[[Snapshot], None]:
    """Give what brings a snapshot into Milvus and says what it did, if there is one."""

    def send(snapshot: Snapshot) -> None:
        if settings.milvus is None:
            return
        from index.milvus_store import put

        sent = put(snapshot, SnapshotShelf(settings.home), settings.milvus, progress)
        told = f"{sent.upserted} rows sent, {sent.deleted} deleted, {sent.kept} as they were"
        print(f"citedesk: Milvus holds {snapshot.id}: {told}", file=sys.stderr)

    return send


def _eval(arguments: argparse.Namespace, settings: Settings) -> int:
    from rich.console import Console

    from service.evaluation.comparison import compare, read_result
    from service.evaluation.report import write_report
    from service.evaluation.run import append_result, evaluate, read_questions
    from service.evaluation.tables import print_comparison, print_table
    from service.progress import Progress

    questions = read_questions(arguments.questions)
    before = read_result(arguments.compare) if arguments.compare else None
    with Progress() as progress:
        result = evaluate(_assistant(settings), questions, on_outcome=lambda _: progress.count("asked"))
    append_result(result, arguments.log or settings.home / "evaluations.jsonl")
    if arguments.report:
        write_report(result, arguments.report)
    if arguments.json:
        print_json(result.as_json())
        return result.exit_code
    print_table(result, Console(highlight=False))
    if before is not None:
        print_comparison(compare(before, result.as_json()), Console(highlight=False))
    if arguments.report:
        print(f"report: {arguments.report}")
    return result.exit_code


def _snapshots(arguments: argparse.Namespace, settings: Settings) -> int:
    shelf = SnapshotShelf(settings.home)
    match arguments.action:
        case "list":
            return _list_snapshots(shelf, as_json=arguments.json)
        case "verify":
            snapshot = shelf.open(arguments.id)
            outcome = {"snapshot_id": snapshot.id, "files": len(snapshot.manifest.files), "ok": True}
            _say(arguments, outcome, f"{snapshot.id}: all {outcome['files']} files are as the manifest says")
        case _:
            before = _published(shelf)
            now = shelf.rollback(arguments.id, before_publishing=_sender(settings))
            was = before or "none that can be read"
            _say(arguments, {"snapshot_id": now, "before": before}, f"{now} is published now; before it was {was}")
    return DONE


def _published(shelf: SnapshotShelf) -> str | None:
    """Give the published snapshot's id; a damaged CURRENT names none, and a rollback mends it."""
    try:
        return shelf.current()
    except SnapshotError:
        return None


def _list_snapshots(shelf: SnapshotShelf, *, as_json: bool) -> int:
    from index.snapshot import read_manifest

    current, rows = _published(shelf), []
    for snapshot_id in shelf.ids():
        manifest = read_manifest(shelf.folder / snapshot_id)
        rows.append(
            {"id": snapshot_id, "created": manifest.created, "published": snapshot_id == current, **manifest.counts}
        )
    if as_json:
        print_json(rows)
    for row in [] if as_json else rows:
        mark = "*" if row["published"] else " "
        print(
            f"{mark} {row['id']}  {row['articles']} articles, {row['passages']} passages, {row['sentences']} sentences"
        )
    if not rows and not as_json:
        print(f"no snapshots in {shelf.folder}; `citedesk build` makes one")
    return DONE if rows else NEGATIVE


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    from service.server import is_free, serve
    from service.server_settings import read_server_settings

    names = ("host", "port", "workers", "redis", "demo")
    server = read_server_settings(**{name: getattr(arguments, name) for name in names})
    if not is_free(server.host, server.port):
        raise SettingsError(
            f"{server.host}:{server.port} cannot be listened on; is another server there? Give another --port"
        )
    _say_how_locked(settings, server.host, server.port, demo=server.demo)
    serve(settings, server)
    return DONE


def _say_how_locked(settings: Settings, host: str, port: int, *, demo: bool) -> None:
    from service.keys import KeyStore

    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    keys = [key for key in KeyStore(settings.home / "keys.sqlite").list() if not key.revoked]
    print(f"citedesk answers on {address}/ (Ctrl-C ends it)")
    if demo:
        print(
            f"  demo          {address}/ asks with a key of its own, which holds for this page alone and ends with the server\n"
            f"  chat widget   {address}/help shows it on a help page"
        )
    if keys:
        kinds = ", ".join(f"{sum(key.kind == kind for key in keys)} {kind}" for kind in ("widget", "secret", "admin"))
        print(f"  everything else needs a key; there are: {kinds} (`citedesk keys list`)")
    else:
        print("  everything else needs a key, and there is none yet; make one:")
        print(f"    citedesk keys create --home {settings.home} --kind secret --name trial")
    print(f"  open to all   {address}/healthz", flush=True)


def _assistant(settings: Settings) -> "Assistant":
    from index.milvus import retrievers
    from service.assistant import Assistant

    snapshot = SnapshotShelf(settings.home).open()
    return Assistant(snapshot, risk=settings.risk, retriever=retrievers(settings.milvus)(snapshot), model=attach())


def _say(arguments: argparse.Namespace, data: dict[str, Any], text: str) -> None:
    if arguments.json:
        print_json(data)
    else:
        print(text)


def print_json(data: object, *, indent: int | None = 2) -> None:
    """Print an object as JSON, in ASCII where the terminal's encoding has no more."""
    encoding = (sys.stdout.encoding or "ascii").lower()
    print(json.dumps(data, ensure_ascii=not encoding.startswith("utf"), indent=indent))


def _text(argument: str) -> str:
    """Replace the bytes of an argument that are no text."""
    return argument.encode("utf-8", "replace").decode()


def _risk(argument: str) -> float:
    try:
        return parse_risk(argument)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _port(argument: str) -> int:
    if not argument.isascii() or not argument.isdigit() or int(argument) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{argument!r} is no port; a number from 0 to {LAST_PORT} is expected")
    return int(argument)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="citedesk", description="Answers questions from help articles, with the exact passage as proof."
    )
    parser.add_argument("--version", action="version", version=f"citedesk {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace, Settings], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        _common(sub, run)
        return sub

    add_ingest(command("ingest", run_ingest, "Read pages into the corpus."))
    build = command("build", _build, "Build a snapshot of the corpus and publish it.")
    build.add_argument("--encoder", default="e5", help="e5 (default), minilm, or a sentence-transformers id or folder")
    add_cluster(build, "encode")
    ask = command("ask", _ask, "Answer a question.")
    ask.add_argument("question", type=_text, metavar="QUESTION")
    ask.add_argument(
        "--history",
        type=_text,
        action="append",
        default=[],
        metavar="QUESTION",
        help="an earlier question, oldest first",
    )
    chat = command("chat", _chat, "Ask one question after another.")
    for sub in (ask, chat):
        sub.add_argument("--exchange", type=_text, help="the exchange that the answer is bound to")
        sub.add_argument("--language", type=_text, help="the language of the question, as a code")
        sub.add_argument("--page-url", type=_text, help="the help page that the asker stands on")
        several: dict[str, Any] = {"action": "append", "default": []}
        sub.add_argument(
            "--trust", choices=get_args(Trust), help="quote only such pages; may be given again", **several
        )
        sub.add_argument("--product", type=_text, help="quote only pages about it; may be given again", **several)
        sub.add_argument(
            "--articles-in",
            type=_text,
            metavar="LANGUAGE",
            help="quote only pages in it; may be given again",
            **several,
        )
    evaluate = command("eval", _eval, "Ask every question of a file and score the answers.")
    evaluate.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    evaluate.add_argument("--report", type=Path, metavar="FILE.html", help="write one self-contained page with plots")
    evaluate.add_argument(
        "--compare", type=Path, metavar="FILE", help="show what changed since a run saved by --json or --log"
    )
    evaluate.add_argument(
        "--log", type=Path, metavar="FILE", help="append the result here (default: HOME/evaluations.jsonl)"
    )
    serve = command("serve", _serve, "Answer over HTTP.")
    serve.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="port to listen on (default 8000)")
    serve.add_argument(
        "--workers", type=int, metavar="N", help="processes that answer (default 1); several need --redis"
    )
    serve.add_argument("--redis", metavar="URL", help="where several processes share limits and conversations")
    serve.add_argument("--demo", action="store_true", default=None, help="show the demo page at /")
    for sub in (ask, chat, evaluate, serve):
        sub.add_argument(
            "--risk", type=_risk, metavar="SHARE",
            help=f"the share of answerable questions that may be refused so that more of the others are ({DEFAULT_RISK})",
        )  # fmt: skip
    _nested(
        commands,
        "snapshots",
        _snapshots,
        "The snapshots of a home.",
        {"list": None, "verify": False, "rollback": False},
    )
    add_articles(commands, _common)
    add_sources(commands, _common)
    add_mcp(commands, _common)
    add_keys(commands, _common)
    add_widget(commands, _common)
    add_insights(commands, _common)
    return parser


def _version() -> str:
    from importlib.metadata import version

    return version("citedesk")


def _nested(
    commands: Any,  # noqa: ANN401  (argparse does not name its type)
    name: str,
    run: Callable[[argparse.Namespace, Settings], int],
    text: str,
    actions: dict[str, bool | None],
) -> None:
    """Add a command with actions; an action takes an ID never (None), if one likes (False) or always (True)."""
    inner = commands.add_parser(name, help=text, description=text).add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    for action, takes_id in actions.items():
        sub = inner.add_parser(action)
        _common(sub, run)
        if takes_id is not None:
            sub.add_argument("id", type=_text, metavar="ID", nargs=None if takes_id else "?")


def _common(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace, Settings], int]) -> None:
    parser.add_argument("--home", metavar="DIR", help="where the corpus and the snapshots are")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


if __name__ == "__main__":
    sys.exit(main())
