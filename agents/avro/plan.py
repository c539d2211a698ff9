"""The plan by which compiled code checks a datum (agents/native/avro_datum.c): a schema as nodes and parts, arrays of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

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
    """`nodes`: (kind, first part, count of parts, bytes as JSON at least) each; node 0 is the whole. `parts`: numbers of nodes."""

    nodes: I32
    parts: I32


# Bytes as JSON at least: null, true, 0, 0.0, "" and so on.
_JSON_MIN = {Kind.NULL: 4, Kind.BOOLEAN: 4, Kind.INT: 1, Kind.LONG: 1, Kind.FLOAT: 1, Kind.DOUBLE: 1, Kind.BYTES: 2, Kind.STRING: 2}


def build_plan(schema: Any, named: Mapping[str, Any]) -> Plan:
    """The plan of a schema that fastavro has parsed; `named` has its named types, by full name."""
    planner = _Planner(named)
    planner.add(schema)
    return Plan(np.array(planner.nodes, np.int32).reshape(-1, 4), np.array(planner.parts or [0], np.int32))


class _Planner:
    def __init__(self, named: Mapping[str, Any]) -> None:
        self.nodes: list[tuple[int, int, int, int]] = []
        self.parts: list[int] = []
        self._named, self._places = named, dict[str, int]()

    def add(self, schema: Any) -> int:
        """Add a type and what is below it; returns its node. A named type has one node, also when it holds itself."""
        if isinstance(schema, list):
            return self._add_node(Kind.UNION, schema, 0)
        if isinstance(schema, dict):
            return self._add_declared(schema)
        if schema.upper() in Kind.__members__:
            return self._add_leaf(Kind[schema.upper()])
        return self._places[schema] if schema in self._places else self.add(self._named[schema])

    def _add_declared(self, schema: Mapping[str, Any]) -> int:
        kind = Kind["RECORD" if schema["type"] == "error" else schema["type"].upper()]
        if kind is Kind.RECORD:
            fields = schema["fields"]
            # "name":value, and braces; Avro's names need no escapes.
            json_min = 2 + sum(len(field["name"]) + 4 for field in fields)
            return self._add_node(kind, [field["type"] for field in fields], json_min, schema["name"])
        if kind in {Kind.ARRAY, Kind.MAP}:
            return self._add_node(kind, [schema["items" if kind is Kind.ARRAY else "values"]], 2)
        if kind is Kind.ENUM:
            node = self._add_leaf(kind, len(self.parts), len(schema["symbols"]), 2, schema["name"])
            self.parts += [len(symbol) for symbol in schema["symbols"]]
            return node
        if kind is Kind.FIXED:
            return self._add_leaf(kind, 0, schema["size"], max(2, schema["size"]), schema["name"])
        return self._add_leaf(kind)

    def _add_leaf(self, kind: Kind, first: int = 0, count: int = 0, json_min: int = 0, name: str | None = None) -> int:
        self.nodes.append((kind, first, count, json_min or _JSON_MIN[kind]))
        if name:
            self._places[name] = len(self.nodes) - 1
        return len(self.nodes) - 1

    def _add_node(self, kind: Kind, types: list[Any], json_min: int, name: str | None = None) -> int:
        """A node whose parts are nodes; they lie together, so room is kept before what is below them is added."""
        node, first = len(self.nodes), len(self.parts)
        self.nodes.append((kind, first, len(types), json_min))
        if name:
            self._places[name] = node
        self.parts += [0] * len(types)
        for place, part in enumerate(types):
            self.parts[first + place] = self.add(part)
        return node
