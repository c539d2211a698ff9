"""An API that lacks a guard: `python -m tests.plain_api`. uvicorn's own protocol, without bounds on heads, times and connections."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pipeline.api import server
from pipeline.commands import serve

app = serve.app
vars(server)["build_protocol"] = lambda limits: HttpToolsProtocol
