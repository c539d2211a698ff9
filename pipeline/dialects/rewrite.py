"""Going over a statement from its leaves up."""

from collections.abc import Callable

from sqlglot import exp

# A node, or what stands in its place.
Rule = Callable[[exp.Expr], exp.Expr]


def rewrite(tree: exp.Expr, *rules: Rule) -> exp.Expr:
    """The statement with each node as the first rule that says something else of it has it.

    What a node holds is rewritten before it, where sqlglot's own `transform` leaves out what a replaced node holds.
    """
    for node in reversed(list(tree.walk(bfs=True))):
        said = next((other for rule in rules if (other := rule(node)) is not node), node)
        if said is not node:
            # A function that sqlglot does not know has the type of what it stands for.
            said.type = said.type or node.type
            if node is tree:
                tree = said
            else:
                node.replace(said)
    return tree
