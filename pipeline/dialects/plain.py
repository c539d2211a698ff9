"""A view in plain SQL: still DuckDB's, and DuckDB says the same of it, but with nothing in it that others have no form for.

Stars are written out, groups and columns named, joins ordinary ones. What is left to an engine is how it spells its functions.
"""

from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from pipeline.ask.macros import Macro
from pipeline.dialects.inline_macros import inline_macros
from pipeline.dialects.plain_forms import (
    MAIN,
    SETTINGS,
    group_by_place,
    join_asof_by_range,
    name_days_between,
    name_functions,
    name_settings,
    order_unions,
    read_settings_apart,
    refuse_table_functions,
    refuse_whole_rows,
    skip_nulls,
)
from pipeline.dialects.unnests import join_unnests
from pipeline.dialects.untranslatable import UntranslatableError

# Columns of each relation by its name, with their DuckDB types.
Columns = Mapping[str, Mapping[str, str]]

# Once names are qualified.
_FORMS: tuple[Callable[[exp.Expr], exp.Expr], ...] = (
    refuse_table_functions,
    order_unions,
    join_asof_by_range,
    join_unnests,
    group_by_place,
    skip_nulls,
)


def schema_of(columns: Columns) -> MappingSchema:
    """The columns of relations layer.name as sqlglot wants them."""
    schema = MappingSchema(dialect="duckdb")
    for name, found in columns.items():
        layer, _, stem = name.rpartition(".")
        schema.add_table(exp.table_(stem, db=layer), dict(found), dialect="duckdb")
    return schema


def to_plain(sql: str, macros: Mapping[str, Macro], schema: MappingSchema) -> exp.Expr:
    """The statement as plain SQL, types noted in the tree.

    Raises UntranslatableError for what has no plain form.
    """
    try:
        tree = inline_macros(sqlglot.parse_one(sql, read="duckdb"), macros)
        tree = name_settings(read_settings_apart(tree, schema.column_names(exp.table_(SETTINGS, db=MAIN))))
        tree = qualify(tree, schema=schema, dialect="duckdb", quote_identifiers=False, identify=False)
        for form in _FORMS:
            tree = form(tree)
        tree = annotate_types(pushdown_projections(tree), schema=schema, dialect="duckdb")
        # Types are noted once more: what these put in has none yet.
        tree = name_functions(name_days_between(refuse_whole_rows(tree)))
        return annotate_types(tree, schema=schema, dialect="duckdb")
    except SqlglotError as error:
        raise UntranslatableError(f"sqlglot: {str(error).splitlines()[0]}") from None
