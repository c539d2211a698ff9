"""`headwater dead-letters replay`: send dead letters again, each once."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.config import Settings, load_settings
from pipeline.moments import parse_moment
from pipeline.replay.fix import Fix, NoFix
from pipeline.replay.fix_script import ScriptFix
from pipeline.replay.fix_sql import SqlFix
from pipeline.replay.run import ReplayOptions, ReplayReport, replay_dead_letters
from pipeline.replay.selection import Choice
from pipeline.report import as_base64, as_shown_text, print_figures, print_json
from schemas.errors import UsageError

_EXAMPLE_SHOWN_MAX = 600


def replay(
    positions: Annotated[
        list[str] | None, typer.Argument(metavar="[POSITION]...", help="topic/partition/offset of each, as `list` prints it.")
    ] = None,
    reason: Annotated[
        list[str] | None, typer.Option(help="Those of this reason; may be given again. Duplicates are meant only when they are named.")
    ] = None,
    since: Annotated[str, typer.Option(help="Those appended at this moment (ISO 8601, UTC) or later.")] = "",
    until: Annotated[str, typer.Option(help="Those appended before this moment.")] = "",
    event_id: Annotated[str, typer.Option(help="Those of this event id.")] = "",
    fix_sql: Annotated[
        str,
        typer.Option(
            help="A DuckDB expression over value (text), bytes, key, reason, error, event_id, ...: the new value; null leaves one out."
        ),
    ] = "",
    fix_script: Annotated[
        Path | None, typer.Option(help="A Python file with `def fix(value: bytes) -> bytes | None`; None leaves one out.")
    ] = None,
    is_sent: Annotated[
        bool, typer.Option("--send", help="Send them. Without it nothing is sent or written: what would become of them is shown.")
    ] = False,
    sends_invalid: Annotated[
        bool, typer.Option("--send-invalid", help="Send those too that would be dead letters again by the settings of this shell.")
    ] = False,
    sends_untraceable: Annotated[
        bool,
        typer.Option(
            "--send-untraceable",
            help="Send those too that an earlier replay began and of which Kafka no longer tells whether they were sent: they may land twice.",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON: meant, replayed, not_replayable, left_out, changed, landing, dead_again, examples, sent, ..."
        ),
    ] = False,
) -> None:
    """Send dead letters to raw-events again, after a fix if one is given; each once, whatever dies when. Shows what would happen, unless --send.

    Those of rejected-events, which the collector refused, go to raw-events too: what was refused, without its envelope; those of endpoint-updates go there. A dead letter keeps its key and carries where it came from. It is replayed once for ever; if it becomes a dead letter again, that one has a
    position of its own. Those without bytes (too large, unreadable under redaction) cannot be. A replay that was killed is finished by
    the next one with --send, before anything else. Exit status 1 when Kafka no longer tells of some whether they were sent, and they were left alone,
    or when it refuses some that were begun.
    """
    settings = load_settings()
    choice = Choice(
        tuple(reason or ()), parse_moment("--since", since), parse_moment("--until", until), event_id or None, tuple(positions or ())
    )
    fix = _build_fix(fix_sql, fix_script, settings)
    try:
        report = replay_dead_letters(settings, choice, fix, ReplayOptions(is_sent, sends_invalid, sends_untraceable))
    finally:
        fix.close()
    if as_json:
        examples = [{name: as_base64(value) for name, value in example.items()} for example in report.examples]
        print_json({**vars(report), "is_sent": is_sent, "fix_error": getattr(fix, "first_error", "") or None, "examples": examples})
    else:
        _print_replay(report, is_sent, getattr(fix, "first_error", ""))
    raise typer.Exit(1 if report.untraceable or report.refused else 0)


def _build_fix(fix_sql: str, fix_script: Path | None, settings: Settings) -> Fix:
    if fix_sql and fix_script:
        raise UsageError("Options '--fix-sql' and '--fix-script' are both given; expected one fix.")
    if fix_script:
        return ScriptFix(fix_script, settings.query_secs_max)
    return SqlFix(fix_sql, settings.query_secs_max, settings.query_memory_bytes_max) if fix_sql else NoFix()


def _print_replay(report: ReplayReport, is_sent: bool, fix_error: str) -> None:
    for example in report.examples:
        verdict = f"would be a dead letter again: {example['dead_again']}, {example['error']}" if example["dead_again"] else "would land"
        print(f"{as_shown_text(example['position'])} ({example['reason']}): {as_shown_text(verdict)}")
        for name in ("before", "after"):
            text = "" if example[name] is None else as_shown_text(example[name])
            print(f"  {name:6} {text if len(text) <= _EXAMPLE_SHOWN_MAX else text[: _EXAMPLE_SHOWN_MAX - 1] + '…'}")
    figures = {"meant": report.meant, "replayed before": report.replayed}
    figures |= {f"not replayable, {why}": count for why, count in report.not_replayable.items()}
    figures |= {"left out by the fix": report.left_out, "changed by the fix": report.changed, "would land": report.landing}
    figures |= {f"would be dead again, {reason}": count for reason, count in report.dead_again.items()}
    if is_sent:
        figures |= {"sent": report.sent, "finished for replays before": report.finished, "taken by another replay": report.taken}
    print_figures(figures, title="Dead letters")
    if fix_error:
        print(f"The fix failed for some, which are left out; first: {as_shown_text(fix_error)}")
    if report.unredactable:
        print(f"Never sent are {report.unredactable} that redaction cannot look into.")
    if report.dead_again and is_sent:
        print("Those that would be dead letters again are sent with --send-invalid only; another fix may mend them.")
    for chunk_id, count in report.untraceable.items():
        print(
            f"Untraceable: whether the {count} dead letters of chunk {chunk_id} were sent, Kafka no longer tells; they are left alone. Which they are: "
            f"select * from core.dead_letter_replays where chunk_id = '{chunk_id}'. 'headwater trace' of their ids says whether they landed; "
            "--send-untraceable sends them all."
        )
    for why in report.refused.values():
        print(f"Begun before, and not sent now either: {why}")
    if not is_sent:
        print("Nothing was sent. A resend within the dedup window is told apart only when it lands. --send sends what would land.")
