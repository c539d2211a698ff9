"""What Spark spells otherwise than sqlglot thinks. Sessions are in UTC: there a moment and a time on a clock of UTC are one type."""

from sqlglot import exp

from pipeline.dialects.rules_of_both import call_function, find_hex_digits, is_epoch_ms, is_moment
from pipeline.dialects.untranslatable import UntranslatableError


def count_milliseconds(node: exp.Expr) -> exp.Expr:
    """`epoch_ms(moment)`, which sqlglot takes for the way back."""
    return call_function("UNIX_MILLIS", node.this) if is_epoch_ms(node) else node


def read_seconds(node: exp.Expr) -> exp.Expr:
    """`to_timestamp(secs)`: from_unixtime, sqlglot's word for it, drops fractions."""
    is_asked = isinstance(node, exp.UnixToTime) and node.args.get("scale") is None
    return call_function("TIMESTAMP_SECONDS", node.this) if is_asked else node


def count_seconds(node: exp.Expr) -> exp.Expr:
    """`epoch(moment)`: unix_timestamp, sqlglot's word for it, drops fractions."""
    if not isinstance(node, exp.TimeToUnix):
        return node
    return exp.paren(
        exp.Div(this=exp.cast(call_function("UNIX_MICROS", node.this), "double"), expression=exp.Literal.number("1000000.0"), typed=True)
    )


def shift_zone(node: exp.Expr) -> exp.Expr:
    """`moment at time zone z`, and the way back, which sqlglot takes for the same."""
    if not isinstance(node, exp.AtTimeZone):
        return node
    return call_function("FROM_UTC_TIMESTAMP" if is_moment(node.this) else "TO_UTC_TIMESTAMP", node.this, node.args["zone"])


def number_weekday(node: exp.Expr) -> exp.Expr:
    """`isodow`, 1 for Monday: sqlglot counts from another day."""
    if not isinstance(node, exp.DayOfWeekIso):
        return node
    return exp.paren(exp.Add(this=call_function("WEEKDAY", node.this), expression=exp.Literal.number(1)))


def ask_whether_finite(node: exp.Expr) -> exp.Expr:
    """`isfinite(number)`: neither no number nor without end."""
    if not isinstance(node, exp.Anonymous) or node.name.lower() != "isfinite":
        return node
    (number,) = node.expressions
    infinity = exp.cast(exp.Literal.string("Infinity"), "double")
    return exp.paren(exp.and_(exp.not_(call_function("ISNAN", number)), exp.NEQ(this=exp.Abs(this=number.copy()), expression=infinity)))


def read_hex(node: exp.Expr) -> exp.Expr:
    """`('0x' || digits)::ubigint`."""
    digits = find_hex_digits(node)
    if digits is None:
        return node
    return exp.cast(call_function("CONV", digits, exp.Literal.number(16), exp.Literal.number(10)), "bigint")


def try_no_json(node: exp.Expr) -> exp.Expr:
    """`try(json ->> path)`: get_json_object gives null of what is no JSON."""
    return node.this if isinstance(node, exp.Try) and isinstance(node.this, exp.JSONExtractScalar) else node


def sort_lists(node: exp.Expr) -> exp.Expr:
    """`list(x order by x)`: collect_list has no order. Of a map's entries it is of no weight.

    Raises UntranslatableError for a list in the order of something else.
    """
    if not isinstance(node, exp.ArrayAgg) or not isinstance(node.this, exp.Order):
        return node
    order, items = node.this, node.this.this
    if node.find_ancestor(exp.MapFromEntries):
        return exp.ArrayAgg(this=items.copy())
    keys = order.expressions
    if len(keys) != 1 or keys[0].this != items or keys[0].args.get("desc") or isinstance(node.parent, exp.Filter):
        raise UntranslatableError("a list in the order of something else than its items, or of some rows alone")
    return exp.ArraySort(this=exp.ArrayAgg(this=items.copy()))


def refuse_late_lists(tree: exp.Expr) -> exp.Expr:
    """Spark's form of `cross join unnest` stands after all joins, and none of them sees what it gives.

    Raises UntranslatableError when one would have to.
    """
    for select in tree.find_all(exp.Select):
        lists: set[str] = set()
        for join in select.args.get("joins") or ():
            condition = join.args.get("on")
            if condition is not None and any(column.table in lists for column in condition.find_all(exp.Column)):
                raise UntranslatableError("a join by what a list beside it gives; unnest the list in a select of its own")
            if isinstance(join.this, exp.Unnest):
                lists.add(join.this.alias)
    return tree


SPARK_RULES = (
    *(count_milliseconds, read_seconds, count_seconds, shift_zone, number_weekday, ask_whether_finite, read_hex, try_no_json),
    sort_lists,
)
# Functions by names that sqlglot does not know, and Spark does.
SPARK_FUNCTIONS = frozenset(
    [
        *("UNIX_MILLIS", "UNIX_MICROS", "TIMESTAMP_SECONDS", "FROM_UTC_TIMESTAMP", "TO_UTC_TIMESTAMP", "WEEKDAY", "ISNAN", "CONV"),
        *("MAP", "ELEMENT_AT", "CARDINALITY", "CONCAT_WS", "MAP_ENTRIES"),
    ]
)
# Functions that Spark has and Trino has not, or that mean another thing there.
SPARK_ALONE = frozenset(["Median"])
