"""The KPIs that can be asked for: kpis.names, and the columns that each can be grouped by."""

from dataclasses import dataclass

from pipeline.answers.change import Kind
from pipeline.ask.nearest import hint
from pipeline.ask.reader import Reader
from schemas.errors import UsageError

_COLUMNS = (
    "kpi_name",
    "family",
    "measure",
    '"grouping"',
    "meaning",
    "numerator",
    "denominator",
    "clock",
    "zone",
    "unit",
    "delivered_as",
    "read_by",
    "is_additive",
)
# Whose messages a family counts.
_OF = {
    "campaign_kpis": "campaigns",
    "journey_kpis": "journeys",
    "txn_email_kpis": "transactional",
    "txn_sms_kpis": "transactional",
    "hourly_email_kpis": "all",
}
# What no KPI is grouped by.
_NOT_GROUPS = ("kpi_name", "numerator", "denominator", "endpoint_id")


@dataclass(frozen=True)
class Kpi:
    """A row of kpis.names; `grouping` is what its name groups by, in Pinpoint's words."""

    name: str
    family: str
    measure: str
    grouping: str | None
    meaning: str
    numerator: str
    denominator: str | None
    clock: str
    zone: str
    unit: str
    delivered_as: str | None
    read_by: str | None
    is_additive: bool

    @property
    def kind(self) -> Kind:
        return "share" if self.unit == "rate" else "amount" if self.is_price else "count"

    @property
    def is_price(self) -> bool:
        return self.unit == "millicents"

    @property
    def unit_beside(self) -> str:
        """What stands beside the number; a rate has its % there."""
        return "" if self.unit == "rate" else self.unit

    @property
    def of(self) -> str:
        """Whose messages it counts: those of campaigns or of journeys, transactional ones, or all."""
        return _OF[self.family]

    @property
    def view(self) -> str:
        """Where its rows are: those that cannot be added up over days are counted anew from the endpoints."""
        return f"kpis.{self.family}" if self.is_additive else "kpis.unique_endpoints"


def load_kpis(reader: Reader) -> dict[str, Kpi]:
    """All of them by name."""
    found = reader.rows(f"select {', '.join(_COLUMNS)} from kpis.names order by kpi_name")
    return {row[0]: Kpi(*row) for row in found}


def find_kpi(name: str, kpis: dict[str, Kpi]) -> Kpi:
    """The KPI of a name. Raises UsageError, which names the nearest, for one that is not there."""
    if name not in kpis:
        raise UsageError(f"KPI '{name}' is not there.{hint(name, kpis)} 'headwater kpi' lists them.")
    return kpis[name]


def choose_column(reader: Reader, kpi: Kpi, by: str) -> str | None:
    """The column that --by, or else the KPI's own name, groups by; None for a number without parts.

    Raises UsageError, which lists the columns that there are, for one that its family does not have.
    """
    asked = by or kpi.grouping
    if not asked:
        return None
    there = [name for name, _ in reader.columns(f"kpis.{kpi.family}") if name not in _NOT_GROUPS]
    for name in _spellings(asked):
        if name in there:
            return name
    raise UsageError(f"Option '--by' is '{by}'; KPI '{kpi.name}' can be grouped by {', '.join(there)}.{hint(asked, there)}")


def _spellings(name: str) -> list[str]:
    """How a column may be called: campaign and campaign-id are campaign_id, day is kpi_date."""
    plain = name.lower().replace("-", "_")
    return ["kpi_date" if plain in ("day", "date") else plain, f"{plain}_id"]
