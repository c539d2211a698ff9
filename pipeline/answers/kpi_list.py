"""The KPIs with what they mean; needs no lake."""

from pipeline.answers.kpi_names import load_kpis
from pipeline.ask.output_formats import Format, write_answer
from pipeline.ask.reader import open_empty_reader
from pipeline.config import Settings
from pipeline.report import print_rows

_LISTED = "select * from kpis.names order by kpi_name"


def list_kpis(settings: Settings, as_json: bool, as_csv: bool) -> None:
    """Print them: all columns of kpis.names as JSON or CSV, name, whose messages, meaning and fraction for people."""
    with open_empty_reader(settings) as reader:
        if as_json or as_csv:
            with reader.ask(_LISTED) as answer:
                write_answer(answer, Format.JSON if as_json else Format.CSV, None)
            return
        kpis = load_kpis(reader).values()
    rows = [(one.name, one.of, one.meaning, f"{one.numerator} / {one.denominator}" if one.denominator else one.numerator) for one in kpis]
    # A name is copied as it stands.
    print_rows(["KPI", "of", "counts", "as"], rows, whole=["KPI", "of"])
