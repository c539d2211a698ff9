"""Access keys that live for seconds: a server that hands them out as a container's does, and what the store must know to refuse old ones."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

from tests.loopback_server import serving_loopback

# A new key is there so long before the one before it ends.
OVERLAP_SECS = 1.0


class ShortKeys:
    """A new key every `period_secs`. `fails` says that the server answers nothing but errors, `failures` counts them; `rotations` counts keys handed
    out after the first."""

    def __init__(self, period_secs: float) -> None:
        self.period_secs, self.fails, self.failures = period_secs, False, 0
        self.handed_out: set[int] = set()
        self._began_at = time.monotonic()

    @property
    def rotations(self) -> int:
        return len(self.handed_out) - 1

    def allows(self, access_key_id: str) -> bool:
        """Whether the store takes this key now."""
        number = access_key_id.removeprefix("SHORT")
        return number.isdecimal() and time.monotonic() <= self._end_of(int(number))

    def hand_out(self) -> bytes:
        """The key in force, as the container credentials protocol has it."""
        number = int((time.monotonic() - self._began_at) / self.period_secs)
        self.handed_out.add(number)
        ends_at = datetime.now(UTC) + timedelta(seconds=self._end_of(number) - time.monotonic())
        return json.dumps(
            {
                "AccessKeyId": f"SHORT{number}",
                "SecretAccessKey": f"secret of {number}",
                "Token": f"token of {number}",
                "Expiration": ends_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
        ).encode()

    def _end_of(self, number: int) -> float:
        return self._began_at + (number + 1) * self.period_secs + OVERLAP_SECS


@contextmanager
def serving(keys: ShortKeys) -> Iterator[dict[str, str]]:
    """Hand keys out for the time of a `with` block: the environment in which botocore's chain finds them, and finds no other."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_failing = keys.fails
            keys.failures += is_failing
            body = b"{}" if is_failing else keys.hand_out()
            self.send_response(500 if is_failing else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving_loopback(Handler) as address:
        yield {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/key",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
