"""`headwater logs [NAME]`: what the processes of the local stack wrote last."""

import os

import typer

from pipeline.config import load_settings
from pipeline.stack.logs import find_logs, last_lines

app = typer.Typer()


@app.command()
def logs(
    name: str = typer.Argument("", help="Process: kafka, s3, worker-0, supervisord; all when not given."),
    lines: int = typer.Option(20, "--lines", "-n", min=1, help="Lines of each process."),
    follow: bool = typer.Option(False, "--follow", "-f", help="Go on as lines come; end with Ctrl-C."),
) -> None:
    """Show the last lines of a process of the local stack, or of all."""
    found = find_logs(load_settings(), name)
    if follow:
        # tail knows about files that are rotated away; it takes this process's place.
        os.execvp("tail", ["tail", "-n", str(lines), "-F", *map(str, found.values())])
    for process, file in found.items():
        if len(found) > 1:
            print(f"==> {process} <==")
        for line in last_lines(file, lines):
            print(line)
