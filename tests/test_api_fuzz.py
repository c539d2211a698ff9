"""The API held against its own OpenAPI document by schemathesis: no request brings it down, and every answer is one that the document knows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.routing import Route

from pipeline.api.openapi import load_document, render_page
from pipeline.api.routes import ROUTES
from pipeline.config import Settings
from pipeline.definitions.key import Scope
from tests.api_process import ApiProcess, make_app, make_write_key, serving
from tests.test_api_endpoints import Shop, wait_until_shown
from tests.worker_process import WorkerProcess, running

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# App 'shop' and its streams stay, so that requests get behind the first door.
CONFIG = """
[parameters]
"path.app_id" = "shop"
"path.stream" = "clicks"
"query.app_id" = "shop"

[[operations]]
include-operation-id = "deleteApp"
parameters = { "path.app_id" = "nobody" }
"""


def fuzz(api: ApiProcess, settings: Settings, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "schemathesis.toml").write_text(CONFIG)
    key = make_write_key(settings, None, scopes=frozenset(Scope))
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(folder / "schemathesis.toml"), "run"),
        *(f"{api.url}/openapi.json", "-H", f"Authorization: Bearer {key}", "--checks", CHECKS, "--phases", "coverage,fuzzing"),
        *("--max-examples", "15", "--continue-on-failure", "--seed", "20261126", "--no-color", *options),
    ]
    variables = os.environ | {"SCHEMATHESIS_HOOKS": "tests.fuzz_hooks", "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        command, env=variables, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=380, check=False
    )


@pytest.mark.timeout(400)
def test_no_request_brings_the_api_down_and_every_answer_is_in_the_document(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    make_app(settings)
    # Endpoints can be shown once a worker has made their table.
    worker = WorkerProcess(settings, tmp_path)
    with serving(ApiProcess(settings, tmp_path, HEADWATER_API_STREAMS="clicks=shop")) as api, running(worker):
        wait_until_shown(Shop(api))
        # Each takes seconds, in which it waits for what was accepted before.
        found = fuzz(api, settings, tmp_path, "--exclude-operation-id", "deleteUserEndpoints")
        assert found.returncode == 0, found.stdout[-6000:]
        assert " failed" not in found.stdout
        assert "Traceback" not in api.log.read_text()


@pytest.mark.timeout(400)
def test_resource_that_takes_members_for_granted_is_found(settings: Settings, topics: list[str], tmp_path: Path) -> None:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path, "tests.fragile_api")) as api:
        found = fuzz(api, settings, tmp_path, "--include-operation-id", "createApp")
        assert found.returncode == 1
        assert "Server error" in found.stdout


def operations() -> set[tuple[str, str]]:
    paths = load_document()["paths"].items()
    return {(method.upper(), path) for path, found in paths for method in found if method != "parameters"}


def test_document_has_every_route_and_no_other() -> None:
    served = {
        (method, route.path.replace(":path", ""))
        for route in ROUTES
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert operations() == served


def test_page_has_every_operation() -> None:
    page = render_page(load_document())
    assert [path for method, path in operations() if f"{method} {path}" not in page] == []
