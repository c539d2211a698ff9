"""What one of Segment's calls says of its endpoint, its app, its device and its session, in the names of the stream record."""

import json
from typing import Any

from agents.parsing.fit import Unfit
from pipeline.imports.times import parse_time
from schemas.records import Reason


def endpoint_of(kind: str, call: dict[str, Any]) -> dict[str, Any] | None:
    """What the call says of its endpoint, as Pinpoint's EndpointRequest."""
    endpoint: dict[str, Any] = {}
    user_id = read_text(call, "userId")
    if user_id is not None:
        endpoint["User"] = {"UserId": user_id}
    traits = call.get("traits")
    if kind == "identify" and isinstance(traits, dict):
        attributes = {name: _as_texts(value) for name, value in traits.items() if value is not None}
        if attributes and user_id is not None:
            endpoint["User"]["UserAttributes"] = attributes
        elif attributes:
            endpoint["Attributes"] = attributes
    if kind == "group" and (group_id := read_text(call, "groupId")) is not None:
        endpoint["Attributes"] = {"group_id": [group_id]}
    return endpoint or None


def properties_of(kind: str, call: dict[str, Any], context: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(attributes, metrics): numbers are metrics, all else attributes; the page that a browser was on goes with it."""
    attributes: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    page = context.get("page")
    for found in (page if isinstance(page, dict) else {}, call.get("properties"), call.get("traits") if kind != "identify" else None):
        for name, value in (found if isinstance(found, dict) else {}).items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                metrics[name] = value
            elif value is not None:
                attributes[name] = value
    for name, member in (("name", "name"), ("category", "category"), ("group_id", "groupId"), ("previous_id", "previousId")):
        if (text := read_text(call, member)) is not None:
            attributes[name] = text
    return attributes, metrics


def application_of(context: dict[str, Any]) -> dict[str, Any]:
    app, library = context.get("app"), context.get("library")
    found: dict[str, Any] = {}
    for name, member in (("title", "name"), ("version_name", "version"), ("version_code", "build"), ("package_name", "namespace")):
        if isinstance(app, dict) and isinstance(app.get(member), str):
            found[name] = app[member]
    if isinstance(library, dict):
        found["sdk"] = {name: library[name] for name in ("name", "version") if isinstance(library.get(name), str)}
    return found


def device_of(context: dict[str, Any]) -> dict[str, Any]:
    device, system = context.get("device"), context.get("os")
    found: dict[str, Any] = {}
    if isinstance(context.get("locale"), str):
        found["locale"] = {"code": context["locale"]}
    if isinstance(device, dict):
        found |= {
            name: device[member] for name, member in (("make", "manufacturer"), ("model", "model")) if isinstance(device.get(member), str)
        }
    if isinstance(system, dict):
        found["platform"] = {name: system[name] for name in ("name", "version") if isinstance(system.get(name), str)}
    return found


def session_of(session: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if isinstance(session.get("id"), str):
        found["session_id"] = session["id"]
    for name, member in (("start_timestamp", "startedAt"), ("stop_timestamp", "stoppedAt")):
        moment = parse_sent_at(session.get(member))
        if moment is not None:
            found[name] = moment
    return found


def _as_texts(value: Any) -> list[str]:
    """A trait as the list of texts that an attribute of an endpoint is."""
    values = value if isinstance(value, list) else [value]
    return [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in values]


def read_text(call: dict[str, Any], name: str) -> str | None:
    value = call.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def unfit(name: str, value: Any, expected: str) -> Unfit:
    reason = Reason.MISSING_FIELD if value in (None, "") else Reason.WRONG_TYPE
    return Unfit(reason, f"Field '{name}' is {'missing' if value is None else shown(value)}; expected {expected}.", {})


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}..."


def parse_sent_at(value: Any) -> int | None:
    """The sender's clock when it sent, ms since 1970; None where it does not say, or says nothing that can be read."""
    try:
        return parse_time(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
