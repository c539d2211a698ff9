"""The text of each reference page, read off the code that it describes."""

import importlib
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import typer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from rich.text import Text

from agents.enrichment.enrichments import ENRICHMENTS, Enrichment
from pipeline.api.metrics import ApiMetrics
from pipeline.ask.library import load_library
from pipeline.ask.query_files import Definition
from pipeline.cli import COMMANDS
from pipeline.config import Settings
from pipeline.maintenance.check_metrics import CheckMetrics
from pipeline.maintenance.metrics import MaintenanceMetrics
from pipeline.metrics import WorkerMetrics
from pipeline.pages.markdown import WRITTEN, markdown_table
from pipeline.topology import TOPICS
from schemas import records
from schemas.records import Reason

_OPTIONS_OF_ALL = {"help", "install_completion", "show_completion"}


def render_settings() -> str:
    """Every setting: default, limits, example, meaning."""
    rows = [
        (f"`HEADWATER_{name.upper()}`", _default(field), _limits(field), f"`{(field.examples or [''])[0]}`", field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    parts = [
        "# Settings\n",
        WRITTEN.format(source="pipeline/config.py"),
        "Environment variables, read once at start. With none set, everything points at the local stack; `headwater settings` prints what is in force.",
        "A setting that cannot be used ends the command with its name, its value and what was expected.\n",
        markdown_table(["setting", "default", "limits", "example", "meaning"], rows),
    ]
    return "\n".join(parts)


def render_topics() -> str:
    """Every topic that Headwater declares."""
    rows = [(f"`{topic.name}`", "compacted" if topic.is_compacted else "by time", topic.meaning) for topic in TOPICS]
    parts = [
        "# Topics\n",
        WRITTEN.format(source="pipeline/topology.py"),
        "`HEADWATER_TOPIC_PREFIX` goes before each name. Topics that Headwater creates have `message.timestamp.type=LogAppendTime`.\n",
        markdown_table(["topic", "kept", "carries"], rows),
    ]
    return "\n".join(parts)


def render_metrics() -> str:
    """Every metric of a worker, of maintenance and its checks, and of the API."""
    parts = [
        "# Metrics\n",
        WRITTEN.format(
            source="pipeline/metrics.py, pipeline/maintenance/metrics.py, pipeline/maintenance/check_metrics.py and pipeline/api/metrics.py"
        ),
        "Each worker serves its own at `/metrics` on `HEADWATER_METRICS_PORT`, for Prometheus.\n",
        _render_metrics(WorkerMetrics(CollectorRegistry())),
        "## Maintenance\n",
        "`headwater maintain` serves these on `HEADWATER_MAINTAIN_METRICS_PORT`.\n",
        _render_metrics(MaintenanceMetrics(CollectorRegistry())),
        "## Checks\n",
        "`headwater maintain` runs them every `HEADWATER_CHECK_SECS`, and serves these beside its own.\n",
        _render_metrics(CheckMetrics(CollectorRegistry())),
        "## The HTTP API\n",
        "`headwater serve` serves these at `/metrics` on its own port: to this machine, to others with a key that may read.\n",
        _render_metrics(ApiMetrics(CollectorRegistry())),
    ]
    return "\n".join(parts)


def _render_metrics(metrics: object) -> str:
    rows = []
    for metric in [metric for metric in vars(metrics).values() if hasattr(metric, "describe")]:
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((f"`{name}`", family.type, ", ".join(metric._labelnames), family.documentation))
    return markdown_table(["metric", "kind", "labels", "meaning"], sorted(rows))


def render_commands() -> str:
    """Every command with its arguments and options."""
    parts = [
        "# Commands\n",
        WRITTEN.format(source="pipeline/cli.py and pipeline/commands/"),
        "Exit status: 0 all is well, 1 a check failed or a system was not there, 2 wrong use.\n",
    ]
    for name, (_, group, summary) in COMMANDS.items():
        parts += [f"## headwater {name}\n", f"*{group}.* {summary}\n", *_render_command(f"headwater {name}", load_command(name))]
    return "\n".join(parts)


def load_command(name: str) -> Any:
    """A command of `headwater` or group of them, of the click that typer uses, which may be its own."""
    module_name, *_ = COMMANDS[name]
    return typer.main.get_command(importlib.import_module(f"pipeline.commands.{module_name}").app)


def as_shown(text: str) -> str:
    """A help text as the terminal shows it: its words in brackets are markup, unless they are escaped."""
    return Text.from_markup(text).plain


def render_views() -> str:
    """Every view and macro with its grain."""
    library = load_library()
    views = sorted((f"`{view.name}`", view.grain, _names(view)) for view in library.views)
    macros = sorted((f"`{macro.signature}`", macro.grain, _names(macro)) for macro in library.macros)
    parts = [
        "# Views and macros\n",
        WRITTEN.format(source="queries/"),
        "`headwater views` lists them too, `headwater views show NAME` prints the columns or the parameters, and the SQL.\n",
        markdown_table(["view", "grain", "reads"], views),
        "## Macros\n",
        "A macro of a table stands in `from`, one of a value anywhere. A parameter with `:=` may be left out; each may be given by its name.\n",
        markdown_table(["macro", "gives", "reads"], macros),
    ]
    return "\n".join(parts)


def _names(one: Definition) -> str:
    return ", ".join(f"`{name}`" for name in (*one.reads, *one.calls))


def render_enrichments() -> str:
    """Every enrichment with its before and after, in the order in which they are applied."""
    return "\n".join(_render_enrichment(enrichment) for enrichment in ENRICHMENTS)


def render_reasons() -> str:
    """Every reason for which a record becomes a dead letter."""
    meanings = dict(re.findall(r'= "(\w+)"(?:  # (.*))?', inspect.getsource(records.Reason)))
    return markdown_table(["reason", "when"], [(f"`{reason}`", meanings[reason] or reason.replace("_", " ")) for reason in Reason])


def _render_enrichment(enrichment: Enrichment) -> str:
    fills = ", ".join(f"`{name}`" for name in enrichment.fills)
    before, after = _render_values(enrichment.before), _render_values(enrichment.after)
    file = f"enrichment/{enrichment.file_name}"
    return (
        f"### {enrichment.name}\n\n{enrichment.summary}\nFills {fills}; [{file}]({file}).\n\n```\nbefore\n{before}\n\nafter\n{after}\n```\n"
    )


def _render_values(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {json.dumps(value, default=str)}" for name, value in values.items())


def _default(field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(value, tuple):
        value = ",".join(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return "" if value is None or value in ("", {}) else f"`{value}`"


def _limits(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(f"{sign} {getattr(limit, name)}" for limit in field.metadata for name, sign in signs.items() if hasattr(limit, name))


def _render_command(path: str, command: Any) -> list[str]:
    rows = [_parameter_row(parameter) for parameter in command.params if parameter.name not in _OPTIONS_OF_ALL]
    parts = [markdown_table(["argument", "meaning"], rows)] if rows else []
    for name, inner in getattr(command, "commands", {}).items():
        parts += [f"### {path} {name}\n", f"{as_shown(inner.help or '')}\n", *_render_command(f"{path} {name}", inner)]
    return parts


def _parameter_row(parameter: Any) -> tuple[str, str]:
    is_option = parameter.param_type_name == "option"
    names = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.metavar or parameter.name.upper()]
    return ", ".join(f"`{name}`" for name in names), as_shown(parameter.help or "")
