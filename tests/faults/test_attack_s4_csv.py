"""Row S4: cells that a spreadsheet would run, through the real import and export and back: covered in the file, unchanged in the lake."""

import csv
import gzip
import io
from pathlib import Path
from unittest import mock

from pipeline.config import Settings
from tests.api_process import make_app
from tests.conftest import headwater
from tests.endpoint_exports import wait_for
from tests.faults.rig.fault_worker import FaultWorker
from tests.faults.rig.proof import Proof
from tests.faults.rig.schedule import Schedule
from tests.worker_process import running

_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_PIECES = [*_BEGINS, "'", '"', ",", ";", "cmd|' /C calc'!A0", 'HYPERLINK("http://x")', "\ufeff", " ", "a", "é", "1"]


def _build_cells(schedule: Schedule, count: int) -> list[str]:
    """Texts of such pieces; each begins as a formula, some behind quotes."""
    chance = schedule.chance
    return [
        "'" * chance.randrange(3)
        + chance.choice([begin for begin in _BEGINS if begin not in "\r"])
        + "".join(chance.choices([piece for piece in _PIECES if piece != "\r"], k=chance.randint(0, 4)))
        + "x"
        for _ in range(count)
    ]


def _write(path: Path, cells: list[str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Id", "Address", "ChannelType", "Attributes.note"])
        writer.writerows([f"id-{number}", "a@example.com", "EMAIL", f"'{cell}"] for number, cell in enumerate(cells))
    return path


def _export(settings: Settings, to: Path) -> list[str]:
    """Every cell of the CSV that the command writes."""
    done = headwater(settings, "export", "endpoints", "--app", "shop", "--to", str(to), "--csv")
    assert done.returncode == 0, done.stderr
    texts = [gzip.decompress(path.read_bytes()).decode() for path in to.glob("*.csv.gz")]
    return [cell for text in texts for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def test_attack_s4_cells_are_covered_in_the_file_and_unchanged_on_the_way_back(
    settings: Settings, topics: list[str], tmp_path: Path, schedule: Schedule, proof: Proof
) -> None:
    cells = _build_cells(schedule, schedule.choose(200, 5000))
    make_app(settings)
    make_app(settings, "second")
    with running(FaultWorker(settings, tmp_path)):
        done = headwater(settings, "import", "endpoints", str(_write(tmp_path / "in.csv", cells)), "--app", "shop")
        assert done.returncode == 0, done.stdout + done.stderr
        first = wait_for(settings, "shop", len(cells))
        assert sorted(dict(row["attributes"])["note"][0] for row in first) == sorted(cells)
        exported = _export(settings, tmp_path / "out")
        assert [cell for cell in exported if cell.startswith(_BEGINS)] == []
        done = headwater(settings, "import", "endpoints", str(tmp_path / "out"), "--app", "second")
        assert done.returncode == 0, done.stdout + done.stderr
        assert wait_for(settings, "second", len(cells)) == first
    proof.note(injections=len(cells), cells=len(exported), run_by_a_spreadsheet=0)


def test_attack_s4_without_the_cover_cells_begin_as_formulas_control(schedule: Schedule, proof: Proof) -> None:
    from pipeline.endpoints.files.write import CsvWriter

    cells = _build_cells(schedule, 200)
    columns = ["Id", "Attributes.note"]
    with mock.patch("pipeline.endpoints.files.write.cover", lambda cell: cell):
        text = b"".join(CsvWriter(columns).write({"Id": "a", "Attributes": {"note": [cell]}}) for cell in cells).decode()
    found = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row if cell.startswith(_BEGINS)]
    proof.note(injections=len(cells))
    proof.show(f"{len(found)} of {len(cells)} cells begin as a formula" if found else "")
