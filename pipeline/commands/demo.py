"""`headwater demo`: everything at once, from an empty machine to answers."""

import typer

from pipeline.config import load_settings
from pipeline.demo import QUERIES, run_demo
from pipeline.report import print_figures, print_json, print_rows
from pipeline.stack.lifecycle import start_stack

app = typer.Typer()

_COLUMNS = {
    "The busiest days": ("activity_date", "events", "active_endpoints", "revenue"),
    "What people do": ("event_type", "events", "endpoints"),
    "Who buys most": ("endpoint_id", "purchases", "revenue"),
}


@app.command()
def demo(
    as_json: bool = typer.Option(
        False,
        "--json",
        help="Print JSON: sent, landed, dead, duplicate, lost, doubled, events_per_sec, secs, freshness_secs, figures, differences, answers.",
    ),
) -> None:
    """Start the stack, send a month of a made-up shop (about a million events), wait until it has landed, and ask.

    A second run finds the month in the lake and only asks. Exit status 1 when anything is lost or doubled, or when SQL
    says something else than the simulator's ledger.
    """
    settings = load_settings()
    start_stack(settings)
    found = run_demo(settings)
    is_clean = not (found["lost"] or found["doubled"] or found["differences"])
    if as_json:
        print_json(found)
    else:
        print_figures(
            {
                "events sent": found["sent"] or "none: this month is in the lake already",
                "landed": found["landed"],
                "dead": found["dead"],
                "duplicate": found["duplicate"],
                "lost, doubled": f"{found['lost']}, {found['doubled']}",
                "events/s": f"{found['events_per_sec']:,}, from the first sent to the last committed ({found['secs']} s), all on this machine",
                "freshness": f"{found['freshness_secs'][len(found['freshness_secs']) // 2]} s from sending one event until SQL sees it",
                "true answers": f"{found['figures'] - len(found['differences'])} of {found['figures']} figures of the simulator's ledger agree with SQL",
            }
        )
        for title in QUERIES:
            print_rows(_COLUMNS[title], found["answers"][title], title=title)
        print(
            "Next, each after .venv/bin/: headwater sql, headwater views, headwater status, headwater audit, headwater dead-letters list; make down"
        )
    raise typer.Exit(0 if is_clean else 1)
