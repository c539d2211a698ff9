"""What Trino, and Athena, which is made of it, spell otherwise than sqlglot thinks."""

from sqlglot import exp

from pipeline.dialects.rules_of_both import call_function, find_hex_digits, is_epoch_ms, is_moment
from pipeline.dialects.untranslatable import UntranslatableError


def count_milliseconds(node: exp.Expr) -> exp.Expr:
    """`epoch_ms(moment)`, which sqlglot takes for the way back. to_unixtime is a DOUBLE of seconds; date_diff is exact."""
    if not is_epoch_ms(node):
        return node
    return call_function("DATE_DIFF", exp.Literal.string("millisecond"), call_function("FROM_UNIXTIME", exp.Literal.number(0)), node.this)


def shift_zone(node: exp.Expr) -> exp.Expr:
    """`moment at time zone z`, which stays a moment in Trino until it is cast; and `clock at time zone z`, which is one."""
    if not isinstance(node, exp.AtTimeZone):
        return node
    zone = node.args["zone"]
    if is_moment(node.this):
        return exp.cast(call_function("AT_TIMEZONE", node.this, zone), "timestamp")
    return call_function("WITH_TIMEZONE", exp.cast(node.this.copy(), "timestamp"), zone)


def ask_whether_finite(node: exp.Expr) -> exp.Expr:
    """`isfinite(number)`."""
    is_asked = isinstance(node, exp.Anonymous) and node.name.lower() == "isfinite"
    return call_function("IS_FINITE", *node.expressions) if is_asked else node


def read_hex(node: exp.Expr) -> exp.Expr:
    """`('0x' || digits)::ubigint`."""
    digits = find_hex_digits(node)
    return node if digits is None else call_function("FROM_BASE", digits, exp.Literal.number(16))


def pass_over_nulls(node: exp.Expr) -> exp.Expr:
    """`least` and `greatest`, in Trino null when one of theirs is: another takes the place of a null first."""
    if not isinstance(node, (exp.Least, exp.Greatest)):
        return node
    given = [node.this, *node.expressions]
    filled = [exp.Coalesce(this=one.copy(), expressions=[other.copy() for other in given if other is not one]) for one in given]
    return call_function(type(node).__name__.upper(), *filled)


def find_nothing(node: exp.Expr) -> exp.Expr:
    """`regexp_extract` of a text that does not fit: an empty text, in Trino null."""
    if not isinstance(node, exp.RegexpExtract) or isinstance(node.parent, exp.Coalesce):
        return node
    found = exp.Coalesce(this=node.copy(), expressions=[exp.Literal.string("")])
    return exp.Case(ifs=[exp.If(this=exp.Not(this=exp.Is(this=node.this.copy(), expression=exp.Null())), true=found)])


def enter_rows(node: exp.Expr) -> exp.Expr:
    """`map_from_entries(list({'key': k, 'value': v}))`: entries are rows, whose fields need no names, and so no types."""
    is_entry = (
        isinstance(node, exp.Struct) and isinstance(node.parent, (exp.ArrayAgg, exp.Order)) and node.find_ancestor(exp.MapFromEntries)
    )
    return call_function("ROW", *[field.expression for field in node.expressions]) if is_entry else node


def refuse_median(node: exp.Expr) -> exp.Expr:
    """Raises UntranslatableError for `median`: Trino's percentiles are approximate."""
    if isinstance(node, exp.Median):
        raise UntranslatableError("median, of which Trino has an approximation alone")
    return node


def unnest_entries(tree: exp.Expr) -> exp.Expr:
    """`unnest(map_entries(m)) as item(value)`, value.key: Trino unnests a map into two columns, and rows into as many as they have.

    Raises UntranslatableError for a list of other rows.
    """
    for unnest in list(tree.find_all(exp.Unnest)):
        entries = unnest.expressions[0]
        if isinstance(entries, exp.Anonymous) and entries.name.lower() == "map_entries":
            unnest.set("expressions", [entries.expressions[0]])
            unnest.args["alias"].set("columns", [exp.to_identifier("key"), exp.to_identifier("value")])
            for column in list(tree.find_all(exp.Column)):
                if column.table == unnest.alias and isinstance(column.parent, exp.Dot):
                    column.parent.replace(exp.column(column.parent.expression.name, table=unnest.alias))
        elif any(kind.is_type(exp.DType.STRUCT) for kind in (entries.type.expressions if entries.type else ())):
            raise UntranslatableError("objects in a list that is computed, of which Trino makes columns")
    return tree


TRINO_RULES = (
    *(count_milliseconds, shift_zone, ask_whether_finite, read_hex, pass_over_nulls, find_nothing, enter_rows),
    refuse_median,
)
# Functions by names that sqlglot does not know, and Trino does.
TRINO_FUNCTIONS = frozenset(
    [
        *(
            "DATE_DIFF",
            "FROM_UNIXTIME",
            "IS_FINITE",
            "FROM_BASE",
            "LEAST",
            "GREATEST",
            "ROW",
            "MAP",
            "ELEMENT_AT",
            "CARDINALITY",
            "CONCAT_WS",
        ),
        *("AT_TIMEZONE", "WITH_TIMEZONE"),
    ]
)
# Functions that Trino has and Spark has not, or that mean another thing there.
TRINO_ALONE = frozenset(["Try"])
