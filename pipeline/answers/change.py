"""A number beside the one of the period before: what changed, and how both are written."""

from dataclasses import dataclass
from typing import Any, Literal

# How a number is meant, and so written: a share is one of 1, an amount has no unit that is known here.
Kind = Literal["count", "share", "seconds", "amount"]


@dataclass(frozen=True)
class Figure:
    """A named number, and the same of the period before; null where it is not defined (a share of nobody).

    `can_compare` is false where the period before is not all known: there is no change then. `unit` stands beside the number, for people.
    """

    name: str
    value: float | None
    before: float | None
    kind: Kind = "count"
    can_compare: bool = True
    unit: str = ""

    @property
    def change(self) -> float | None:
        """The difference."""
        return None if self.value is None or self.before is None or not self.can_compare else self.value - self.before

    @property
    def change_share(self) -> float | None:
        """The difference as a share of the number before; null when that is 0 or not defined."""
        return None if self.change is None or not self.before else self.change / abs(self.before)

    @property
    def change_text(self) -> str:
        """For people: +12.5 %; of shares percentage points, of seconds a time; nothing where there is no change to speak of."""
        if self.change is None:
            return "-"
        if self.kind == "share":
            return f"{self.change * 100:+.1f} points"
        if self.change_share is None:
            return (
                "no change" if self.change == 0 else f"{'+' if self.change > 0 else '-'}{write_number(abs(self.change), self.kind)} from 0"
            )
        return "no change" if self.change == 0 else f"{self.change_share * 100:+,.1f} %"

    def as_json(self) -> dict[str, Any]:
        """For programs: numbers as they are, shares of 1."""
        return {
            "name": self.name,
            "value": self.value,
            "before": self.before,
            "change": self.change,
            "change_share": self.change_share,
            "kind": self.kind,
        }


def write_number(value: float | None, kind: Kind) -> str:
    """A number for people; - where there is none."""
    if value is None:
        return "-"
    match kind:
        case "share":
            return f"{value * 100:.1f} %"
        case "seconds":
            return _write_secs(value)
        case "amount":
            return f"{value:,.2f}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _write_secs(secs: float) -> str:
    """The two largest units: 42 s, 5 min 3 s, 2 h 10 min, 3 d 4 h."""
    if secs < 60:
        return f"{secs:.3g} s"
    whole = round(secs)
    for name, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {name} {rest} {smaller}" if rest else f"{whole // length} {name}"
    return f"{whole} s"
