"""Export of endpoints and its way back: nothing is lost between the merged state of one app and that of another."""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.endpoints.files import export
from pipeline.endpoints.files.export import NOTE, Exported, export_endpoints
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from pipeline.imports.outcome import Status
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from schemas.errors import UnavailableError, UsageError
from tests.conftest import RunHeadwater
from tests.endpoint_imports import write, write_csv
from tests.worker_process import WorkerProcess, running, wait_until

pytestmark = pytest.mark.usefixtures("topics")

# As Pinpoint wrote them, with what it had and with members that nobody knows.
PINPOINT = [
    {
        "Id": "A-1",
        "ApplicationId": "0123456789abcdef0123456789abcdef",
        "Address": "=cmd|' /C calc'!A0",
        "ChannelType": "EMAIL",
        "EndpointStatus": "ACTIVE",
        "OptOut": "ALL",
        "EffectiveDate": "2025-06-01T12:00:00.123Z",
        "CreationDate": "2024-01-02T03:04:05.678Z",
        "CohortId": "42",
        "RequestId": "r-1",
        "Attributes": {"interests": ["music", "größe", "'=x"], "empty": [""]},
        "Metrics": {"logins": 3.0, "share": 0.1},
        "Demographic": {"AppVersion": "1", "Locale": "de_DE", "Make": "apple", "Model": "x", "ModelVersion": "y", "Platform": "ios"},
        "Location": {"City": "Köln", "Country": "DE", "Latitude": 50.9, "Longitude": -6.9, "PostalCode": "50667", "Region": "NW"},
        "User": {"UserId": "u-1", "UserAttributes": {"name": ["Ann"], "plan": ["gold"]}},
        "Odd": {"deep": [1.50, None]},
    },
    {"Id": "b-2", "Address": "+49123", "ChannelType": "SMS", "EndpointStatus": "INACTIVE", "User": {"UserId": "u-1"}},
    {"Id": "c-3", "Attributes": {"plan": ["free"]}},
]


def pinpoint_export(tmp_path: Path) -> Path:
    return write(tmp_path / "pinpoint.json.gz", "".join(json.dumps(each) + "\n" for each in PINPOINT))


def import_into(settings: Settings, app_id: str, address: Path | str) -> int:
    outcomes = import_endpoints(settings, [str(address)], EndpointImportOptions(app_id))
    assert all(outcome.is_well for outcome in outcomes), [outcome.message for outcome in outcomes]
    return sum(outcome.acknowledged for outcome in outcomes)


def state(settings: Settings, app_id: str) -> list[dict[str, Any]]:
    """core.endpoints of an app, without its id and without when it was merged."""
    with open_reader(settings) as reader:
        answer = reader.con.execute(
            "select * exclude (app_id, updated_at) from core.endpoints where app_id = ? order by lower(endpoint_id)", [app_id]
        )
        rows: list[dict[str, Any]] = answer.to_arrow_table().to_pylist()
    return rows


def wait_for(settings: Settings, app_id: str, count: int) -> list[dict[str, Any]]:
    """The app's endpoints once there are so many. While the first worker makes the lake's tables they cannot all be read."""

    def are_there() -> bool:
        try:
            return len(state(settings, app_id)) >= count
        except UnavailableError:
            return False

    wait_until(are_there, f"{count} endpoints of {app_id}")
    return state(settings, app_id)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def test_export_and_import_lose_nothing(settings: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    out, s3 = tmp_path / "out", f"s3://{settings.s3_bucket}/exports/one"
    with running(WorkerProcess(settings, tmp_path)):
        import_into(settings, "shop", pinpoint_export(tmp_path))
        first = wait_for(settings, "shop", 3)
        done = run_headwater("export", "endpoints", "--app", "shop", "--to", str(out), "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["rows"], report["files"], report["is_finished"]) == (3, ["part-00000.json.gz"], True)
        assert run_headwater("export", "endpoints", "--app", "shop", "--to", s3).returncode == 0
        assert import_into(settings, "second", out) == 3
        assert import_into(settings, "third", s3) == 3
        for app_id in ("second", "third"):
            assert wait_for(settings, app_id, 3) == first
        shown = run_headwater(
            "sql", "select endpoint_id, cohort_id from core.endpoints where app_id = 'second' order by 1", "--format", "csv"
        )
        assert shown.stdout.split()[1] == "A-1,42", shown.stderr
        # The same bytes again but for the app, and not in the place of the first.
        export_endpoints(settings, "second", str(tmp_path / "again"))
        assert [each | {"ApplicationId": ""} for each in lines(tmp_path / "again" / "part-00000.json.gz")] == [
            each | {"ApplicationId": ""} for each in lines(out / "part-00000.json.gz")
        ]
        # As CSV all but what CSV cannot hold, which is counted.
        in_csv = export_endpoints(settings, "shop", str(tmp_path / "csv"), is_csv=True)
        assert (in_csv.rows, in_csv.reduced, in_csv.files) == (3, 1, ["part-00000.csv.gz"])
        text = gzip.decompress((tmp_path / "csv" / "part-00000.csv.gz").read_bytes()).decode()
        assert "'=cmd|" in text
        assert ",''=x" in text
        import_into(settings, "fourth", tmp_path / "csv")
        fourth = wait_for(settings, "fourth", 3)
        expected = [row | {"extra": None, "attributes": [each for each in row["attributes"] if each != ("empty", [""])]} for row in first]
        assert fourth == expected
    found = lines(out / "part-00000.json.gz")[0]
    assert {name: found[name] for name in PINPOINT[0] if name != "ApplicationId"} == {
        name: value for name, value in PINPOINT[0].items() if name != "ApplicationId"
    }


def test_an_export_that_was_killed_leaves_no_half_part_and_starts_over(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_BATCH_ROWS", 100)
    out = tmp_path / "out"
    with running(WorkerProcess(settings, tmp_path)):
        import_into(settings, "shop", write_csv(tmp_path / "x.csv", 1000))
        wait_for(settings, "shop", 1000)

    class Killed(BaseException):
        pass

    def kill(exported: Exported) -> None:
        if exported.rows == 700:
            raise Killed

    with pytest.raises(Killed):
        export_endpoints(settings, "shop", str(out), on_part=kill, part_rows=200)
    left = sorted(path.name for path in out.glob("part-*"))
    assert left == [f"part-0000{number}.json.gz" for number in range(3)]
    assert [len(lines(out / name)) for name in left] == [200] * 3
    # Half of a file that was being written; another app's export does not take the place of this one's.
    (out / ".part-00003.json.gz.new").write_bytes(b"half")
    with pytest.raises(UsageError, match="expected an empty one, or one in which an export of app 'other' was killed"):
        export_endpoints(settings, "other", str(out))
    second = export_endpoints(settings, "shop", str(out), part_rows=500)
    assert (second.files, second.rows) == (["part-00000.json.gz", "part-00001.json.gz"], 1000)
    assert sorted(path.name for path in out.iterdir()) == [NOTE, *second.files]
    assert len({each["Id"] for name in second.files for each in lines(out / name)}) == 1000
    # A finished one is not written over.
    with pytest.raises(UsageError, match=f"holds '{NOTE}'; expected an empty one"):
        export_endpoints(settings, "shop", str(out))
    # An app without endpoints gives a file without rows, and importing that says that it is empty.
    export_endpoints(settings, "nobody", str(tmp_path / "none"))
    (outcome,) = import_endpoints(settings, [str(tmp_path / "none")], EndpointImportOptions("nobody"))
    assert outcome.status in {Status.FAILED, Status.IGNORED}


def test_a_process_killed_while_it_exports_leaves_whole_files_only(settings: Settings, tmp_path: Path) -> None:
    with running(WorkerProcess(settings, tmp_path)):
        import_into(settings, "shop", write_csv(tmp_path / "x.csv", 3000))
        wait_for(settings, "shop", 3000)
    code = (
        "import sys; from pipeline.config import load_settings; from pipeline.endpoints.files.export import export_endpoints; "
        "export_endpoints(load_settings(), 'shop', sys.argv[1], part_rows=50)"
    )
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", code, str(out)], env=environment(settings)) as process:
        while process.poll() is None and len(list(out.glob("part-*"))) < 5:
            time.sleep(0.001)
        process.kill()
    found = sorted(out.glob("part-*"))
    assert [len(lines(path)) for path in found] == [50] * len(found)
    assert export_endpoints(settings, "shop", str(out)).rows == 3000


@pytest.mark.parametrize("place", ["s3://{bucket}/lake/endpoints", "s3://{bucket}/", "s3://{bucket}/x/../lake/y"])
def test_an_export_never_goes_into_the_lake(settings: Settings, place: str) -> None:
    before = list(build_store(settings).list_objects(""))
    with pytest.raises(UsageError, match=r"the lake's own folder|cannot be used"):
        export_endpoints(settings, "shop", place.format(bucket=settings.s3_bucket))
    assert list(build_store(settings).list_objects("")) == before


def test_a_folder_that_holds_something_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "mine.txt", "x")
    with pytest.raises(UsageError, match=r"holds 'mine\.txt'; expected an empty one"):
        export_endpoints(settings, "shop", str(folder))
    with pytest.raises(UsageError, match="is a file; expected a folder"):
        export_endpoints(settings, "shop", str(folder / "mine.txt"))
    with pytest.raises(UsageError, match=r"NoSuchBucket|cannot be used"):
        export_endpoints(settings, "shop", "s3://no-such-bucket-here/x")
