"""`headwater doctor`: what is wrong with this set-up, and the way out of it."""

import os
import sys
import threading

import typer
from rich.console import Console
from rich.text import Text

from pipeline.config import read_settings
from pipeline.doctor.check import Case, run_checks
from pipeline.doctor.checks import CHECKS
from pipeline.doctor.finding import Finding, State
from pipeline.report import print_json

app = typer.Typer()

STYLES = {State.OK: "green", State.WARNING: "yellow", State.BROKEN: "bold red", State.UNCHECKED: "dim"}


@app.command()
def doctor(
    as_json: bool = typer.Option(
        False, "--json", help="Print JSON: {is_sound, findings: [{check, subject, state, found, expected, way_out}]}."
    ),
) -> None:
    """Look at settings, versions, disk, ports, Kafka, S3 and clocks; say of each how it is, and of what is wrong the way out.

    Exit status 0 when nothing is broken, 1 otherwise; warnings do not count. Nothing is changed: a few objects under lake/_probe/ and
    files in the home are written and removed again. Each check has a few seconds; one that needs what is broken is left out and says so.
    """
    settings, wrong = read_settings()
    found: list[tuple[str, Finding]] = []
    with Console(stderr=True).status("Looking") as status:
        for check, findings in run_checks(Case(settings, wrong), CHECKS):
            status.update(f"Looking at {check.name}")
            found += [(check.name, finding) for finding in findings]
    is_sound = all(finding.state != State.BROKEN for _, finding in found)
    if as_json:
        print_json({"is_sound": is_sound, "findings": [{"check": name, **_as_json(finding)} for name, finding in found]})
    else:
        _print([finding for _, finding in found])
    _leave(0 if is_sound else 1)


def _as_json(finding: Finding) -> dict[str, str]:
    names = ("subject", "state", "found", "expected", "way_out")
    return {name: str(getattr(finding, name)) for name in names}


def _print(findings: list[Finding]) -> None:
    """A line each; below what is not well what was expected and the way out, unbroken, so that a command can be copied."""
    console = Console(width=None if sys.stdout.isatty() else 160, soft_wrap=True, highlight=False)
    width = max(len(finding.subject) for finding in findings)
    for finding in findings:
        style = STYLES[finding.state]
        console.print(Text(f"{finding.state:<12}", style), Text(f"{finding.subject:<{width}}  {finding.found}"), sep="")
        indent = " " * (width + 14)
        if finding.expected:
            console.print(Text(f"{indent}expected: {finding.expected}"))
        if finding.way_out:
            console.print(Text(f"{indent}way out:  {finding.way_out}", style))
    counts = [f"{sum(finding.state == state for finding in findings)} {state}" for state in State]
    console.print(f"{', '.join(counts)}.")


def _leave(status: int) -> None:
    """End the process, without waiting for a check that hangs: a client in it would wait for its server for minutes."""
    if any(thread.name.startswith("doctor ") for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(status)
    raise typer.Exit(status)
