"""The step `enrich`: parsed records become rows of the table events, each column in one spelling and in its place."""

import functools
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from agents.enrichments import CAMPAIGN_ATTRIBUTES, ENRICHMENTS, Enrichment
from agents.user_agent import look_up_user_agents
from schemas.errors import UsageError
from schemas.tables import TableSchema, load_table, promoted_column

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What a sender is: all that the per-sender enrichments read of a record. Batches hold few of them.
_SENDER = ("platform", "platform_version", "make", "model", "locale_code", "locale_country", "locale_language", "user_agent")
# Where a column of events comes from while no enrichment fills it.
_AS_SENT = {"locale": "locale_code", "language": "locale_language", "country": "locale_country"}


@dataclass(frozen=True)
class EnrichRules:
    """What `enrich_batch` does.

    `enabled`: names of ENRICHMENTS; `internal_endpoints`: endpoint ids, case ignored; `internal_networks`: as 192.0.2.0/24 or 2001:db8::/32;
    `promoted_attributes`: attributes that get a column attribute_<name>.

    Raises UsageError for an unknown enrichment, a network that is none, or two promoted attributes with one column.
    """

    enabled: frozenset[str] = frozenset(enrichment.name for enrichment in ENRICHMENTS)
    promoted_attributes: tuple[str, ...] = ()
    internal_endpoints: tuple[str, ...] = ()
    internal_networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [enrichment.name for enrichment in ENRICHMENTS]
        for name in sorted(self.enabled - set(known)):
            raise UsageError(f"Enrichment '{name}' is not known; expected some of {', '.join(known)}.")
        for text in self.internal_networks:
            _network(text)
        columns: dict[str, str] = {}
        for attribute in self.promoted_attributes:
            other = columns.setdefault(promoted_column(attribute), attribute)
            if other != attribute or self.promoted_attributes.count(attribute) > 1:
                raise UsageError(
                    f"Promoted attributes '{other}' and '{attribute}' both become column '{promoted_column(attribute)}'; promote one of them."
                )

    @functools.cached_property
    def table(self) -> TableSchema:
        """The table events with the promoted columns."""
        return load_table("events").with_promoted(self.promoted_attributes)


def enrich_batch(con: duckdb.DuckDBPyConnection, parsed: pa.Table, rules: EnrichRules) -> pa.Table:
    """Rows of events for parsed records.

    `parsed` has the columns of PARSED; the result those of `rules.table.arrow`, one row for each, in the same order. A column that no
    enabled enrichment fills is as sent, or null where a record has nothing of the kind. The maps, and all other columns that
    stay as they are, never pass through DuckDB.
    """
    columns: dict[str, pa.Array] = {name: _whole(parsed[name]) for name in parsed.column_names}
    columns |= {filled: columns[sent] for filled, sent in _AS_SENT.items()}
    columns["arrival_date"] = columns["_appended_at"].cast(pa.date32())
    attributes = _pick_attributes(columns["attributes"], sorted({*CAMPAIGN_ATTRIBUTES, *rules.promoted_attributes}))
    columns |= {promoted_column(name): attributes[name] for name in rules.promoted_attributes}

    enabled = [enrichment for enrichment in ENRICHMENTS if enrichment.name in rules.enabled]
    lookups = {f"attribute_{name}": attributes[name] for name in CAMPAIGN_ATTRIBUTES}
    lookups["internal_rule"] = _label_internal(columns, rules)
    columns |= _enrich_senders(con, [enrichment for enrichment in enabled if enrichment.is_per_sender], columns)
    columns |= _select(con, [enrichment for enrichment in enabled if not enrichment.is_per_sender], columns | lookups)

    schema = rules.table.arrow
    missing = {field.name: pa.nulls(len(parsed), field.type) for field in schema if field.name not in columns}
    columns |= missing
    return pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)


def _enrich_senders(
    con: duckdb.DuckDBPyConnection, enrichments: Sequence[Enrichment], columns: Mapping[str, pa.Array]
) -> dict[str, pa.Array]:
    """What the per-sender enrichments fill, and agent_bot_rule: worked out once for each distinct sender, handed out to its rows."""
    first_rows, sender_of_row = _find_distinct([columns[name] for name in _SENDER])
    senders = {name: columns[name].take(first_rows) for name in _SENDER}
    agents = senders["user_agent"].dictionary_encode()
    found = look_up_user_agents(agents.dictionary.to_pylist())
    lookups = {name: _whole(found[name]).take(agents.indices) for name in found.column_names}
    filled = _select(con, enrichments, senders | lookups)
    filled["agent_bot_rule"] = lookups["agent_bot_rule"]
    return {name: values.take(sender_of_row) for name, values in filled.items()}


def _select(con: duckdb.DuckDBPyConnection, enrichments: Sequence[Enrichment], columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """What the enrichments fill, by one statement over the columns that they read; rows in the columns' order."""
    if not enrichments:
        return {}
    reads = dict.fromkeys(name for enrichment in enrichments for name in enrichment.reads)
    row_count = len(columns[next(iter(reads))])
    con.register("enrich_input", pa.table({"_row": np.arange(row_count), **{name: columns[name] for name in reads}}))
    try:
        result = con.execute(_build_statement(tuple(enrichments))).to_arrow_table()
    finally:
        con.unregister("enrich_input")
    if not np.array_equal(result["_row"].to_numpy(), np.arange(row_count)):
        # A join or a grouping in the SQL may change the order.
        result = result.sort_by("_row")
    assert len(result) == row_count, f"Enrichment gave {len(result)} rows for {row_count}; each must keep its row."
    found = {name: _whole(result[name]) for name in result.column_names if name != "_row"}
    return {name: _without_doubles(values) if pa.types.is_map(values.type) else values for name, values in found.items()}


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


def _find_distinct(columns: Sequence[pa.Array]) -> tuple[pa.Array, pa.Array]:
    """Rows of the first occurrence of each distinct combination of the columns, and for each row which of these it is."""
    combined, combinations = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        encoded = pc.dictionary_encode(column, null_encoding="encode")
        combined = combined * len(encoded.dictionary) + encoded.indices.to_numpy()
        combinations *= max(len(encoded.dictionary), 1)
        if combinations > 2**31:
            # Number them anew before the next product outgrows 64 bits.
            renumbered = pa.array(combined).dictionary_encode()
            combined, combinations = renumbered.indices.to_numpy().astype(np.int64), len(renumbered.dictionary)
    encoded = pa.array(combined).dictionary_encode()
    first_rows = np.zeros(len(encoded.dictionary), dtype=np.int64)
    # Assigned from the last row to the first: the first occurrence stays.
    first_rows[encoded.indices.to_numpy()[::-1]] = np.arange(len(combined))[::-1]
    return pa.array(first_rows), encoded.indices


def _without_doubles(maps: pa.Array) -> pa.Array:
    """The maps, null where one has a name twice: DuckDB's from_json lets that through, and other engines then refuse the whole file.
    Checked for all keys at once, a third of the time of list_unique(map_keys(..))."""
    offsets = maps.offsets.to_numpy()
    keys = maps.keys.slice(offsets[0], offsets[-1] - offsets[0]).dictionary_encode()
    rows = np.repeat(np.arange(len(maps)), np.diff(offsets))
    numbered = pa.array(rows * len(keys.dictionary) + keys.indices.to_numpy()).dictionary_encode()
    if len(numbered.dictionary) == len(rows):
        return maps
    counts = np.bincount(numbered.indices.to_numpy())[numbered.indices.to_numpy()]
    has_double = np.zeros(len(maps), dtype=np.bool_)
    has_double[rows[counts > 1]] = True
    return pc.if_else(pa.array(has_double), pa.scalar(None, maps.type), maps)


def _pick_attributes(attributes: pa.Array, names: Sequence[str]) -> dict[str, pa.Array]:
    """For each name the text that each row's map has under it, or null. A look at all keys at once: 0.06 us a row for eight names
    where DuckDB's map lookups take 1.1."""
    offsets = attributes.offsets.to_numpy()
    start, stop = (int(offsets[0]), int(offsets[-1])) if len(offsets) else (0, 0)
    which = pc.index_in(attributes.keys.slice(start, stop - start), value_set=pa.array(names, pa.string()))
    positions = np.flatnonzero(which.is_valid().to_numpy(zero_copy_only=False))
    which = which.take(pa.array(positions)).to_numpy()
    rows = np.searchsorted(offsets, positions + start, side="right") - 1
    picked = {}
    for index, name in enumerate(names):
        place = np.full(len(attributes), -1, dtype=np.int64)
        place[rows[which == index]] = positions[which == index] + start
        picked[name] = attributes.items.take(pa.array(place, mask=place < 0))
    return picked


def _label_internal(columns: Mapping[str, pa.Array], rules: EnrichRules) -> pa.Array:
    """The rule that makes a row's traffic internal, or null. A rule's version is a hash of what it lists."""
    label = pa.nulls(len(columns["endpoint_id"]), pa.string())
    if rules.internal_networks:
        networks = tuple(_network(text) for text in rules.internal_networks)
        addresses = columns["client_ip"].dictionary_encode()
        is_inside = [_is_inside(text, networks) for text in addresses.dictionary.to_pylist()]
        is_internal = pa.array(is_inside, pa.bool_()).take(addresses.indices)
        label = pc.if_else(is_internal.fill_null(False), _versioned("internal-network", map(str, networks)), label)
    if rules.internal_endpoints:
        endpoints = {name.lower() for name in rules.internal_endpoints}
        is_internal = pc.is_in(pc.utf8_lower(columns["endpoint_id"]), value_set=pa.array(sorted(endpoints), pa.string()))
        label = pc.if_else(is_internal, _versioned("internal-endpoint", endpoints), label)
    return label


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array; pyarrow's combine_chunks would copy even a single chunk."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _versioned(rule: str, listed: Iterable[str]) -> str:
    return f"{rule}@{hashlib.sha256(','.join(sorted(listed)).encode()).hexdigest()[:8]}"


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"Internal network '{text}' is no network ({error}); expected for example 192.0.2.0/24.") from None


@functools.lru_cache(maxsize=32768)
def _is_inside(text: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
