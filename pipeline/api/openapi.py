"""The API's own description: `/openapi.json` (OpenAPI 3.1) and a page that people read, `/docs`; both from openapi.yaml."""

import functools
import html
import json
from pathlib import Path
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

FILE = Path(__file__).parent / "openapi.yaml"


@functools.cache
def load_document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


async def show_document(request: Request) -> Response:
    """The document as JSON."""
    return Response(json.dumps(load_document()).encode(), media_type="application/json")


async def show_page(request: Request) -> Response:
    """The document as a page without a script."""
    return HTMLResponse(render_page(load_document()))


def render_page(document: dict[str, Any]) -> str:
    """Operations in the document's order, each with its meaning, its parameters and its answers."""
    parts = [f"<h1>{html.escape(document['info']['title'])}</h1><p>{html.escape(document['info']['description'])}</p>"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "parameters":
                continue
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p><b>{html.escape(operation['summary'])}</b></p>")
            if "description" in operation:
                parts.append(f"<p>{html.escape(operation['description'])}</p>")
            if "requestBody" in operation:
                (kind, body), *_ = operation["requestBody"]["content"].items()
                parts.append(
                    f"<p>Body, <code>{html.escape(kind)}</code>:</p><pre>{html.escape(_write_example(document, body['schema']))}</pre>"
                )
            given = [_resolve(document, each) for each in [*operations.get("parameters", []), *operation.get("parameters", [])]]
            if given:
                rows = "".join(
                    f"<tr><td><code>{html.escape(each['name'])}</code><td>{each['in']}<td>{html.escape(each.get('description', ''))}"
                    for each in given
                )
                parts.append(f"<table><tr><th>parameter<th>in<th>meaning{rows}</table>")
            answers = ((status, _resolve(document, answer)) for status, answer in operation["responses"].items())
            rows = "".join(f"<tr><td>{status}<td>{html.escape(answer['description'])}" for status, answer in answers)
            parts.append(f"<table><tr><th>answer<th>meaning{rows}</table>")
    return _PAGE.format(title=html.escape(document["info"]["title"]), body="\n".join(parts))


def _write_example(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """A body of a schema: every member with the type that it has, or its own example."""
    return json.dumps(_build_example(document, schema), indent=2, ensure_ascii=False)


def _build_example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    found = _resolve(document, schema)
    if "example" in found:
        return found["example"]
    if found.get("type") == "array":
        return [_build_example(document, found["items"])]
    if found.get("type") == "object":
        inner = {name: _build_example(document, each) for name, each in found.get("properties", {}).items()}
        more = found.get("additionalProperties")
        return inner | ({"(name)": _build_example(document, more)} if isinstance(more, dict) else {})
    return found.get("enum", [f"({found.get('format', found.get('type', 'any'))})"])[0]


def _resolve(document: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    """What a reference within the document stands for."""
    if "$ref" not in each:
        return each
    found: Any = document
    for name in each["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui;max-width:60em;margin:2em auto;padding:0 1em}}code{{background:#eee;padding:.1em .3em}}
pre{{background:#eee;padding:.6em;overflow:auto}}table{{border-collapse:collapse}}td,th{{border:1px solid #ccc;padding:.2em .6em;text-align:left}}h2{{margin-top:2em;font-size:1.1em}}</style>
{body}</html>
"""
