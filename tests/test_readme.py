"""The README's sections "Point your app here" and "Bring your endpoints", as they are written: their lines are taken out of the page and run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.stack.programs import environment
from tests.api_process import ApiProcess, serving
from tests.client_programs import make_node, make_python, run
from tests.conftest import RunHeadwater
from tests.stream import rows
from tests.worker_process import WorkerProcess, running, wait_until

README = Path(__file__).parent.parent / "README.md"
# Where the page's lines send to.
WRITTEN = "http://127.0.0.1:8080"
# What each block of the page sends.
EVENT_TYPES = {"boto3": "cart.add", "aws-cli": "order.paid", "node": "screen.view", "amplify": "song.played"}


def blocks() -> dict[str, str]:
    """The blocks of the page that are to be tried, by name."""
    return dict(re.findall(r"<!-- try: (\S+) -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL))


def test_page_has_a_block_for_each_client() -> None:
    assert set(blocks()) == {*EVENT_TYPES, "endpoints-in", "endpoints-out", "endpoints-api"}
    assert all(WRITTEN in blocks()[name] for name in (*EVENT_TYPES, "endpoints-api"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", EVENT_TYPES)
def test_lines_of_the_page_work_as_written(
    settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater, name: str
) -> None:
    assert run_headwater("apps", "create", "Shop", "--id", "shop").stdout.strip() == "shop"
    keys = dict(line.split("=", 1) for line in run_headwater("keys", "create", "--app", "shop").stdout.split())
    pool_id = run_headwater("apps", "guests", "shop").stdout.strip()
    with serving(ApiProcess(settings, tmp_path)) as api, running(WorkerProcess(settings, tmp_path)):
        folder, text = tmp_path / "app", blocks()[name].replace(WRITTEN, api.url)
        folder.mkdir()
        if name == "boto3":
            run([str(make_python() / "python"), "-c", text], cwd=folder, **keys)
        elif name == "aws-cli":
            (folder / "bin").mkdir()
            (folder / "bin" / "aws").symlink_to(make_python() / "aws")
            answer = run(["sh", "-ec", f'PATH="{folder}/bin:$PATH"\n{text}'], cwd=folder, **keys)
            assert "Accepted" in answer
        else:
            script = make_node(folder / "node") / f"{name}.mjs"
            # Amplify sends after five seconds, and holds the process open; a guest has no key.
            script.write_text(text + ("\nsetTimeout(() => process.exit(0), 8000);\n" if name == "amplify" else ""))
            run([str(shutil.which("node")), str(script)], cwd=script.parent, **({"POOL_ID": pool_id} if name == "amplify" else keys))
        wait_until(lambda: [found for (found,) in rows(settings, columns=["event_type"])] == [EVENT_TYPES[name]], "the event has landed")


@pytest.mark.timeout(300)
def test_endpoints_come_and_go_as_the_page_says(settings: Settings, topics: list[str], tmp_path: Path, run_headwater: RunHeadwater) -> None:
    for app_id in ("shop", "second"):
        run_headwater("apps", "create", app_id, "--id", app_id)
    made = run_headwater("keys", "create", "--app", "shop", "--scope", "ingest", "--scope", "read").stdout
    keys = dict(line.split("=", 1) for line in made.split())
    folder = tmp_path / "endpoints"
    folder.mkdir()

    def run_block(name: str, status: int) -> str:
        text = blocks()[name].replace(".venv/bin/headwater", f"{sys.executable} -m pipeline.cli")
        variables = os.environ | environment(settings) | {"PYTHONPATH": str(README.parent)}
        done = subprocess.run(["sh", "-ec", text], cwd=folder, env=variables, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    with serving(ApiProcess(settings, tmp_path)) as api, running(WorkerProcess(settings, tmp_path)):
        said = run_block("endpoints-in", 1)
        assert "OptOut" in said
        wait_until(lambda: len(rows(settings, "endpoint_updates")) == 2, "both endpoints have landed")
        assert "ann@example.com" in run_block("endpoints-out", 0)
        wait_until(lambda: len(rows(settings, "endpoint_updates")) == 4, "both came back into the second app")
        # The page's reader looks a few seconds later; the index may not have begun.
        text = blocks()["endpoints-api"].replace(WRITTEN, api.url)
        wait_until(lambda: "'interests': ['tea']" in run_python(text, folder, keys), "the update is read back")


def run_python(text: str, folder: Path, keys: dict[str, str]) -> str:
    """What the lines print, up to where they fail."""
    done = subprocess.run(
        [str(make_python() / "python"), "-c", text],
        cwd=folder,
        env=os.environ | keys,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout
