"""The files for deploying: that they name what there is, and that the image which serves has what serving needs."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from desk_client import new_key
from homes import OTHERS, fast_encoder, home_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.cli import _parser
from service.llm.settings import ModelSettings
from service.metrics import Metrics
from service.server import GRACE, KEEP_ALIVE
from service.server_settings import ServerSettings
from service.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "service" / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
UNIT = (DEPLOY / "citedesk.service").read_text(encoding="utf-8")
NGINX = (DEPLOY / "nginx.conf").read_text(encoding="utf-8")
SETTINGS = {f"CITEDESK_{name.upper()}" for name in (*ServerSettings.model_fields, *Settings.__slots__)}


def instructions(name):
    return [line.removeprefix(name).strip() for line in DOCKERFILE.splitlines() if line.startswith(f"{name} ")]


# ---- the image


def copied():
    for line in instructions("COPY"):
        if not line.startswith("--from"):
            yield from line.split()[:-1]


def test_what_the_image_is_made_of_is_there_and_is_not_ignored():
    ignored = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line and line[0] != "#"
    ]
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    for source in copied():
        assert (ROOT / source).exists(), source
        assert any(source == name or source.startswith(f"{name}/") for name in let_in), source
    assert all((ROOT / name).exists() for name in let_in)


def test_the_wheel_is_made_of_what_is_copied():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*packages["packages"], *packages["force-include"]} <= set(copied())


def test_the_image_runs_as_nobody_and_what_it_runs_is_a_command_of_ours():
    serve = DOCKERFILE.split("AS serve")[1]
    assert re.search(r"^USER 10001:10001$", serve, re.MULTILINE)
    words = json.loads(re.search(r"^ENTRYPOINT (.*)$", serve, re.MULTILINE)[1]) + json.loads(
        re.search(r"^CMD (\[.serve.\])$", serve, re.MULTILINE)[1]
    )
    assert words[0] == "citedesk"
    assert _parser().parse_args(words[1:]).command == "serve"


def test_the_images_say_only_what_is_a_setting():
    assert set(re.findall(r"CITEDESK_\w+", DOCKERFILE)) <= SETTINGS


def test_the_health_of_a_container_is_asked_in_python():
    command = json.loads(re.search(r"HEALTHCHECK.*? CMD (\[.*\])", DOCKERFILE)[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "healthcheck", "exec")
    away = subprocess.run([sys.executable, *command[1:]], env={"CITEDESK_PORT": "9"}, capture_output=True, timeout=30)
    assert away.returncode == 1


@pytest.mark.parametrize(
    "line", re.findall(r"^#\s+(?:docker run .*?) citedesk(?:-build)? (.*)$", (DEPLOY / "Dockerfile").read_text(), re.M)
)
def test_the_commands_that_the_dockerfile_tells_are_ours(line):
    _parser().parse_args(shlex.split(line))


# ---- what serving needs


def serving():
    lines = (DEPLOY / "serving.txt").read_text(encoding="utf-8").splitlines()
    return [canonicalize_name(line) for line in lines if line and not line.startswith("#")]


# The extras that are asked for, by package.
EXTRAS = {}


def needed(names):
    """All that packages need, and what that needs; their extras are left out."""
    found, left = set(), list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        found.add(name)
        try:
            lines = requires(name) or ()
        except PackageNotFoundError:
            continue  # of another platform
        for requirement in map(Requirement, lines):
            extras = [{"extra": ""}, *({"extra": extra} for extra in EXTRAS.get(name, ()))]
            if requirement.marker is None or any(requirement.marker.evaluate(extra) for extra in extras):
                left.append(requirement.name)
                EXTRAS.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return found


def test_what_serves_is_a_part_of_what_the_project_needs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = project["dependencies"] + project["optional-dependencies"]["trace"]
    assert set(serving()) <= {canonicalize_name(Requirement(line).name) for line in named}


# Nothing may be imported but what is in the image.
SERVING = """
import json, sys
home, key, hidden = sys.argv[1], sys.argv[2], set(json.loads(sys.argv[3]))

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
import os
os.environ["OTEL_TRACES_EXPORTER"] = "console"
import asyncio
from pathlib import Path
from service.cli import _parser
from service.server import create_app, serve
_parser()
app = create_app(Path(home))

async def call(method, path, body=None):
    sent, data = [], json.dumps(body).encode() if body is not None else b""
    headers = [(b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json"),
               (b"accept", b"application/json, text/event-stream" if path == "/mcp" else b"*/*")]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "root_path": "", "asgi": {"version": "3.0"}}
    given = [{"type": "http.request", "body": data, "more_body": False}]
    async def receive():
        return given.pop() if given else await asyncio.Event().wait()
    async def send(message):
        sent.append(message)
    await app(scope, receive, send)
    return path, sent[0]["status"]

async def main():
    async with app.router.lifespan_context(app):
        question = {"question": "what is the taker fee on mirador?"}
        chat = {"model": "citedesk", "messages": [{"role": "user", "content": "what is the taker fee on mirador?"}]}
        tools = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        calls = [("POST", "/v1/query", question), ("POST", "/v1/chat/completions", chat), ("GET", "/v1/suggest"), ("GET", "/metrics"),
                 ("GET", "/insights"), ("GET", "/openapi.json"), ("GET", "/v1/snapshot"), ("GET", "/readyz")]
        calls += [("POST", "/mcp", tools)] if any(getattr(route, "path", "") == "/mcp" for route in app.router.routes) else []
        print(json.dumps([await call(*one) for one in calls]))

asyncio.run(main())
"""


def test_the_image_that_serves_has_all_that_serving_imports(tmp_path):
    home = home_of(tmp_path / "home", OTHERS)
    inside = needed(serving()) | {"citedesk", "setuptools"}
    by_module = packages_distributions()
    hidden = [
        module
        for module, names in by_module.items()
        if not any(canonicalize_name(name) in inside for name in names) and module not in sys.stdlib_module_names
    ]
    assert {"torch", "scrapy", "twisted", "trafilatura", "pytest"} <= set(hidden)
    told = subprocess.run(
        [sys.executable, "-c", SERVING, home, new_key(home, "admin"), json.dumps(hidden)],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-3000:]
    assert {status for _, status in json.loads(told.stdout)} == {200}, told.stdout


# ---- systemd


def test_the_unit_starts_a_command_of_ours_and_lets_requests_end():
    program, *words = shlex.split(re.search(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)[1])
    assert program.endswith("/citedesk")
    assert _parser().parse_args(words).command == "serve"
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[1]) > GRACE
    assert "ProcSubset=" not in UNIT  # onnxruntime reads /proc/cpuinfo, and is slower without it


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not on this machine")
def test_the_unit_is_right_and_exposes_little(tmp_path):
    there = tmp_path / "citedesk.service"  # with a program that is there, which is looked up
    there.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT, flags=re.MULTILINE))
    verified = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, timeout=60)
    assert verified.stderr == ""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", there]
    exposed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert exposed.returncode == 0, exposed.stdout[-500:]


# ---- nginx


def test_the_proxys_bounds_fit_ours():
    size = int(re.search(r"client_max_body_size (\d+)k;", NGINX)[1]) * 1024
    assert size > ServerSettings().largest_body
    assert int(re.search(r"keepalive_timeout (\d+)s;", NGINX)[1]) < KEEP_ALIVE
    assert "proxy_buffering off;" in NGINX
    assert "X-Forwarded-For $remote_addr;" in NGINX
    assert set(re.findall(r"CITEDESK_\w+", NGINX)) <= SETTINGS


# ---- docs/operate.md


OPERATE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")


def rows(heading):
    section = OPERATE.split(f"### {heading}\n")[1].split("\n#")[0]
    return [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]


def test_every_setting_is_in_the_table_with_its_default():
    told = {
        name: default.strip() for names, default, _ in rows("Settings") for name in re.findall(r"CITEDESK_\w+", names)
    }
    assert set(told) == SETTINGS
    for name, field in ServerSettings.model_fields.items():
        default = told[f"CITEDESK_{name.upper()}"]
        if name in ("running", "waiting"):
            assert "cores" in default
        elif name not in ("host", "port"):
            shown = "none" if field.default in (None, "") else str(field.default).lower().removesuffix(".0")
            assert default == shown, name


def test_every_setting_of_the_language_model_is_in_the_table_with_its_default():
    told = {
        name: default.strip()
        for names, default, _ in rows("A language model")
        for name in re.findall(r"CITEDESK_\w+", names)
    }
    assert set(told) == {f"CITEDESK_LLM_{name.upper()}" for name in ModelSettings.model_fields}
    for name, field in ModelSettings.model_fields.items():
        if name not in ("url", "model", "key"):
            shown = "none" if field.default is None else str(field.default).lower().removesuffix(".0")
            assert told[f"CITEDESK_LLM_{name.upper()}"] == shown, name


def test_every_metric_is_in_the_table_and_the_alerts_name_no_other():
    text = Metrics().exposition(dropped=0, caches=dict).decode()
    there = {
        line.split()[2]
        for line in text.splitlines()
        if line.startswith("# TYPE") and not line.endswith("_created gauge")
    }
    told = {name for cells in rows("Metrics") for name in re.findall(r"citedesk_\w+", cells[0])}
    assert told == there
    rules = OPERATE.split("```yaml")[1].split("```")[0]
    assert {name.removesuffix("_bucket") for name in re.findall(r"citedesk_\w+", rules)} <= told


@pytest.mark.parametrize("link", re.findall(r"\]\((\.\./[^)#]+|[\w-]+\.md)", OPERATE))
def test_what_the_document_points_at_is_there(link):
    assert (ROOT / "docs" / link).resolve().exists()


@pytest.mark.parametrize("line", re.findall(r"^\$ citedesk (.*)$", OPERATE.split("## The service")[1], re.MULTILINE))
def test_the_commands_of_the_service_are_ours(line):
    _parser().parse_args(shlex.split(line))


# ---- nothing leaves the machine


ENCODING = """
import sys
import index
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1])
"""


def test_what_runs_the_encoder_does_not_report_its_use(tmp_path):
    """onnxruntime keeps an id of the machine, and what it is about to send, in the user's cache."""
    (model,) = fast_encoder().glob("*.onnx")
    left_out = {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in left_out} | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ENCODING, model], check=True, timeout=60, env=environment, cwd=ROOT)
    assert [path.name for path in tmp_path.rglob("*")] == []
