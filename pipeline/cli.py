"""The `headwater` command: every command on one screen, each in a file of its own, imported only when it is called."""

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from pipeline.lean_memory import choose_arrow_pool
from schemas.errors import HeadwaterError

# name: (module under pipeline.commands, group, what it does)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "up": ("up", "Run it", "Start the local stack: Kafka, S3, workers, HTTP API, maintenance."),
    "down": ("down", "Run it", "Stop the local stack; --delete removes its state."),
    "status": ("status", "Run it", "Show each process, Kafka lag, freshness, lake version and gaps."),
    "logs": ("logs", "Run it", "Show the last lines of a process of the local stack."),
    "worker": ("worker", "Run it", "Run one worker: Kafka to the lake, exactly once."),
    "serve": ("serve", "Run it", "Serve the HTTP API: Pinpoint's, Kinesis', Firehose's and Segment's clients send here."),
    "jobs": ("jobs", "Run it", "Run the import and export jobs that the HTTP API takes."),
    "maintain": ("maintain", "Run it", "Keep the lake small: compaction, checkpoints, old log and files."),
    "demo": ("demo", "Run it", "Everything at once: the stack, a month of a shop, what SQL says."),
    "example": ("example", "Run it", "69,659 real purchases (CDNOW) through the pipeline, and what SQL says."),
    "simulate": ("simulate", "Feed it", "Send a made-up shop's events to Kafka or a file."),
    "import": ("import_", "Feed it", "Send archives of events, or files of endpoints, through Kafka, each file once for ever."),
    "export": ("export", "Feed it", "Write an app's endpoints as files that import reads again."),
    "apps": ("apps", "Let in", "Create, list, show or delete apps; let guests in."),
    "keys": ("keys", "Let in", "Create, add, list or revoke the keys that let clients in."),
    "kpi": ("kpi", "Ask it", "A KPI over days, with its definition and the change; without a name, the list."),
    "funnel": ("funnel", "Ask it", "How many did the steps, one after the other, and in what time."),
    "retention": ("retention", "Ask it", "Who comes back, cohort by cohort."),
    "sql": ("sql", "Ask it", "Ask the lake, read-only; a shell when called bare."),
    "views": ("views", "Ask it", "List the views with their grain, or show one."),
    "trace": ("trace", "Ask it", "Say what became of an event."),
    "doctor": ("doctor", "Check it", "Say what is wrong with this set-up, and the way out."),
    "check": ("check", "Check it", "Run queries/checks; exit 1 when one fails."),
    "audit": ("audit", "Check it", "Prove that every record up to the offsets reached is in the lake once."),
    "dead-letters": ("dead_letters", "Check it", "List, show or replay what did not become an event."),
    "settings": ("settings", "Check it", "Print every setting with its value and meaning."),
}


class LazyGroup(TyperGroup):
    """Imports a command's module when it is called, so that no command pays for another's libraries."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module_name, group, summary = COMMANDS[cmd_name]
        if ctx.resilient_parsing or {"--help", "-h"} & set(sys.argv[1:2]) or len(sys.argv) == 1:
            # The list of commands needs names and summaries only.
            command: Any = TyperCommand(cmd_name, help=summary)
        else:
            module = importlib.import_module(f"pipeline.commands.{module_name}")
            command = typer.main.get_command(module.app)
            command.name = cmd_name
            command.help = command.help or summary
        command.rich_help_panel = group
        return command


app = typer.Typer(cls=LazyGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def headwater() -> None:
    """Engagement events from Kafka to SQL, exactly once."""


def main() -> None:
    """Entry point: a HeadwaterError is printed as one line on standard error and ends with its exit status."""
    choose_arrow_pool()
    try:
        app()
    except HeadwaterError as error:
        print(f"headwater: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
