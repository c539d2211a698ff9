"""`headwater down`: stop the local stack."""

import typer

from pipeline.config import load_settings
from pipeline.stack.lifecycle import stop_stack

app = typer.Typer()


@app.command()
def down(delete: bool = typer.Option(False, "--delete", help="Remove HEADWATER_HOME too: events, offsets, keys, all of it.")) -> None:
    """Stop the local stack; its state stays unless --delete."""
    settings = load_settings()
    ran = stop_stack(settings, is_deleted=delete)
    print("The local stack is stopped." if ran else "The local stack was not running.")
    if delete:
        print(f"{settings.home} is removed.")
