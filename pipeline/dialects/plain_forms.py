"""What DuckDB has short forms for, in long ones that every engine knows. Each function gives a statement back that says the same."""

from collections.abc import Collection, Iterator

from sqlglot import exp

from pipeline.dialects.rewrite import rewrite
from pipeline.dialects.untranslatable import UntranslatableError

SETTINGS = "settings"
MAIN = "main"
ZONES_OF_DUCKDB = "pg_timezone_names"
_DAYS = (exp.DType.DATE, exp.DType.DATE32)


def name_settings(tree: exp.Expr) -> exp.Expr:
    """`settings` as main.settings: every relation has a schema then. One that the statement itself names so is left alone."""
    if _is_hidden(tree):
        return tree
    for table in tree.find_all(exp.Table):
        if table.name == SETTINGS and not table.db:
            table.set("db", exp.to_identifier(MAIN))
    return tree


def _is_hidden(tree: exp.Expr) -> bool:
    return any(cte.alias == SETTINGS for cte in tree.find_all(exp.CTE))


def read_settings_apart(tree: exp.Expr, settings: Collection[str]) -> exp.Expr:
    """`(select coalesce(s.a[x], s.b) from settings as s)`, x from without: each of the `settings` by a subquery of its own.

    Spark has no subquery of one value that reads a column from without, unless it aggregates.
    """
    if _is_hidden(tree):
        return tree

    def replace(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Subquery) or node.alias or not isinstance(node.this, exp.Select):
            return node
        select = node.this
        source = select.args.get("from_")
        if source is None or not isinstance(source.this, exp.Table) or source.this.name != SETTINGS:
            return node
        if select.args.get("joins") or select.args.get("where") or len(select.expressions) != 1:
            return node
        name = source.this.alias_or_name
        value = select.expressions[0].copy()
        for column in list(value.find_all(exp.Column)):
            if column.table == name or (not column.table and column.name in settings):
                asked = exp.select(exp.column(column.name, table=SETTINGS)).from_(exp.to_table(f"{MAIN}.{SETTINGS}"))
                column.replace(exp.Subquery(this=asked))
        return exp.paren(value)

    return rewrite(tree, replace)


def order_unions(tree: exp.Expr) -> exp.Expr:
    """`union all by name`: the columns of each side in the order of their first mention, null where a side has none."""
    for union in [one for one in tree.find_all(exp.SetOperation) if _is_by_name(one) and not _is_by_name(one.parent)]:
        sides = list(_sides(union))
        names = list(dict.fromkeys(given.alias_or_name for side in sides for given in side.expressions))
        for side in sides:
            given = {one.alias_or_name: one for one in side.expressions}
            side.set("expressions", [given.get(name) or exp.alias_(exp.Null(), name) for name in names])
        for one in [one for one in union.find_all(exp.SetOperation) if _is_by_name(one)]:
            one.set("by_name", None)
    return tree


def _is_by_name(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.SetOperation) and bool(node.args.get("by_name"))


def _sides(union: exp.Expr) -> Iterator[exp.Select]:
    """The selects of a chain of unions by name, from the first on."""
    for side in (union.this.unnest(), union.expression.unnest()):
        if _is_by_name(side):
            yield from _sides(side)
        elif isinstance(side, exp.Select):
            yield side
        else:
            raise UntranslatableError("a union by name of what is itself a union")


def join_asof_by_range(tree: exp.Expr) -> exp.Expr:
    """`asof join b on a.at >= b.at`: a join with what holds from b.at until the next of its kind."""
    for number, join in enumerate([one for one in tree.find_all(exp.Join) if one.args.get("method") == "ASOF"], 1):
        _join_by_range(join, f"until_{number}")
    return tree


def _join_by_range(join: exp.Join, until: str) -> None:
    name = join.this.alias_or_name
    conditions = list(join.args["on"].flatten()) if isinstance(join.args["on"], exp.And) else [join.args["on"]]
    later = [one for one in conditions if isinstance(one, (exp.GTE, exp.GT))]
    equal = [one for one in conditions if isinstance(one, exp.EQ)]
    if len(later) != 1 or len(later) + len(equal) != len(conditions) or name not in later[0].expression.sql().split("."):
        raise UntranslatableError("an asof join by more than equal keys and one moment that is not before another's")
    ends = [(one.this, one.expression) for one in (*later, *equal)]
    if not all(isinstance(end, exp.Column) for pair in ends for end in pair):
        raise UntranslatableError("an asof join by what is no column")
    moment = later[0].expression.name
    keys = [(one.expression if one.expression.table == name else one.this).name for one in equal]
    select = join.find_ancestor(exp.Select)
    assert select is not None
    read = dict.fromkeys(one.name for one in select.find_all(exp.Column) if one.table == name)
    following = exp.Window(
        this=exp.Lead(this=exp.column(moment, table="each")),
        partition_by=[exp.column(key, table="each") for key in keys],
        order=exp.Order(expressions=[exp.Ordered(this=exp.column(moment, table="each"))]),
    )
    source = join.this.copy()
    source.set("alias", exp.TableAlias(this=exp.to_identifier("each")))
    columns = [exp.alias_(exp.column(column, table="each"), column) for column in read]
    within = exp.select(*columns, exp.alias_(following, until)).from_(source)
    end = exp.column(until, table=name)
    is_before = (exp.LT if isinstance(later[0], exp.GTE) else exp.LTE)(this=later[0].this.copy(), expression=end.copy())
    is_open = exp.Is(this=end, expression=exp.Null())
    join.set("this", exp.Subquery(this=within, alias=exp.TableAlias(this=exp.to_identifier(name))))
    join.set("method", None)
    join.set("on", exp.and_(join.args["on"].copy(), exp.or_(is_open, is_before)))


def group_by_place(tree: exp.Expr) -> exp.Expr:
    """`group by all`: by the places of what is no aggregate."""
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        if group is not None and group.args.get("all"):
            places = [exp.Literal.number(place) for place, one in enumerate(select.expressions, 1) if not _aggregates(one, select)]
            keys = [*places, *group.expressions]
            select.set("group", exp.Group(expressions=keys) if keys else None)
    return tree


def _aggregates(given: exp.Expr, select: exp.Select) -> bool:
    """Whether it adds up rows of this very select, in a window or not, and not of one within it."""
    return any(one.find_ancestor(exp.Select) is select for one in given.find_all(exp.AggFunc))


def skip_nulls(tree: exp.Expr) -> exp.Expr:
    """`arg_max(a, b)` and `arg_min` pass over rows whose a is null: said as a filter, since in Trino and Spark they do not."""
    for one in list(tree.find_all(exp.ArgMax, exp.ArgMin)):
        known = exp.Not(this=exp.Is(this=one.this.copy(), expression=exp.Null()))
        around = one.parent
        if isinstance(around, exp.Filter):
            around.expression.set("this", exp.and_(around.expression.this.copy(), known))
        else:
            one.replace(exp.Filter(this=one.copy(), expression=exp.Where(this=known)))
    return tree


def refuse_table_functions(tree: exp.Expr) -> exp.Expr:
    """Functions where relations stand: others know lists there, by unnest.

    Raises UntranslatableError when there is one.
    """
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func):
            name = table.this.name if isinstance(table.this, exp.Anonymous) else table.this.sql_name().lower()
            if name.lower() != ZONES_OF_DUCKDB:
                raise UntranslatableError(f"{name}() stands in from; write cross join unnest(...)")
    return tree


def refuse_whole_rows(tree: exp.Expr) -> exp.Expr:
    """A relation's name where a value stands is its row, in DuckDB alone.

    Raises UntranslatableError when there is one.
    """
    for row in tree.find_all(exp.TableColumn, exp.Column):
        if isinstance(row, exp.TableColumn) or (isinstance(row, exp.Column) and not row.table):
            raise UntranslatableError(f"'{row.name}' stands for a whole row")
    return tree


def name_functions(tree: exp.Expr) -> exp.Expr:
    """DuckDB's own forms by functions that others have: `timezone(z, t)`, `get_current_timestamp()`, `map {}`; any value of a group is its greatest.

    Raises UntranslatableError for an empty map that is not cast to its types: in others it has none.
    """

    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Anonymous) and node.name.lower() == "timezone" and len(node.expressions) == len(("zone", "moment")):
            zone, moment = node.expressions
            return exp.paren(exp.AtTimeZone(this=moment.copy(), zone=zone.copy()))
        if isinstance(node, exp.Anonymous) and node.name.lower() == "get_current_timestamp":
            return exp.CurrentTimestamp()
        if isinstance(node, exp.ToMap) and not node.this.expressions:
            if not isinstance(node.parent, exp.Cast):
                raise UntranslatableError("an empty map without its types; write map {}::map(varchar, double)")
            return exp.Anonymous(this="MAP")
        if isinstance(node, exp.IgnoreNulls) and isinstance(node.this, exp.AnyValue):
            return _take_greatest(node.this.this)
        return node

    return rewrite(tree, replace)


def _take_greatest(value: exp.Expr) -> exp.Expr:
    """Any value is the greatest, too, and of maps that of their entries in order; in the order of something else it is the first."""
    if isinstance(value, exp.Order):
        raise UntranslatableError("any_value in an order; write arg_min")
    if value.is_type(exp.DType.MAP):
        raise UntranslatableError("any_value of a map; write arg_max(map, moment)")
    return exp.Max(this=value.copy())


def name_days_between(tree: exp.Expr) -> exp.Expr:
    """`day + 1`, `day - 1` and `later - earlier` of days: as date_add and date_diff. Types must be noted."""
    for one in list(tree.find_all(exp.Add, exp.Sub)):
        left, right = one.this, one.expression
        if not left.is_type(*_DAYS):
            continue
        if right.is_type(*_DAYS) and isinstance(one, exp.Sub):
            one.replace(exp.DateDiff(this=left.copy(), expression=right.copy(), unit=exp.var("DAY")))
        elif right.is_type(*exp.DataType.INTEGER_TYPES):
            count = right.copy() if isinstance(one, exp.Add) else exp.Neg(this=right.copy())
            moved = exp.DateAdd(this=left.copy(), expression=count, unit=exp.var("DAY"))
            one.replace(exp.Cast(this=moved, to=exp.DataType.build("DATE")))
    return tree
