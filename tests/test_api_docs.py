"""The lines of docs/api.md are run as they stand there."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from desk_client import LARGE, new_key
from homes import OTHERS, article, home_of
from live import live

from service.app import create_app
from service.cli import _parser
from service.server_settings import ServerSettings

TEXT = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
# The shell ends where a line fails, and so does curl where the server refuses.
BEFORE = 'set -euo pipefail; curl() { command curl -sS --fail-with-body --max-time 20 "$@"; }\n'


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The address of a desk that knows of Kraken's holds, and a key."""
    held = article("holds", "Kraken holds withdrawals for 72 hours after your first purchase by card.", exchange="Kraken",
                   title="Why is my Kraken withdrawal on hold?")  # fmt: skip
    home = home_of(tmp_path_factory.mktemp("docs") / "home", [*OTHERS, held])
    key = new_key(home)
    with live(create_app(home, ServerSettings(**LARGE))) as address:
        yield address, key


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not on this machine")
@pytest.mark.parametrize("lines", [pytest.param(block, id=f"block-{n}") for n, block in enumerate(blocks("sh"))])
def test_what_the_shell_is_told_works(desk, lines):
    address, key = desk
    environment = {**os.environ, "URL": address, "KEY": key}
    ran = subprocess.run(["bash", "-c", BEFORE + lines], capture_output=True, text=True, timeout=60, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_what_python_is_told_works(desk, capsys):
    pytest.importorskip("openai")
    address, key = desk
    for block in blocks("python"):
        exec(block.replace("http://127.0.0.1:8000", address), {"KEY": key})
    assert "72 hours" in capsys.readouterr().out


def test_what_is_json_is_json_and_starts_our_command():
    whole = [json.loads(block) for block in blocks("json") if "…" not in block]
    (server,) = (block["mcpServers"]["citedesk"] for block in whole if "mcpServers" in block)
    assert server["command"] == "citedesk"
    assert _parser().parse_args(server["args"]).command == "mcp"
