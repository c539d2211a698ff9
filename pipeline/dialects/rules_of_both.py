"""What Spark and Trino both spell otherwise than sqlglot thinks. Each rule takes a node, with its type noted, and gives it or another in its place."""

from sqlglot import exp

from pipeline.dialects.plain_forms import MAIN, ZONES_OF_DUCKDB
from pipeline.dialects.untranslatable import UntranslatableError

# A relation of one column, name: the zones that DuckDB knows. It is printed with the views.
ZONES = "time_zones"
_FRACTIONS = (exp.DType.DOUBLE, exp.DType.FLOAT, exp.DType.DECIMAL)


def call_function(name: str, *arguments: exp.Expr) -> exp.Expr:
    """A function by a name that sqlglot does not look into."""
    return exp.Anonymous(this=name, expressions=[one.copy() for one in arguments])


def put_flag_into_pattern(node: exp.Expr) -> exp.Expr:
    """`regexp_matches(text, pattern, 'i')`: Spark's operator has no options, Trino's function none either."""
    if not isinstance(node, exp.RegexpLike) or not node.args.get("flag"):
        return node
    flag, pattern = node.args["flag"], node.expression
    if flag.name != "i" or not isinstance(pattern, exp.Literal):
        raise UntranslatableError(f"a regular expression with the option {flag}")
    return exp.RegexpLike(this=node.this.copy(), expression=exp.Literal.string(f"(?i){pattern.name}"))


def replace_all(node: exp.Expr) -> exp.Expr:
    """`regexp_replace(text, pattern, with)` replaces the first match, in others all: the same only where there can be one, or with 'g'.

    Raises UntranslatableError for a pattern that may fit more than once.
    """
    if not isinstance(node, exp.RegexpReplace):
        return node
    flags = node.args.get("modifiers")
    pattern = node.expression
    is_one = isinstance(pattern, exp.Literal) and (pattern.name.startswith("^") or pattern.name.endswith("$")) and "|" not in pattern.name
    if not is_one and (flags is None or flags.name != "g"):
        raise UntranslatableError("regexp_replace of the first match alone; write 'g' to replace all")
    if flags is not None and flags.name != "g":
        raise UntranslatableError(f"regexp_replace with the options {flags}")
    return (
        exp.RegexpReplace(this=node.this.copy(), expression=pattern.copy(), replacement=node.args["replacement"].copy()) if flags else node
    )


def look_up(node: exp.Expr) -> exp.Expr:
    """`map['key']`: with element_at a key that is not there gives null, with brackets Trino raises."""
    if isinstance(node, exp.Bracket) and node.this.is_type(exp.DType.MAP):
        found = call_function("ELEMENT_AT", node.this, *node.expressions)
        found.type = node.this.type.expressions[1] if node.this.type and node.this.type.expressions else None
        return found
    return node


def write_map(node: exp.Expr) -> exp.Expr:
    """`map {'key': 'value'}`, as keys and values."""
    if not isinstance(node, exp.ToMap):
        return node
    entries = node.this.expressions
    keys, values = [entry.this.copy() for entry in entries], [entry.expression.copy() for entry in entries]
    return exp.Map(keys=exp.Array(expressions=keys), values=exp.Array(expressions=values))


def count_items(node: exp.Expr) -> exp.Expr:
    """`len(list)`: length is that of a text alone."""
    if isinstance(node, exp.Length) and node.this.is_type(exp.DType.ARRAY, exp.DType.LIST):
        return call_function("CARDINALITY", node.this)
    return node


def write_as_text(node: exp.Expr) -> exp.Expr:
    """`concat_ws(':', text, number)`: Trino joins texts alone."""
    if not isinstance(node, exp.ConcatWs):
        return node
    separator, *parts = node.expressions
    texts = [part.copy() if part.is_type(*exp.DataType.TEXT_TYPES) else exp.cast(part.copy(), "varchar") for part in parts]
    return call_function("CONCAT_WS", separator, *texts)


def round_fractions(node: exp.Expr) -> exp.Expr:
    """`1.7::bigint` is 2 in DuckDB and Trino, and 1 in Spark."""
    is_cast = isinstance(node, (exp.Cast, exp.TryCast)) and node.is_type(*exp.DataType.INTEGER_TYPES)
    if not is_cast or not node.this.is_type(*_FRACTIONS) or isinstance(node.this, exp.Round):
        return node
    return type(node)(this=exp.Round(this=node.this.copy()), to=node.args["to"].copy())


def refuse_borders(node: exp.Expr) -> exp.Expr:
    """`date_diff` counts borders in DuckDB, and whole units in others: the same for days of dates alone.

    Raises UntranslatableError for any other.
    """
    if isinstance(node, (exp.DateDiff, exp.TimestampDiff)):
        are_days = (
            node.this.is_type(exp.DType.DATE) and node.expression.is_type(exp.DType.DATE) and str(node.args.get("unit")).upper() == "DAY"
        )
        if not are_days:
            raise UntranslatableError("date_diff of moments, or by another unit than days")
    return node


def drop_hint(node: exp.Expr) -> exp.Expr:
    """`as materialized`, which others have no word for."""
    if isinstance(node, exp.CTE):
        node.set("materialized", None)
    return node


def name_zones(node: exp.Expr) -> exp.Expr:
    """`pg_timezone_names()`: a relation that is printed with the views."""
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Anonymous) and node.this.name == ZONES_OF_DUCKDB:
        return exp.table_(ZONES, db=MAIN, alias=node.alias or ZONES)
    return node


def find_hex_digits(node: exp.Expr) -> exp.Expr | None:
    """The digits of `('0x' || digits)::ubigint`; None for what is no unsigned number.

    Raises UntranslatableError for any other unsigned number: neither engine has those.
    """
    if not isinstance(node, exp.Cast) or not node.is_type(exp.DType.UBIGINT):
        return None
    value = node.this.unnest()
    if not isinstance(value, exp.DPipe) or value.this.name != "0x":
        raise UntranslatableError("an unsigned number that is not written in hexadecimal digits")
    digits: exp.Expr = value.expression
    return digits


def is_moment(node: exp.Expr) -> bool:
    """Whether it is a TIMESTAMPTZ; False for a time on a clock, TIMESTAMP or DATE.

    Raises UntranslatableError when nothing says its type.
    """
    if node.is_type(exp.DType.TIMESTAMPTZ):
        return True
    if node.is_type(exp.DType.TIMESTAMP, exp.DType.TIMESTAMPNTZ, exp.DType.DATE):
        return False
    raise UntranslatableError(f"nothing says of which type {node.sql('duckdb')} is; cast it")


def is_epoch_ms(node: exp.Expr) -> bool:
    """Whether it is `epoch_ms(moment)`, and not `to_timestamp(secs)`, which is the same to sqlglot.

    Raises UntranslatableError for `epoch_ms(number)`.
    """
    if not isinstance(node, exp.UnixToTime) or node.args.get("scale") is None:
        return False
    if not node.this.is_type(*exp.DataType.TEMPORAL_TYPES):
        raise UntranslatableError(f"epoch_ms of {node.this.sql('duckdb')}, which is no moment, or of which nothing says the type")
    return True


RULES_OF_BOTH = (
    *(put_flag_into_pattern, replace_all, look_up, write_map, count_items, write_as_text),
    *(round_fractions, refuse_borders, drop_hint, name_zones),
)
# Functions, by sqlglot's classes, that are the same in all as sqlglot spells them, or that a rule has made so; whoever adds one has looked at what
# each engine does with nulls and types.
SAME_IN_ALL = frozenset(
    [
        *("Abs", "And", "ArgMax", "ArgMin", "Array", "ArrayAgg", "ArrayDistinct", "ArraySort", "Avg", "Case", "Cast", "Ceil"),
        *("Coalesce", "Count", "CurrentDate", "CurrentTimestamp", "DateAdd", "DateDiff", "Day", "DayOfWeekIso", "DenseRank"),
        *("Exp", "FirstValue", "Floor", "GenerateSeries", "Greatest", "Hour", "If", "JSONExtractScalar", "Lag", "LastValue"),
        *("Lead", "Least", "Left", "Length", "Ln", "LogicalAnd", "LogicalOr", "Lower", "Map", "MapFromEntries", "Max", "MD5"),
        *("Min", "Minute", "Month", "Not", "Nullif", "Or", "Pad", "Pow", "Rank", "RegexpExtract", "RegexpLike"),
        *("RegexpReplace", "Replace", "Round", "RowNumber", "Sign", "Split", "SplitPart", "Sqrt", "StartsWith", "Struct"),
        *("Substring", "Sum", "TimestampTrunc", "TimeToUnix", "Trim", "TryCast", "UnixToTime", "Unnest", "Upper", "Xor"),
        "Year",
    ]
)
