"""One SELECT as DuckDB's own parser reads it: which relations, functions and table functions it names.

A second grammar would have holes (a text that one parser reads as harmless and the other does not), so the tree comes from
`json_serialize_sql` of the very DuckDB that will run the statement. The world is closed: a part of the tree that is not known
here is refused, never skipped.
"""

import json
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb

from schemas.errors import UsageError

QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
TABLES = frozenset({"BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SHOW_REF", "SUBQUERY", "TABLE_FUNCTION"})
MODIFIERS = frozenset({"DISTINCT_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_MODIFIER"})
ORDERS = frozenset({"ORDER_DEFAULT", "ASCENDING", "DESCENDING"})
STRUCTURE = QUERY_NODES | TABLES | MODIFIERS | ORDERS
EXPRESSIONS = (
    frozenset({"BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT"})
    | frozenset({"FUNCTION", "LAMBDA", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "WINDOW"})
)  # fmt: skip
# DESCRIBE and SUMMARIZE of something that stands in the tree itself; SHOW of a bare name asks the catalog.
SHOWN = frozenset({"DESCRIBE", "SUMMARY"})
# What a SELECT may begin with.
READING = frozenset({"SELECT", "WITH", "FROM", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "SUMMARIZE", "SHOW", "("})

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class RefusedError(UsageError):
    """SQL that is not run; the message names what was refused and the way out."""


@dataclass(frozen=True, order=True)
class Relation:
    """A table or view as it is named in SQL, lower case; '' for a part that is not given."""

    catalog: str
    schema: str
    name: str

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.name) if part)


@dataclass
class Survey:
    """What one SELECT names. CTEs in scope are no relations; functions include operators, by DuckDB's names for them.

    `arguments` are those given by name (name := value), by the function or table function.
    """

    relations: set[Relation] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    table_functions: set[str] = field(default_factory=set)
    arguments: dict[str, set[str]] = field(default_factory=dict)


def survey_select(con: duckdb.DuckDBPyConnection, sql: str) -> Survey:
    """Parse one SELECT and survey it; nothing is bound or run.

    Raises RefusedError for anything but one SELECT, and duckdb.ParserException for what is not SQL.
    """
    if "\0" in sql:
        raise RefusedError("The statement holds a NUL character; take it out.")
    row = con.execute("select json_serialize_sql(?::varchar)", [sql]).fetchone()
    assert row is not None
    try:
        document = json.loads(row[0])
    except RecursionError:
        raise RefusedError("The statement is nested too deeply; name its parts in a with clause.") from None
    if document["error"]:
        raise _explain(con, sql, document)
    if not document["statements"]:
        raise RefusedError("There is no statement; expected one SELECT, for example: select count(*) from core.events")
    if len(document["statements"]) > 1:
        raise RefusedError(f"There are {len(document['statements'])} statements; expected one SELECT. Ask them one by one.")
    survey = Survey()
    _survey(document["statements"][0]["node"], survey)
    return survey


def lower_ascii(name: str) -> str:
    """A name as DuckDB compares it: only A to Z have a lower case, so no other letter can pose as one of them."""
    return name.translate(_LOWER)


def _explain(con: duckdb.DuckDBPyConnection, sql: str, document: dict[str, Any]) -> Exception:
    """Why a text is not a SELECT. It is only cut into words here: to let DuckDB expand a PRAGMA or IMPORT could open files."""
    if document["error_type"] == "parser":
        try:
            con.extract_statements(sql)  # The same parser stops at the same place, and says so with the line and a caret.
        except duckdb.ParserException as error:
            return error
        return RefusedError(f"The statement cannot be read: {document['error_message']}.")
    words = _first_words(sql)
    if len(words) > 1:
        return RefusedError(f"There are {len(words)} statements; expected one SELECT. Ask them one by one.")
    if words[0] in READING and "PIVOT" in sql.upper():
        return RefusedError("A PIVOT must list its values: pivot ... on event_type in ('a', 'b') using count(*).")
    if words[0] in READING:
        return RefusedError(f"This {words[0]} is not run: {document['error_message']} Ask by one SELECT.")
    return RefusedError(
        f"A {words[0]} statement is not run; the lake is asked read-only, by one SELECT. 'headwater views' lists what can be asked."
    )


def _first_words(sql: str) -> list[str]:
    """The first word of each statement, upper case."""
    data, words, is_first = sql.encode(), [], True
    for start, _ in duckdb.tokenize(sql):
        if data[start : start + 1] == b";":
            is_first = True
        elif is_first:
            found = re.match(rb"\w+|.", data[start:], re.DOTALL)
            words.append(found.group().decode(errors="replace").upper() if found else "")
            is_first = False
    return words


def _survey(root: dict[str, Any], survey: Survey) -> None:
    """Visit every part of the tree, each with the CTEs that are in scope there (an explicit stack: depth costs no recursion)."""
    stack: list[tuple[Any, frozenset[str]]] = [(root, frozenset())]
    while stack:
        node, ctes = stack.pop()
        if isinstance(node, list):
            stack.extend((part, ctes) for part in node)
        elif isinstance(node, dict):
            if isinstance(node.get("type"), dict):
                continue  # A constant: its type and value name nothing.
            if "cte_map" in node:
                inner = ctes
                for name, query in _ctes(node):
                    # A CTE sees those before it. Itself it sees only in the second half of a recursive one (below): in
                    # `with t as (select * from t)` the inner t is the catalog's.
                    stack.append((query, inner))
                    inner = inner | {name}
                ctes = inner
            _note(node, ctes, survey)
            stack.extend(_parts(node, ctes))


def _ctes(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in (node["cte_map"] or {}).get("map", []):
        yield lower_ascii(entry["key"]), entry["value"]


def _parts(node: dict[str, Any], ctes: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    is_recursive = node.get("type") == "RECURSIVE_CTE_NODE"
    for key, part in node.items():
        if key in {"cte_map", "cast_type"}:
            continue
        if key == "function" and node.get("type") == "TABLE_FUNCTION":
            part = list(part.values())  # noqa: PLW2901 - its name is noted as a table function's, its arguments are visited.
        yield part, ctes | {lower_ascii(node["cte_name"])} if is_recursive and key == "right" else ctes


def _note(node: dict[str, Any], ctes: frozenset[str], survey: Survey) -> None:
    """Check that the node is of a known kind and write down what it names."""
    kind, group = node.get("type"), node.get("class")
    if group is not None:
        if group not in EXPRESSIONS:
            raise RefusedError(f"An expression of kind {group} is not allowed; write it with columns, constants, operators and functions.")
        if group in {"FUNCTION", "WINDOW"}:
            survey.functions.add(_function_name(node))
            _note_arguments(node, survey)
    elif isinstance(kind, str):
        if kind not in STRUCTURE:
            raise RefusedError(f"A part of kind {kind} is not allowed; ask the views by select, join, with and union.")
        if kind == "BASE_TABLE":
            _note_table(node, ctes, survey)
        elif kind == "TABLE_FUNCTION":
            survey.table_functions.add(_function_name(node["function"]))
            _note_arguments(node["function"], survey)
        elif kind == "SHOW_REF" and (node.get("show_type") not in SHOWN or node.get("query") is None):
            raise RefusedError("SHOW asks the catalog; 'headwater views' lists the views, 'headwater views show NAME' their columns.")


def _note_table(node: dict[str, Any], ctes: frozenset[str], survey: Survey) -> None:
    relation = Relation(lower_ascii(node["catalog_name"]), lower_ascii(node["schema_name"]), lower_ascii(node["table_name"]))
    if node.get("at_clause"):
        raise RefusedError(f"'{relation}' is asked AT another version; a session's answers are of one version. Leave AT out.")
    if not (relation.name in ctes and not relation.schema and not relation.catalog):
        survey.relations.add(relation)


def _note_arguments(node: dict[str, Any], survey: Survey) -> None:
    """The tree has the name of an argument as its alias."""
    names = {lower_ascii(part["alias"]) for part in node.get("children", []) if part.get("alias")}
    if names:
        survey.arguments.setdefault(_function_name(node), set()).update(names)


def _function_name(node: dict[str, Any]) -> str:
    name = lower_ascii(node["function_name"])
    path = [part for part in (node.get("catalog", ""), node.get("schema", "")) if part]
    # The parser itself writes schema main for list_value, struct_pack and the like.
    return name if path in ([], ["main"], ["pg_catalog"]) else ".".join([*path, name])
