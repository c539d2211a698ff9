"""The one-row view `settings`: those settings that decide what a view says, under their own names."""

from pipeline.ask.layers import SETTINGS
from pipeline.ask.sql_text import quoted
from pipeline.config import Settings


def settings_view_sql(settings: Settings) -> str:
    """The statement that creates the view."""
    return f"""
        create or replace view {SETTINGS} as
        select
            {settings.session_gap_mins!r}::double as session_gap_mins,
            {settings.late_hours!r}::double as late_hours,
            {settings.future_secs!r}::double as future_secs,
            {settings.dedup_enabled} as dedup_enabled,
            {settings.dedup_window_hours!r}::double as dedup_window_hours,
            {settings.machine_opens_enabled} as machine_opens_enabled,
            {settings.machine_open_secs!r}::double as machine_open_secs,
            {quoted(settings.report_zone)} as report_zone,
            {_zones(settings)} as app_zones,
            {settings.check_fresh_hours!r}::double as check_fresh_hours
    """


def _zones(settings: Settings) -> str:
    """A map that is typed even when it is empty."""
    pairs = ", ".join(f"{quoted(app_id)}: {quoted(zone)}" for app_id, zone in settings.app_zones.items())
    return f"map {{{pairs}}}::map(varchar, varchar)"
