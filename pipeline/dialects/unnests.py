"""`unnest(...)` among what a select gives, as a join beside it: other engines know lists in `from` alone, and rows of a list by place alone."""

from collections.abc import Iterator, Sequence

from sqlglot import exp

from pipeline.dialects.untranslatable import UntranslatableError


def join_unnests(tree: exp.Expr) -> exp.Expr:
    """The statement with `cross join values` for lists that are written out, and `cross join unnest` for all others.

    A list of objects becomes a column for each field: `said.chart` becomes `said_chart`. Names of the statement must be qualified.

    Raises UntranslatableError for an object that is passed on whole, and for lists side by side that are not written out.
    """
    for number, select in enumerate(list(tree.find_all(exp.Select)), 1):
        unnests = [one for given in select.expressions for one in given.find_all(exp.Explode) if one.find_ancestor(exp.Select) is select]
        lists = [one.this.expressions if isinstance(one.this, exp.Array) else [] for one in unnests]
        if unnests and all(lists):
            _join_choices(tree, select, unnests, lists, f"choice_{number}")
        elif unnests:
            _join_list(select, unnests, f"item_{number}")
    if any(tree.find_all(exp.Explode)):
        raise UntranslatableError("unnest stands where no select gives it")
    return tree


def _join_choices(tree: exp.Expr, select: exp.Select, unnests: Sequence[exp.Explode], lists: Sequence[list[exp.Expr]], name: str) -> None:
    """Lists that are written out: a row for each place, and of each list what stands there."""
    if len({len(items) for items in lists}) > 1:
        raise UntranslatableError("lists of different lengths are unnested side by side")
    if len(lists) == 1 and all(isinstance(item, exp.Literal) for item in lists[0]):
        unnests[0].replace(exp.column("value", table=name))
        _join(select, _values(lists[0], name, "value"))
        return
    choice = exp.column("number", table=name)
    for unnest, items in zip(unnests, lists, strict=True):
        if any(isinstance(item, exp.Struct) for item in items):
            _give_fields(tree, select, unnest, items, choice)
        else:
            unnest.replace(_choose(choice, items))
    _join(select, _values([exp.Literal.number(place) for place in range(1, len(lists[0]) + 1)], name, "number"))
    group = select.args.get("group")
    if group is not None:
        group.append("expressions", choice.copy())


def _give_fields(tree: exp.Expr, select: exp.Select, unnest: exp.Explode, items: Sequence[exp.Expr], choice: exp.Column) -> None:
    """In place of the object that the select gives, its fields; and where the select around reads a field, that column."""
    given = unnest.parent
    if not isinstance(given, exp.Alias) or given.parent is not select:
        raise UntranslatableError("a list of objects is unnested within an expression")
    fields = [field.this.name for field in items[0].expressions]
    if any(not isinstance(item, exp.Struct) or [field.this.name for field in item.expressions] != fields for item in items):
        raise UntranslatableError(f"objects of '{given.alias}' that have not the same fields in the same order")
    columns = [exp.alias_(_choose(choice, [_field(item, field) for item in items]), f"{given.alias}_{field}") for field in fields]
    around = select.find_ancestor(exp.Select)
    for field_read in list(_fields_read(around or tree, around, given.alias)):
        field_read.replace(exp.column(f"{given.alias}_{field_read.expression.name}", table=field_read.this.table))
    select.set("expressions", [one for each in select.expressions for one in (columns if each is given else [each])])


def _fields_read(tree: exp.Expr, around: exp.Select | None, name: str) -> Iterator[exp.Dot]:
    for column in tree.find_all(exp.Column):
        if column.name == name and column.find_ancestor(exp.Select) is around:
            if not isinstance(column.parent, exp.Dot):
                raise UntranslatableError(f"the object '{name}' is passed on whole")
            yield column.parent


def _field(item: exp.Expr, name: str) -> exp.Expr:
    fields: dict[str, exp.Expr] = {field.this.name: field.expression for field in item.expressions}
    return fields[name]


def _choose(choice: exp.Column, values: Sequence[exp.Expr]) -> exp.Expr:
    case = exp.Case(this=choice.copy())
    for place, value in enumerate(values, 1):
        case.append("ifs", exp.If(this=exp.Literal.number(place), true=value.copy()))
    return case


def _join_list(select: exp.Select, unnests: Sequence[exp.Explode], name: str) -> None:
    """A list that is computed; keys and values of one map are its entries."""
    alias = exp.TableAlias(this=exp.to_identifier(name), columns=[exp.to_identifier("value")])
    value = exp.column("value", table=name)
    if len(unnests) == 1:
        _join(select, exp.Unnest(expressions=[unnests[0].this.copy()], alias=alias))
        unnests[0].replace(value)
        return
    parts = {_part_of_map(one.this): one for one in unnests}
    maps = {one.this.find(exp.Column) for one in unnests}
    if set(parts) != {"key", "value"} or len(maps) > 1:
        raise UntranslatableError("lists are unnested side by side that are not the keys and values of a map")
    _join(select, exp.Unnest(expressions=[exp.func("map_entries", maps.pop().copy(), dialect="duckdb")], alias=alias))
    for part, unnest in parts.items():
        unnest.replace(exp.Dot(this=value.copy(), expression=exp.to_identifier(part)))


def _part_of_map(value: exp.Expr) -> str:
    if isinstance(value, exp.MapKeys):
        return "key"
    return "value" if isinstance(value, exp.Anonymous) and value.name.lower() == "map_values" else ""


def _values(items: Sequence[exp.Expr], name: str, column: str) -> exp.Expr:
    rows = [exp.Tuple(expressions=[item.copy()]) for item in items]
    alias = exp.TableAlias(this=exp.to_identifier(name), columns=[exp.to_identifier(column)])
    return exp.Values(expressions=rows, alias=alias)


def _join(select: exp.Select, relation: exp.Expr) -> None:
    if select.args.get("from_") is None:
        select.set("from_", exp.From(this=relation))
    else:
        select.append("joins", exp.Join(this=relation, kind="CROSS"))
