"""`headwater settings`: every setting, what is in force and what it means."""

import json
from collections.abc import Mapping
from typing import Any

import typer

from pipeline.config import Settings, load_settings
from pipeline.report import print_json, print_rows

app = typer.Typer()


@app.command()
def settings(as_json: bool = typer.Option(False, "--json", help="Print JSON: a list of {setting, value, meaning}.")) -> None:
    """Print every setting with its value and meaning; secrets are never shown."""
    found = load_settings()
    rows = [(f"HEADWATER_{name.upper()}", _shown(getattr(found, name)), field.description) for name, field in Settings.model_fields.items()]
    if as_json:
        print_json([{"setting": name, "value": value, "meaning": meaning} for name, value, meaning in rows])
    else:
        print_rows(["setting", "value", "meaning"], rows)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, Mapping):
        return json.dumps(value) if value else ""
    return "" if value is None else str(value)
