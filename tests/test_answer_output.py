"""An answer that cannot be written as asked is refused before the lake is opened."""

import importlib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.answers.output_check import check_output
from schemas.errors import UsageError
from tests.answer_commands import refusal

COMMANDS = {"kpi": ["txn-emails-sent"], "funnel": ["look"], "retention": []}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--csv"], "There are --json and --csv; expected one of the two."),
        (["--png", "k.gif"], "Option '--png' is 'k.gif'; expected a file whose name ends in .png, for example kpi.png."),
        (
            ["--png", "none/k.png"],
            "Option '--png' is 'none/k.png', and there is no folder 'none'; expected a file in a folder that is there.",
        ),
    ],
)
def test_wrong_output_is_refused_before_anything_is_asked(
    name: str, options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"pipeline.commands.{name}")
    opened: list[object] = []
    monkeypatch.setattr(module, "open_reader", opened.append)
    assert refusal(CliRunner().invoke(module.app, [*COMMANDS[name], *options])) == message
    assert opened == []


def test_list_of_kpis_has_one_format_too() -> None:
    module = importlib.import_module("pipeline.commands.kpi")
    assert "expected one of the two" in refusal(CliRunner().invoke(module.app, ["--json", "--csv"]))


def test_folder_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "k.png").mkdir()
    with pytest.raises(UsageError, match="which is a folder; expected a file"):
        check_output(as_json=False, as_csv=False, png=tmp_path / "k.png")


@pytest.mark.parametrize("name", ["k.png", "K.PNG"])
def test_picture_may_be_new_or_written_anew(name: str, tmp_path: Path) -> None:
    check_output(as_json=True, as_csv=False, png=tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    check_output(as_json=False, as_csv=True, png=tmp_path / name)
