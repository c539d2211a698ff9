"""Calls of the library's macros, replaced by what they stand for: other engines have no macros."""

from collections.abc import Mapping

import sqlglot
from sqlglot import exp

from pipeline.ask.macros import Macro
from pipeline.dialects.untranslatable import UntranslatableError

# What stands as one operand wherever it is put.
_WHOLE = (exp.Column, exp.Literal, exp.Paren, exp.Func, exp.Subquery, exp.Array, exp.Case, exp.Null)


def inline_macros(tree: exp.Expr, macros: Mapping[str, Macro]) -> exp.Expr:
    """The statement without calls of `macros`; those that macros call are replaced too.

    Raises UntranslatableError for a call whose arguments no parameter takes, and of a macro whose name sqlglot takes for a function that it knows.
    """
    for one in tree.find_all(exp.Func):
        if not isinstance(one, exp.Anonymous) and any(name.lower() in macros for name in one.sql_names()):
            raise UntranslatableError(f"sqlglot takes the macro {one.sql_name().lower()} for a function of that name; give it another")

    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Anonymous):
            macro = macros.get(node.this.name.lower())
            return node if macro is None else _as_relation(node, macro, macros)
        macro = macros.get(node.name.lower()) if isinstance(node, exp.Anonymous) else None
        return node if macro is None or macro.is_table else _as_value(node, macro, macros)

    return tree.transform(replace)


def _as_value(call: exp.Expr, macro: Macro, macros: Mapping[str, Macro]) -> exp.Expr:
    (body,) = sqlglot.parse_one(f"select {macro.body}", read="duckdb").expressions
    said = _with_arguments(inline_macros(body.copy(), macros), _arguments(call, macro, macros))
    return said if isinstance(said, _WHOLE) else exp.Paren(this=said)


def _as_relation(table: exp.Table, macro: Macro, macros: Mapping[str, Macro]) -> exp.Expr:
    body = sqlglot.parse_one(macro.body, read="duckdb")
    said = _with_arguments(inline_macros(body, macros), _arguments(table.this, macro, macros))
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(macro.name))
    return exp.Subquery(this=said, alias=alias.copy())


def _arguments(call: exp.Expr, macro: Macro, macros: Mapping[str, Macro]) -> dict[str, exp.Expr]:
    """What is given for each parameter, by place, by name or by default."""
    names = [one.name.strip('"') for one in macro.parameters]
    if len(call.expressions) > len(names):
        raise UntranslatableError(f"{macro.name} is called with {len(call.expressions)} arguments; expected {names}")
    given: dict[str, exp.Expr] = {}
    for place, argument in enumerate(call.expressions):
        if isinstance(argument, exp.PropertyEQ):
            given[argument.this.name] = argument.expression
        else:
            given[names[place]] = argument
    for one, name in zip(macro.parameters, names, strict=True):
        if name not in given and one.default is not None:
            given[name] = sqlglot.parse_one(one.default, read="duckdb")
    if set(given) != set(names):
        raise UntranslatableError(f"{macro.name} is called with {sorted(given)}; expected {names}")
    return {name: inline_macros(value.copy(), macros) for name, value in given.items()}


def _with_arguments(body: exp.Expr, given: Mapping[str, exp.Expr]) -> exp.Expr:
    """The body with each parameter, a bare name, replaced by what was given for it."""

    def replace(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column) or node.table or node.name not in given:
            return node
        value = given[node.name].copy()
        return value if isinstance(value, _WHOLE) else exp.Paren(this=value)

    return body.transform(replace)
