"""`headwater export`: the merged state as files that the import reads again."""

from typing import Annotated

import typer

from pipeline.config import load_settings
from pipeline.definitions.apps import require_app
from pipeline.definitions.database import opened_definitions, reading
from pipeline.endpoints.files.export import export_endpoints
from pipeline.report import print_figures, print_json

app = typer.Typer(no_args_is_help=True, help="Write what the lake knows of an app's endpoints as files.")


@app.callback()
def export() -> None:
    """Write what the lake knows of an app's endpoints as files."""


@app.command()
def endpoints(
    app_id: Annotated[str, typer.Option("--app", help="The app whose endpoints are written.")],
    to: Annotated[str, typer.Option("--to", help="An empty folder, or one that is to be made; local or s3://bucket/prefix.")],
    is_csv: Annotated[
        bool, typer.Option("--csv", help="CSV with dot paths in place of NDJSON; holds no empty texts and no unknown members.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: app, address, rows, files.")] = False,
) -> None:
    """Write every endpoint of an app, at one version of the lake, as .gz files in the form that Pinpoint exported and imports."""
    settings = load_settings()
    with opened_definitions(settings) as engine, reading(engine) as connection:
        require_app(connection, app_id)
    exported = export_endpoints(settings, app_id, to, is_csv)
    if as_json:
        print_json(exported.as_json())
        return
    figures = {"endpoints": exported.rows, "files": len(exported.files), "folder": exported.address}
    if exported.reduced:
        figures["not whole in CSV"] = exported.reduced
    print_figures(figures)
