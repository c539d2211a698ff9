"""Asks SQL for what the ledger knows: each figure as expected and as found in the lake."""

from collections.abc import Mapping
from typing import Any

from pipeline.simulate.compare_charts import Ask
from pipeline.simulate.compare_kpis import compare_kpis
from pipeline.simulate.message_figures import CORE_FIGURES
from schemas.errors import UsageError


def compare_ledger(ledger: Mapping[str, Any], ask: Ask) -> list[tuple[str, Any, Any]]:
    """(figure, expected, found) for every figure of `ledger`, and again by `kpis.` as charts and KPIs show it; `ask` runs a query over the views.

    Figures count the ledger's app alone; dead letters belong to it by their key, since most of them cannot be read
    (while redaction is on, keys of such letters are not kept and their figures differ). Figures that came later than the ledger are left out.

    Raises UsageError when the ledger counts days of another zone than the views.
    """
    app = str(ledger["app"]).replace("'", "''")
    _check_zone(str(ledger["app"]), ledger.get("zone", "UTC"), ask(f"select app_zone('{app}')")[0][0])
    known = [name for name in COMPARED if name in ledger]
    found = _ask_figures(ask, app) | _ask_dead_letters(ask, app) | _ask_messages(ask, app) | _ask_types(ask, app) | _ask_dates(ask, app)
    expected = _flatten({name: ledger[name] for name in known})
    found["sent"] = found["landed"] + found["duplicates"] + sum(count for name, count in found.items() if name.startswith("dead_letters."))
    asked = _find_asked(expected)
    names = [
        name
        for name in sorted({**expected, **found}, key=_order)
        if (group := name.split(".", maxsplit=1)[0]) in known and (group not in asked or _last(name) in asked[group])
    ]
    return [(name, expected.get(name, 0), found.get(name, 0)) for name in names] + compare_kpis(ledger, ask)


def find_missing(ledger: Mapping[str, Any]) -> list[str]:
    """The keys that a ledger lacks and every one had."""
    return [name for name in ("app", *COMPARED) if name not in ledger and name not in ADDED_LATER]


def list_differences(compared: list[tuple[str, Any, Any]]) -> list[tuple[str, Any, Any]]:
    """The figures that are not as expected."""
    return [(name, expected, found) for name, expected, found in compared if expected != found]


COMPARED = [
    "sent",
    "landed",
    "duplicates",
    "dead_letters",
    "endpoints",
    "active_endpoints",
    "named_users",
    "buyers",
    "sessions",
    "sessions_by_gap",
    "purchases",
    "units",
    "revenue",
    "delayed_events",
    "bot_events",
    "messages",
    "event_types",
    "dates",
]
TEXT_NAMES = ("parts", "price_millicents")
# What core says of days; of the other figures of days charts alone speak, as KPIs do of other figures of messages.
DAY_NAMES = ("events", "active_endpoints", "named_users", "active_users", "sessions", "purchases", "units", "revenue")
# Ledgers of earlier versions lack these.
ADDED_LATER = ["messages"]


def _find_asked(expected: Mapping[str, Any]) -> dict[str, set[str]]:
    """Of days and messages, the figures of which core speaks and that the ledger has; one of nothing is asked for all."""
    asked: dict[str, set[str]] = {"dates": set(DAY_NAMES), "messages": {*CORE_FIGURES, *TEXT_NAMES}}
    for group, figures in asked.items():
        had = {_last(name) for name in expected if name.startswith(f"{group}.")}
        asked[group] = figures & had or figures
    return asked


def _last(name: str) -> str:
    return name.rsplit(".", maxsplit=1)[-1]


def _check_zone(app: str, counted: str, reported: str) -> None:
    if counted != reported:
        raise UsageError(
            f"The ledger counts the days of app '{app}' in the zone {counted}, and the settings report them in {reported}; expected the same. "
            f'Compare with HEADWATER_APP_ZONES=\'{{"{app}": "{counted}"}}\', or simulate anew.'
        )


def _ask_figures(ask: Ask, app: str) -> dict[str, Any]:
    names = ("landed", "endpoints", "named_users", "delayed_events", "bot_events")
    (events,) = ask(
        f"""
        select
            count(*),
            count(distinct endpoint_id),
            count(distinct user_id),
            count(*) filter (where arrival_timestamp - occurred_at > interval 24 hour),
            count(*) filter (where traffic = 'bot')
        from core.events
        where app_id = '{app}'
        """
    )
    (active,) = ask(f"select count(distinct endpoint_id) from core.endpoint_days where app_id = '{app}'")
    (sessions,) = ask(f"select count(*), count(*) filter (where session_id like 'gap:%') from core.sessions where app_id = '{app}'")
    (purchases,) = ask(
        f"""
        select count(*), count(distinct endpoint_id), coalesce(sum(quantity), 0)::bigint, coalesce(round(sum(revenue), 2), 0.0)
        from core.purchases
        where app_id = '{app}'
        """
    )
    return {
        **dict(zip(names, events, strict=True)),
        "active_endpoints": active[0],
        "sessions": sessions[0],
        "sessions_by_gap": sessions[1],
        **dict(zip(("purchases", "buyers", "units", "revenue"), purchases, strict=True)),
    }


def _ask_dead_letters(ask: Ask, app: str) -> dict[str, Any]:
    prefix = f"{app}/".lower()
    rows = ask(f"select reason, count(*) from staging.dead_letters where starts_with(key::varchar, '{prefix}') group by reason")
    counts = {reason: count for reason, count in rows}
    duplicates = counts.pop("duplicate", 0)
    return {"duplicates": duplicates, **{f"dead_letters.{reason}": count for reason, count in counts.items()}}


def _ask_messages(ask: Ask, app: str) -> dict[str, Any]:
    rows = ask(
        f"""
        select
            channel || '.' || coalesce(campaign_id, journey_id, 'transactional'),
            count(sent_at), count(delivered_at), count(bounced_at),
            count(*) filter (bounce_type = 'hard'), count(*) filter (bounce_type = 'soft'),
            count(sent_at) filter (rejected_at is not null), count(failed_at), count(complained_at), count(opted_out_at), sum(opt_out_count)::bigint,
            count(opened_at), sum(open_count)::bigint, count(machine_opened_at), sum(machine_open_count)::bigint,
            count(clicked_at), sum(click_count)::bigint, count(machine_clicked_at), sum(machine_click_count)::bigint
        from core.deliveries
        where app_id = '{app}'
        group by 1
        """
    )
    texts = ask(
        f"""
        select coalesce(campaign_id, journey_id, 'transactional'), coalesce(sum(parts), 0)::bigint, coalesce(sum(price_millicents), 0)
        from core.deliveries
        -- Other channels have no parts, and no price is known of them.
        where app_id = '{app}' and channel = 'SMS'
        group by 1
        """
    )
    amounts = {f"messages.SMS.{cause}.{name}": amount for cause, *sums in texts for name, amount in zip(TEXT_NAMES, sums, strict=True)}
    return {f"messages.{what}.{name}": count for what, *counts in rows for name, count in zip(CORE_FIGURES, counts, strict=True)} | amounts


def _ask_types(ask: Ask, app: str) -> dict[str, Any]:
    rows = ask(f"select event_type, count(*) from core.events where app_id = '{app}' group by event_type")
    return {f"event_types.{event_type}": count for event_type, count in rows}


def _ask_dates(ask: Ask, app: str) -> dict[str, Any]:
    asked = {
        "events": f"select event_date::varchar, count(*) from core.events where app_id = '{app}' group by 1",
        "active_endpoints": f"select activity_date::varchar, count(*) from core.endpoint_days where app_id = '{app}' group by 1",
        "named_users": f"select event_date::varchar, count(distinct user_id) from core.events where app_id = '{app}' group by 1",
        "active_users": f"select activity_date::varchar, count(*) from core.user_days where app_id = '{app}' group by 1",
        "sessions": f"select session_date::varchar, count(*) from core.sessions where app_id = '{app}' group by 1",
        "purchases": f"select purchase_date::varchar, count(*) from core.purchases where app_id = '{app}' group by 1",
        "units": f"select purchase_date::varchar, sum(quantity)::bigint from core.purchases where app_id = '{app}' group by 1",
        "revenue": f"select purchase_date::varchar, round(sum(revenue), 2) from core.purchases where app_id = '{app}' group by 1",
    }
    return {f"dates.{day}.{name}": value for name, sql in asked.items() for day, value in ask(sql)}


def _flatten(figures: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in figures.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def _order(name: str) -> tuple[int, str]:
    return COMPARED.index(name.split(".", maxsplit=1)[0]), name
