"""The plan by which compiled code checks a datum (agents/native/avro_datum.c): a schema as nodes and parts, arrays of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.avro.types import FINITE

I32 = npt.NDArray[np.int32]


class Kind(IntEnum):
    """What a node is; the numbers are those of the C source."""

    NULL = 0
    BOOLEAN = 1
    INT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    BYTES = 6
    STRING = 7
    FIXED = 8
    ENUM = 9
    ARRAY = 10
    MAP = 11
    RECORD = 12
    UNION = 13


@dataclass(frozen=True)
class Plan:
    """`nodes`: (kind, first part, count of parts, bytes as JSON at least, whether it is odd) each; node 0 is the whole. `parts`: numbers of
    nodes. `texts` from `text_starts` of a part to that of the next: what stands before a field, or a symbol."""

    nodes: I32
    parts: I32
    texts: bytes
    text_starts: I32


# Bytes as JSON at least: null, true, 0, 0.0, "" and so on.
_JSON_MIN = {Kind.NULL: 4, Kind.BOOLEAN: 4, Kind.INT: 1, Kind.LONG: 1, Kind.FLOAT: 1, Kind.DOUBLE: 1, Kind.BYTES: 2, Kind.STRING: 2}

_PRIMITIVES: Mapping[str, Kind] = {kind.name.lower(): kind for kind in _JSON_MIN}


def build_plan(schema: Any, named: Mapping[str, Any]) -> Plan:
    """The plan of a schema that fastavro has parsed; `named` has its named types, by full name."""
    planner = _Planner(named)
    planner.add(schema)
    sizes = [len(text) for text in planner.texts]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    parts = np.array(planner.parts or [0], np.int32)
    return Plan(np.array(planner.nodes, np.int32).reshape(-1, 5), parts, b"".join(planner.texts) or b"\0", starts)


class _Planner:
    def __init__(self, named: Mapping[str, Any]) -> None:
        self.nodes: list[tuple[int, int, int, int, bool]] = []
        self.parts: list[int] = []
        self.texts: list[bytes] = []
        self._named, self._places = named, dict[str, int]()

    def add(self, schema: Any) -> int:
        """Add a type and what is below it; returns its node. A named type has one node, also when it holds itself."""
        if isinstance(schema, list):
            return self._add_node(Kind.UNION, schema, 0)
        if isinstance(schema, dict):
            return self._add_declared(schema)
        # By Avro's own spelling: `long` is the number, `Long` a name that somebody gave a type.
        if schema in _PRIMITIVES:
            return self._add_leaf(_PRIMITIVES[schema])
        return self._places[schema] if schema in self._places else self.add(self._named[schema])

    def _add_declared(self, schema: Mapping[str, Any]) -> int:
        kind = Kind["RECORD" if schema["type"] == "error" else schema["type"].upper()]
        if kind is Kind.RECORD:
            fields = schema["fields"]
            # "name":value, and braces; Avro's names need no escapes.
            json_min = 2 + sum(len(field["name"]) + 4 for field in fields)
            texts = [f'{"," if place else "{"}"{field["name"]}":'.encode() for place, field in enumerate(fields)]
            return self._add_node(kind, [field["type"] for field in fields], json_min, schema["name"], texts)
        if kind in {Kind.ARRAY, Kind.MAP}:
            return self._add_node(kind, [schema["items" if kind is Kind.ARRAY else "values"]], 2)
        if kind is Kind.ENUM:
            node = self._add_leaf(kind, len(self.parts), len(schema["symbols"]), 2, schema["name"])
            self.parts += [len(symbol) for symbol in schema["symbols"]]
            self.texts += [f'"{symbol}"'.encode() for symbol in schema["symbols"]]
            return node
        if kind is Kind.FIXED:
            return self._add_leaf(kind, 0, schema["size"], max(2, schema["size"]), schema["name"], is_odd=True)
        return self._add_leaf(kind, is_odd=schema.get("logicalType", FINITE) != FINITE)

    def _add_leaf(
        self, kind: Kind, first: int = 0, count: int = 0, json_min: int = 0, name: str | None = None, is_odd: bool = False
    ) -> int:
        self.nodes.append((kind, first, count, json_min or _JSON_MIN[kind], is_odd))
        if name:
            self._places[name] = len(self.nodes) - 1
        return len(self.nodes) - 1

    def _add_node(self, kind: Kind, types: list[Any], json_min: int, name: str | None = None, texts: Sequence[bytes] = ()) -> int:
        """A node whose parts are nodes; they lie together, so room is kept before what is below them is added."""
        node, first = len(self.nodes), len(self.parts)
        self.nodes.append((kind, first, len(types), json_min, False))
        if name:
            self._places[name] = node
        self.parts += [0] * len(types)
        self.texts += texts or [b""] * len(types)
        for place, part in enumerate(types):
            self.parts[first + place] = self.add(part)
        return node
