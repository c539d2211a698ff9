"""A client of the API for the benchmark, a process of its own: `python -m tests.bench.api_load URL KEY_ID SECRET SECS CLIENTS EVENTS RATE`.

It signs its requests beforehand, so that what it measures is the server. RATE 0: each client sends again as soon as it was answered; else
so many requests a second in all, at fixed moments, and the time of each counts from the moment at which it was due. Prints JSON.
"""

import http.client
import json
import sys
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

# As many distinct bodies as are signed beforehand; each is sent again and again, which costs the server the same.
BODIES = 400


def build_requests(url: str, key_id: str, secret: str, count: int, events: int) -> list[tuple[bytes, dict[str, str]]]:
    """Bodies of PutEvents with so many events each, about 700 bytes an event once they are records, and their signed headers."""
    signer = SigV4Auth(Credentials(key_id, secret), "mobiletargeting", "us-east-1")
    found = []
    for number in range(count):
        body = json.dumps(
            {"BatchItem": {f"endpoint-{number % 97}": {"Endpoint": {}, "Events": {str(uuid.uuid4()): _event() for _ in range(events)}}}}
        )
        request = AWSRequest("POST", f"{url}/v1/apps/shop/events", data=body.encode(), headers={"Content-Type": "application/json"})
        signer.add_auth(request)
        found.append((body.encode(), dict(request.headers)))
    return found


def _event() -> dict[str, Any]:
    return {
        "EventType": "product.view",
        "Timestamp": "2026-11-26T12:00:00.000Z",
        "AppPackageName": "com.example.shop",
        "AppTitle": "Shop",
        "AppVersionCode": "42",
        "SdkName": "aws-sdk-js",
        "ClientSdkVersion": "3.1132.0",
        "Attributes": {"sku": "SKU-10293", "category": "garden", "screen": "product"},
        "Metrics": {"price": 19.5, "position": 3.0},
        "Session": {"Id": "b6a1d3f2-3b1c-4c2e-9c55-3f6f0f6f9a11", "StartTimestamp": "2026-11-26T11:58:00.000Z"},
    }


class Load:
    """Threads that send; what each request took, in ms, and how many events were accepted."""

    def __init__(self, url: str, requests: list[tuple[bytes, dict[str, str]]], secs: float, clients: int, rate: float) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._requests, self._secs, self._clients, self._rate = requests, secs, clients, rate
        self.took_ms: list[float] = []
        self.accepted = self.failed = 0
        self._lock = threading.Lock()
        self._turn = 0

    def run(self) -> float:
        """Seconds that it took."""
        threads = [threading.Thread(target=self._send_all) for _ in range(self._clients)]
        self._began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - self._began

    def _send_all(self) -> None:
        connection = http.client.HTTPConnection(self._host or "", self._port, timeout=30)
        while (due := self._next()) is not None:
            time.sleep(max(0.0, due[1] - time.perf_counter()))
            body, headers = self._requests[due[0] % len(self._requests)]
            began = due[1] if self._rate else time.perf_counter()
            connection.request("POST", "/v1/apps/shop/events", body, headers)
            text = connection.getresponse().read()
            took = (time.perf_counter() - began) * 1000
            accepted = text.count(b'"Accepted"') - text.count(b"EndpointItemResponse")
            with self._lock:
                self.took_ms.append(took)
                self.accepted += accepted
                self.failed += accepted <= 0
        connection.close()

    def _next(self) -> tuple[int, float] | None:
        """Number of the next request and the moment at which it is due; None at the end."""
        with self._lock:
            number, self._turn = self._turn, self._turn + 1
        due = self._began + number / self._rate if self._rate else time.perf_counter()
        return None if due - self._began > self._secs else (number, due)


def main() -> None:
    url, key_id, secret, secs, clients, events, rate = sys.argv[1:]
    requests = build_requests(url, key_id, secret, BODIES, int(events))
    load = Load(url, requests, float(secs), int(clients), float(rate))
    wall_secs = load.run()
    print(json.dumps({"wall_secs": wall_secs, "accepted": load.accepted, "failed": load.failed, "took_ms": sorted(load.took_ms)}))


if __name__ == "__main__":
    main()
