"""Which views show an event or an update, and why those do not that could: every view with a column of its id is asked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.ask.reader import Reader
from pipeline.ask.views import View

_POSITION = ("_topic_id", "_partition", "_offset")
# How a column of a view begins that says where a record lies: the row itself, the dead letter that a replay took, the record that it sent.
_PREFIXES = ("_", "origin_", "sent_")
# A comment and the `where` or `inner join` below it: the style of queries/ is that whatever leaves rows out says which.
_RULE = re.compile(r"((?:^[ \t]*--[^\n]*\n)+)[ \t]*((?:where|inner join) [^\n]*)", re.MULTILINE)


@dataclass
class Shown:
    """`views` show the event; `missing`: a view of the same table alone that does not, and why, in its own words."""

    views: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


class ViewSearch:
    """Asks the views of one reader, which is pinned to one version of each table."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._views = {view.name: view for view in reader.views if view.layer != "checks"}
        self._columns = {name: {column for column, _ in reader.columns(name)} for name in self._views}

    def find(self, row: Mapping[str, Any], source: str) -> Shown:
        """Ask every view with a column of the row's id, event_id or update_id, for `row`, which lies in the table that the view `source` shows."""
        shown, id_name = Shown(), "update_id" if "update_id" in row else "event_id"
        # In the order in which they read each other, so that what a view reads is known before it.
        for view in self._views.values():
            if id_name not in self._columns[view.name]:
                continue
            if self._has(view.name, row, id_name):
                shown.views.append(view.name)
            elif self._sources(view) == {source}:
                shown.missing[view.name] = self._explain(view, shown)
        return shown

    def _has(self, name: str, row: Mapping[str, Any], id_name: str) -> bool:
        columns = self._columns[name]
        places = [names for prefix in _PREFIXES if columns.issuperset(names := [f"{prefix}{part[1:]}" for part in _POSITION])]
        if places:
            # A position says which row, whatever its id became.
            given = {part: row[part] for part in _POSITION}
            condition = " or ".join(
                "(" + " and ".join(f"{name} = ${part}" for name, part in zip(names, _POSITION, strict=True)) + ")" for names in places
            )
        else:
            given = {column: row[column] for column in (id_name, *({"app_id"} & columns))}
            condition = " and ".join(f"{column} is not distinct from ${column}" for column in given)
        return bool(self._reader.rows(f"select 1 from {name} where {condition} limit 1", given))

    def _sources(self, view: View) -> set[str]:
        """The views of staging that a view is made of."""
        if view.layer == "staging":
            return {view.name}
        return set().union(*(self._sources(self._views[name]) for name in view.reads if name in self._views))

    def _explain(self, view: View, shown: Shown) -> str:
        below = [name for name in view.reads if name in shown.missing]
        if below:
            return f"it reads {below[0]}, which does not"
        rules = [f"{_as_sentence(comment)} ({condition.strip()})" for comment, condition in _RULE.findall(view.sql)]
        return "; ".join(rules) or "its SQL does not say why"


def _as_sentence(comment: str) -> str:
    return " ".join(line.strip().removeprefix("--").strip() for line in comment.strip().splitlines())
