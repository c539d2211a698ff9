"""The step `enrich`: parsed records become rows of the table events, each column in one spelling and in its place."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from agents.enrichment.addresses import Kept, keep_addresses
from agents.enrichment.clock_skew import correct_clocks
from agents.enrichment.columns import as_array, find_distinct, find_plain, pick_attributes, without_doubles
from agents.enrichment.enrichments import CAMPAIGN_ATTRIBUTES, ENRICHMENTS, Enrichment
from agents.enrichment.geo import GeoDatabase
from agents.enrichment.internal_traffic import label_internal, parse_network
from agents.enrichment.user_agent import look_up_user_agents
from agents.prepared_select import PreparedSelect
from schemas.errors import UsageError
from schemas.tables import TableSchema, load_table, promoted_column

# What a sender is: all that the per-sender enrichments read of a record. Batches hold few of them.
SENDER = ("platform", "platform_version", "make", "model", "locale_code", "locale_country", "locale_language", "user_agent")
# Where a column of events comes from while no enrichment fills it.
_AS_SENT = {"locale": "locale_code", "language": "locale_language", "country": "locale_country"}


@dataclass(frozen=True)
class EnrichRules:
    """What `enrich_batch` does.

    `enabled`: names of ENRICHMENTS; `internal_endpoints`: endpoint ids, case ignored; `internal_networks`: as 192.0.2.0/24 or 2001:db8::/32;
    `promoted_attributes`: attributes that get a column attribute_<name>; `geo_database`: where addresses are looked up, None for nowhere;
    `client_address`: what column client_ip keeps; `clock_skew_secs_min`: a clock that is wrong by no more is left as it is.

    Raises UsageError for an unknown enrichment, a network that is none, or two promoted attributes with one column.
    """

    enabled: frozenset[str] = frozenset(enrichment.name for enrichment in ENRICHMENTS)
    promoted_attributes: tuple[str, ...] = ()
    internal_endpoints: tuple[str, ...] = ()
    internal_networks: tuple[str, ...] = ()
    geo_database: GeoDatabase | None = None
    client_address: Kept = "truncated"
    clock_skew_secs_min: float = 60

    def __post_init__(self) -> None:
        known = [enrichment.name for enrichment in ENRICHMENTS]
        for name in sorted(self.enabled - set(known)):
            raise UsageError(f"Enrichment '{name}' is not known; expected some of {', '.join(known)}.")
        for text in self.internal_networks:
            parse_network(text)
        # Two promoted attributes with one column are refused where the table gets its columns; better now than at the first batch.
        _ = self.table

    @functools.cached_property
    def table(self) -> TableSchema:
        """The table events with the promoted columns."""
        return load_table("events").with_promoted(self.promoted_attributes)


class Enricher:
    """Makes rows of events, batch after batch; its statements are planned once. One thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection, rules: EnrichRules) -> None:
        self._rules = rules
        enabled = [enrichment for enrichment in ENRICHMENTS if enrichment.name in rules.enabled and not enrichment.is_columnar]
        self._of_senders = _Statement(con, tuple(enrichment for enrichment in enabled if enrichment.is_per_sender))
        self._of_events = _Statement(con, tuple(enrichment for enrichment in enabled if not enrichment.is_per_sender))

    def enrich(self, parsed: pa.Table) -> pa.Table:
        """Rows of events for parsed records.

        `parsed` has the columns of PARSED; the result those of `rules.table.arrow`, one row for each, in the same order. A column that no
        enabled enrichment fills is as sent, or null where a record has nothing of the kind; of client_ip is kept what the rules say. The maps, and all other columns that
        stay as they are, never pass through DuckDB.
        """
        rules = self._rules
        columns: dict[str, pa.Array] = {name: as_array(parsed[name]) for name in parsed.column_names}
        columns |= {filled: columns[sent] for filled, sent in _AS_SENT.items()}
        columns["arrival_date"] = columns["_appended_at"].cast(pa.date32())
        attributes = pick_attributes(columns["attributes"], sorted({*CAMPAIGN_ATTRIBUTES, *rules.promoted_attributes}))
        columns |= {promoted_column(name): attributes[name] for name in rules.promoted_attributes}
        lookups = {f"attribute_{name}": attributes[name] for name in CAMPAIGN_ATTRIBUTES}
        addresses = columns["client_ip"].dictionary_encode()
        lookups["internal_rule"] = label_internal(columns["endpoint_id"], addresses, rules.internal_endpoints, rules.internal_networks)
        columns |= self._enrich_senders(columns)
        columns |= self._enrich_events(columns | lookups)
        if "geo" in rules.enabled and rules.geo_database is not None:
            columns |= rules.geo_database.look_up(addresses)
        # Last of what has to do with addresses: all others have used the whole one.
        columns["client_ip"] = keep_addresses(addresses, rules.client_address)
        if "clock-skew" in rules.enabled:
            columns |= correct_clocks(columns, rules.clock_skew_secs_min)

        schema = rules.table.arrow
        missing = {field.name: pa.nulls(len(parsed), field.type) for field in schema if field.name not in columns}
        columns |= missing
        return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)

    def _enrich_senders(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """What the per-sender enrichments fill, and agent_bot_rule: worked out once for each distinct sender, handed out to its rows."""
        first_rows, sender_of_row = find_distinct([columns[name] for name in SENDER])
        senders = {name: columns[name].take(first_rows) for name in SENDER}
        agents = senders["user_agent"].dictionary_encode()
        found = look_up_user_agents(agents.dictionary.to_pylist())
        lookups = {name: as_array(found[name]).take(agents.indices) for name in found.column_names}
        filled = self._of_senders.fill(senders | lookups)
        filled["agent_bot_rule"] = lookups["agent_bot_rule"]
        return {name: values.take(sender_of_row) for name, values in filled.items()}

    def _enrich_events(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """What the other enrichments fill. Most events have nothing that these read but their type: one of each type is enough."""
        read = [columns[name] for name in self._of_events.reads if name != "event_type"]
        rows, place = find_plain(columns["event_type"], read)
        filled = self._of_events.fill({name: columns[name].take(rows) for name in self._of_events.reads})
        return {name: values.take(place) for name, values in filled.items()}


def enrich_batch(con: duckdb.DuckDBPyConnection, parsed: pa.Table, rules: EnrichRules) -> pa.Table:
    """One batch by an Enricher of its own."""
    return Enricher(con, rules).enrich(parsed)


class _Statement:
    """Some enrichments as one statement, which reads the columns that they read and gives those that they fill."""

    def __init__(self, con: duckdb.DuckDBPyConnection, enrichments: tuple[Enrichment, ...]) -> None:
        self.reads = tuple(dict.fromkeys(name for enrichment in enrichments for name in enrichment.reads))
        self._select = PreparedSelect(con, "enrich_input", _build_statement(enrichments)) if enrichments else None

    def fill(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """What the enrichments fill, rows in the columns' order."""
        if self._select is None:
            return {}
        row_count = len(columns[self.reads[0]])
        result = self._select.run(pa.table({"_row": np.arange(row_count), **{name: columns[name] for name in self.reads}}))
        if not np.array_equal(result["_row"].to_numpy(), np.arange(row_count)):
            # A join or a grouping in the SQL may change the order.
            result = result.sort_by("_row")
        assert len(result) == row_count, f"Enrichment gave {len(result)} rows for {row_count}; each must keep its row."
        filled = {name: result[name] for name in result.column_names if name != "_row"}
        return {name: as_array(without_doubles(values) if pa.types.is_map(values.type) else values) for name, values in filled.items()}


@functools.cache
def _build_statement(enrichments: tuple[Enrichment, ...]) -> str:
    """One statement for all: each enrichment reads the one before it under the name `input`."""
    reads = {name for enrichment in enrichments for name in enrichment.reads}
    fills = list(dict.fromkeys(name for enrichment in enrichments for name in enrichment.fills))
    types = {column.name: column.duckdb for column in load_table("events").columns}
    empty = [f"cast(null as {types[name]}) as {name}" for name in fills if name not in reads]
    sql = f"select {', '.join(['*', *empty])} from enrich_input"
    for enrichment in enrichments:
        sql = f"with input as (\n{sql}\n)\nselect * from (\n{enrichment.sql})"
    return f"select _row, {', '.join(fills)} from (\n{sql}\n)"
