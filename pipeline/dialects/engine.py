"""The engines that views are printed for; here by itself, since commands name them without needing sqlglot."""

from enum import StrEnum


class Engine(StrEnum):
    """An engine that reads the lake's tables; the names are sqlglot's."""

    SPARK = "spark"
    TRINO = "trino"
    ATHENA = "athena"
