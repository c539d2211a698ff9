"""Attack S9: DuckDB fetches no code by itself, whatever a query names."""

import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipeline.bare_duckdb import open_duckdb
from tests.faults.rig.proof import Proof
from tests.faults.wire.canary import Canary, running_canary

SEALED = "select name, value from duckdb_settings() where name in ('autoinstall_known_extensions', 'autoload_known_extensions') order by 1"

ROOT = Path(__file__).parents[2]


def test_attack_s9_no_connection_to_duckdb_fetches_code() -> None:
    sources = [path for folder in ("schemas", "sinks", "agents", "pipeline", "queries") for path in (ROOT / folder).rglob("*.py")]
    opening = [str(path.relative_to(ROOT)) for path in sources if re.search(r"duckdb\.(connect|sql|query|execute)\(", path.read_text())]
    assert opening == ["pipeline/bare_duckdb.py"]
    with open_duckdb(autoinstall_known_extensions=True) as con:
        assert [value for _, value in con.execute(SEALED).fetchall()] == ["false", "false"]


def ask_for_code(open_one: Callable[..., duckdb.DuckDBPyConnection], folder: Path, canary: Canary) -> None:
    """Name a function of an extension that DuckDB knows and has not, from an empty folder; the canary is where extensions come from."""
    with open_one() as con:
        for setting in ("custom_extension_repository", "autoinstall_extension_repository"):
            con.execute(f"set {setting} = '{canary.address}'")
        con.execute(f"set extension_directory = '{folder}'")
        with pytest.raises(duckdb.Error):
            con.execute("select st_point(1, 2)").fetchall()
        with pytest.raises(duckdb.Error):
            con.execute("from 'https://127.0.0.1:9/x.parquet'").fetchall()


def test_attack_s9_a_name_in_sql_does_not_make_duckdb_ask_for_code(tmp_path: Path, proof: Proof) -> None:
    with running_canary() as canary:
        ask_for_code(open_duckdb, tmp_path, canary)
        assert canary.connections == 0
    proof.note(injections=2)


def test_attack_s9_a_name_in_sql_makes_an_open_duckdb_ask_for_code_control(tmp_path: Path, proof: Proof) -> None:
    with running_canary() as canary:
        ask_for_code(duckdb.connect, tmp_path, canary)
        proof.show(f"asked for: {', '.join(canary.asked)}" if canary.asked else "")
