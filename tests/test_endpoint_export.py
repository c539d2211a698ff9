"""Export of endpoints and its way back: nothing is lost between the merged state of one app and that of another."""

import gzip
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.config import Settings
from pipeline.endpoints.files import export
from pipeline.endpoints.files.export import NOTE, Exported, export_endpoints, find_export
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from pipeline.imports.outcome import Status
from pipeline.stack.programs import environment
from pipeline.stores import build_store
from schemas.errors import UsageError
from tests.api_process import make_app
from tests.conftest import RunHeadwater
from tests.endpoint_exports import PINPOINT, import_into, lines, pinpoint_export, wait_for
from tests.endpoint_imports import write, write_csv
from tests.worker_process import WorkerProcess, running

pytestmark = pytest.mark.usefixtures("topics")


def test_export_and_import_lose_nothing(settings: Settings, tmp_path: Path, run_headwater: RunHeadwater) -> None:
    out, s3 = tmp_path / "out", f"s3://{settings.s3_bucket}/exports/one"
    make_app(settings)
    with running(WorkerProcess(settings, tmp_path)):
        import_into(settings, "shop", pinpoint_export(tmp_path))
        first = wait_for(settings, "shop", 3)
        done = run_headwater("export", "endpoints", "--app", "shop", "--to", str(out), "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert (report["rows"], report["is_finished"]) == (3, True)
        (part,) = report["files"]
        assert part == f"part-00000-{report['attempt']}.json.gz"
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
        again = export_endpoints(settings, "second", str(tmp_path / "again"))
        assert [each | {"ApplicationId": ""} for each in lines(tmp_path / "again" / again.files[0])] == [
            each | {"ApplicationId": ""} for each in lines(out / part)
        ]
        # As CSV all but what CSV cannot hold, which is counted.
        in_csv = export_endpoints(settings, "shop", str(tmp_path / "csv"), is_csv=True)
        assert (in_csv.rows, in_csv.reduced, in_csv.files) == (3, 1, [f"part-00000-{in_csv.attempt}.csv.gz"])
        text = gzip.decompress((tmp_path / "csv" / in_csv.files[0]).read_bytes()).decode()
        assert "'=cmd|" in text
        assert ",''=x" in text
        import_into(settings, "fourth", tmp_path / "csv")
        fourth = wait_for(settings, "fourth", 3)
        expected = [row | {"extra": None, "attributes": [each for each in row["attributes"] if each != ("empty", [""])]} for row in first]
        assert fourth == expected
    found = lines(out / part)[0]
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
    assert [name[:10] for name in left] == [f"part-0000{number}" for number in range(3)]
    assert [len(lines(out / name)) for name in left] == [200] * 3
    # Half of a file that was being written; another app's export does not take the place of this one's.
    (out / ".part-00003-0123abcd.json.gz.new").write_bytes(b"half")
    with pytest.raises(UsageError, match="expected an empty one, or one in which an export of app 'other' was killed"):
        export_endpoints(settings, "other", str(out))
    second = export_endpoints(settings, "shop", str(out), part_rows=500)
    assert (second.files, second.rows) == ([f"part-0000{number}-{second.attempt}.json.gz" for number in range(2)], 1000)
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
@pytest.mark.attack("S6")
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


class Paused:
    """An export that stops between two steps until it is told to go on."""

    def __init__(self, settings: Settings, address: str) -> None:
        self.is_paused, self.is_to_go_on = threading.Event(), threading.Event()
        self.ended: list[Exported | UsageError] = []
        self._thread = threading.Thread(target=self._run, args=(settings, address))

    def __enter__(self) -> "Paused":
        self._thread.start()
        assert self.is_paused.wait(300)
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()

    def go_on(self) -> Exported | UsageError:
        self.is_to_go_on.set()
        self._thread.join()
        return self.ended[0]

    def _run(self, settings: Settings, address: str) -> None:
        try:
            self.ended.append(export_endpoints(settings, "shop", address, on_part=self._pause))
        except UsageError as error:
            self.ended.append(error)

    def _pause(self, _: Exported) -> None:
        if not self.is_paused.is_set():
            self.is_paused.set()
            self.is_to_go_on.wait()


@pytest.mark.parametrize("is_guarded", [True, pytest.param(False, marks=pytest.mark.full)])
def test_of_two_exports_into_one_place_at_once_one_is_whole(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    monkeypatch.setattr(export, "_BATCH_ROWS", 2)
    out, place = tmp_path / "out", f"s3://{settings.s3_bucket}/exports/both"
    with running(WorkerProcess(settings, tmp_path)):
        import_into(settings, "shop", pinpoint_export(tmp_path))
        wait_for(settings, "shop", 3)
    if not is_guarded:
        # The control: nothing is asked before the folder is changed, and no lock is held.
        monkeypatch.setattr(export._Guard, "_require_hold", lambda self: None)
        monkeypatch.setattr("pipeline.endpoints.files.folder.fcntl.flock", lambda file, how: None)
    with Paused(settings, str(out)) as first:
        if is_guarded:
            with pytest.raises(UsageError, match="is being written by another export"):
                export_endpoints(settings, "shop", str(out))
            assert isinstance(first.go_on(), Exported)
            assert {path.suffix for path in out.iterdir()} == {".gz", ""}
        else:
            export_endpoints(settings, "shop", str(out))
            first.go_on()
    # S3 has no locks: there the first finds out, and takes its own away.
    with Paused(settings, place) as slow:
        second = export_endpoints(settings, "shop", place)
        result = slow.go_on()
    names = [each.key.rpartition("/")[2] for each in build_store(settings).list_objects("exports/both/")]
    noted = find_export(settings, place)
    if is_guarded:
        assert isinstance(result, UsageError)
        assert "was taken over by another export" in str(result)
        assert sorted(names) == sorted([NOTE, *second.files])
        assert noted == second
        assert sorted(path.name for path in out.iterdir()) == sorted([NOTE, *first.ended[0].files])  # type: ignore[union-attr]
    else:
        assert noted != second
