"""A step of a funnel as text and as a struct, and which events are of it."""

from typing import Any

import pytest

from tests.macro_values import refused, value


def sql_map(given: dict[str, Any]) -> str:
    return "map {" + ", ".join(f"'{name}': {item!r}" for name, item in given.items()) + "}"


def parsed(text: str) -> tuple[str, dict[str, list[str]], list[tuple[str, str, float]]]:
    found = value("parse_step('" + text.replace("'", "''") + "')")
    return found["event_type"], found["attributes"], [(one["name"], one["is"], one["value"]) for one in found["metrics"]]


@pytest.mark.parametrize(
    ("text", "event_type", "attributes", "metrics"),
    [
        ("_session.start", "_session.start", {}, []),
        ("purchase[category=shoes]", "purchase", {"category": ["shoes"]}, []),
        ("purchase[category=shoes|boots][store=Rue d'Or]", "purchase", {"category": ["shoes", "boots"], "store": ["Rue d'Or"]}, []),
        (
            "p[a==1][b!=-2][c<3.5][d<=1e3][e>5][f>=6]",
            "p",
            {},
            [("a", "=", 1), ("b", "!=", -2), ("c", "<", 3.5), ("d", "<=", 1000), ("e", ">", 5), ("f", ">=", 6)],
        ),
        ("purchase[category=shoes][_item_price>=10]", "purchase", {"category": ["shoes"]}, [("_item_price", ">=", 10)]),
        # The same metric twice: both hold.
        ("p[x>=1][x<2]", "p", {}, [("x", ">=", 1), ("x", "<", 2)]),
        (" screen.view [ name = home | start page ] [ x > 1 ] ", "screen.view", {"name": ["home", "start page"]}, [("x", ">", 1)]),
        ("p[a=]", "p", {"a": [""]}, []),
        ("p[a=|b]", "p", {"a": ["", "b"]}, []),
        # What would end or part something is kept by a backslash, a backslash too.
        (r"p[a=x\|y|z]", "p", {"a": ["x|y", "z"]}, []),
        (r"p[a=x\]y]", "p", {"a": ["x]y"]}, []),
        (r"p[a=x\[y]", "p", {"a": ["x[y"]}, []),
        (r"p[a=x\\|y]", "p", {"a": ["x\\", "y"]}, []),
        (r"p[a\=b=c]", "p", {"a=b": ["c"]}, []),
        (r"p[a\>b>1]", "p", {}, [("a>b", ">", 1)]),
        (r"p\[q\][a=b]", "p[q]", {"a": ["b"]}, []),
        # Behind the first comparison, and in a type of event, comparisons are letters.
        ("p[url=/search?q=1&x<2]", "p", {"url": ["/search?q=1&x<2"]}, []),
        ("a=b", "a=b", {}, []),
    ],
)
def test_text_of_a_step_is_read(
    text: str, event_type: str, attributes: dict[str, list[str]], metrics: list[tuple[str, str, float]]
) -> None:
    assert parsed(text) == (event_type, attributes, metrics)


@pytest.mark.parametrize("text", ["", "  ", "[a=b]", "p[", "p]", "p[a=b", "p[]", "p[a=b]c", "p[a=b]]"])
def test_text_that_is_no_step_is_refused_with_an_example(text: str) -> None:
    assert refused(f"parse_step('{text}')") == (
        f"Step '{text}' cannot be read; expected a type of event and conditions, for example 'purchase[category=shoes|boots][_item_price>=10]'."
    )


@pytest.mark.parametrize("condition", ["b", "=b", ">1", "b!", "b!c"])
def test_condition_that_compares_nothing_is_refused(condition: str) -> None:
    assert refused(f"parse_step('p[{condition}]')") == (
        f"Step 'p[{condition}]' has the condition [{condition}]; expected [attribute=value|other] or [metric>=10] (== != < <= > >=)."
    )


@pytest.mark.parametrize("condition", ["b>", "b>x", "b==one", "b!=1|2"])
def test_comparison_with_what_is_no_number_is_refused(condition: str) -> None:
    assert "expected a number after the comparison" in refused(f"parse_step('p[{condition}]')")


def test_attribute_that_is_named_twice_is_refused() -> None:
    assert refused("parse_step('p[a=1][b>2][a=2]')") == (
        "Step 'p[a=1][b>2][a=2]' names an attribute twice; expected all its values in one condition, [attribute=value|other]."
    )


def test_no_step_is_refused() -> None:
    assert refused("parse_step(null)").startswith("Step null cannot be read")


def test_step_as_a_struct_is_what_its_text_says() -> None:
    struct = "step('p', attributes := map {'a': ['b', 'c']}, metrics := [{'name': 'x', 'is': '>=', 'value': 10}])"
    assert value(f"{struct} = parse_step('p[a=b|c][x>=10]')") is True
    assert value("step('p') = parse_step('p')") is True


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("step('')", "event_type of a step is empty; expected a type of event, for example '_session.start'."),
        ("step(null)", "event_type of a step is empty; expected a type of event, for example '_session.start'."),
        (
            "step('p', metrics := [{'name': 'x', 'is': '~', 'value': 1}])",
            "metric x of a step is compared by '~'; expected one of = != < <= > >=.",
        ),
    ],
)
def test_wrong_step_is_refused(sql: str, message: str) -> None:
    assert refused(sql) == message


@pytest.mark.parametrize(
    ("text", "event_type", "attributes", "metrics", "is_match"),
    [
        ("p", "p", {}, {}, True),
        ("p", "P", {}, {}, False),
        ("p", "p.q", {}, {}, False),
        ("p[a=b|c]", "p", {"a": "c"}, {}, True),
        ("p[a=b|c]", "p", {"a": "C"}, {}, False),
        ("p[a=b|c]", "p", {"d": "b"}, {}, False),
        ("p[a=]", "p", {}, {}, False),
        ("p[a=]", "p", {"a": ""}, {}, True),
        ("p[a=b][c=d]", "p", {"a": "b"}, {}, False),
        ("p[a=b][c=d]", "p", {"a": "b", "c": "d"}, {}, True),
        # Borders of each comparison: below, at, above ten.
        *((f"p[x{sign}10]", "p", {}, {"x": x}, is_match) for sign, matches in [
            ("==", (False, True, False)), ("!=", (True, False, True)), ("<", (True, False, False)),
            ("<=", (True, True, False)), (">", (False, False, True)), (">=", (False, True, True)),
        ] for x, is_match in zip((9.5, 10.0, 10.5), matches, strict=True)),
        ("p[x!=10]", "p", {}, {}, False),
        ("p[x>=1][x<2]", "p", {}, {"x": 2.0}, False),
        ("p[x>=1][x<2]", "p", {}, {"x": 1.5}, True),
        ("p[a=b][x>1]", "p", {"a": "b"}, {"x": 1.0}, False),
    ],
)  # fmt: skip
def test_event_is_of_a_step_when_all_conditions_hold(
    text: str, event_type: str, attributes: dict[str, str], metrics: dict[str, float], is_match: bool
) -> None:
    given = f"{sql_map(attributes)}::map(varchar, varchar), {sql_map(metrics)}::map(varchar, double)"
    assert value(f"event_matches('{event_type}', {given}, parse_step('{text}'))") is is_match


def test_event_without_type_or_maps_is_of_no_step() -> None:
    assert value("event_matches(null, map {}, map {}, parse_step('p'))") is False
    assert value("event_matches('p', null::map(varchar, varchar), null::map(varchar, double), parse_step('p[a=b]'))") is False
    assert value("event_matches('p', null::map(varchar, varchar), null::map(varchar, double), parse_step('p[x!=1]'))") is False
    assert value("event_matches('p', null::map(varchar, varchar), null::map(varchar, double), parse_step('p'))") is True
