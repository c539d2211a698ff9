"""`headwater example`: real purchases through the pipeline, and what SQL says of them."""

import typer

from pipeline.commands.import_ import print_outcomes
from pipeline.config import load_settings
from pipeline.example import QUESTIONS, TRUE_FIGURES, run_example
from pipeline.report import print_figures, print_json, print_rows
from pipeline.stack.lifecycle import start_stack

app = typer.Typer()


@app.command()
def example(
    as_json: bool = typer.Option(
        False, "--json", help="Print JSON: import (as headwater import reports a file), figures, true_figures, answers."
    ),
) -> None:
    """Start the stack, import CDNOW (every purchase of 23,570 customers, 1997-98), wait until it has landed, and ask.

    A second run says that the file was imported already, and gives the same answers. Exit status 1 when SQL says anything but
    69,659 events, 23,570 endpoints, revenue 2,500,315.63.
    """
    settings = load_settings()
    start_stack(settings)
    found = run_example(settings, shows_progress=not as_json)
    is_true = found["figures"] == TRUE_FIGURES
    if as_json:
        print_json(found | {"import": found["import"].as_json(), "true_figures": TRUE_FIGURES})
    else:
        print_outcomes([found["import"]])
        print_figures({name: f"{value:,}" for name, value in found["figures"].items()}, title="What SQL says")
        if not is_true:
            print_figures({name: f"{value:,}" for name, value in TRUE_FIGURES.items()}, title="What is true")
        for question in QUESTIONS:
            print_rows(question.columns, found["answers"][question.title], title=question.title)
    raise typer.Exit(0 if is_true and found["import"].is_well else 1)
