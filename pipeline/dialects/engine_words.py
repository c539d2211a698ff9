"""Plain SQL in the words of an engine: what sqlglot spells wrongly, or not at all, is respelt first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from pipeline.dialects.engine import Engine
from pipeline.dialects.rewrite import Rule, rewrite
from pipeline.dialects.rules_of_both import RULES_OF_BOTH, SAME_IN_ALL
from pipeline.dialects.spark_rules import SPARK_ALONE, SPARK_FUNCTIONS, SPARK_RULES, refuse_late_lists
from pipeline.dialects.trino_rules import TRINO_ALONE, TRINO_FUNCTIONS, TRINO_RULES, unnest_entries
from pipeline.dialects.untranslatable import UntranslatableError


@dataclass(frozen=True)
class _Words:
    """`functions`: by name, those that sqlglot does not know; `known`: sqlglot's classes of those that somebody has looked at."""

    rules: tuple[Rule, ...]
    functions: frozenset[str]
    known: frozenset[str]
    reshape: Callable[[exp.Expr], exp.Expr]


_TRINO = _Words((*RULES_OF_BOTH, *TRINO_RULES), TRINO_FUNCTIONS, SAME_IN_ALL | TRINO_ALONE, unnest_entries)
_WORDS: Mapping[Engine, _Words] = {
    Engine.SPARK: _Words((*RULES_OF_BOTH, *SPARK_RULES), SPARK_FUNCTIONS, SAME_IN_ALL | SPARK_ALONE, refuse_late_lists),
    Engine.TRINO: _TRINO,
    Engine.ATHENA: _TRINO,
}


def spell(tree: exp.Expr, engine: Engine) -> exp.Expr:
    """A plain statement (plain.py) with the engine's own functions where sqlglot does not know how DuckDB's are meant.

    Raises UntranslatableError for a function that nobody has looked at: sqlglot prints one that an engine lacks all the same.
    """
    words = _WORDS[engine]
    tree = rewrite(words.reshape(tree), *words.rules)
    for one in tree.find_all(exp.Func):
        is_known = one.name.upper() in words.functions if isinstance(one, exp.Anonymous) else type(one).__name__ in words.known
        if not is_known:
            name = one.name if isinstance(one, exp.Anonymous) else one.sql_name()
            raise UntranslatableError(f"{engine} has no function {name.lower()}, or nobody has looked at what it does there")
    return tree
