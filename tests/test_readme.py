"""The README's section "Point your app here", as it is written: each client's lines are taken out of the page and run."""

import re
import shutil
from pathlib import Path

import pytest

from pipeline.config import Settings
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
    assert set(blocks()) == set(EVENT_TYPES)
    assert all(WRITTEN in block for block in blocks().values())


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
