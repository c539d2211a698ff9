"""Whether what the API stands on answers: asked once for all who ask, within a time, in threads of its own."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)

CHECK_SECS_MAX = 3.0
# How long an answer holds for those who ask after it.
FRESH_SECS = 1.0


class Readiness:
    """Runs checks by name, each of which raises what is wrong. One that hangs is not run again until it has ended."""

    def __init__(self, checks: Mapping[str, Callable[[], None]]) -> None:
        self._checks = checks
        self._pool = ThreadPoolExecutor(len(checks), thread_name_prefix="readiness")
        self._running: dict[str, asyncio.Future[None]] = {}
        self._lock = asyncio.Lock()
        self._said: dict[str, str] = {}
        self._said_at = -FRESH_SECS

    async def ask(self) -> dict[str, str]:
        """By name 'ok' or what is wrong, in words that tell nothing of the inside."""
        async with self._lock:
            if time.monotonic() - self._said_at >= FRESH_SECS:
                said = await asyncio.gather(*(self._ask(name) for name in self._checks))
                self._said, self._said_at = dict(zip(self._checks, said, strict=True)), time.monotonic()
            return self._said

    async def _ask(self, name: str) -> str:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.get_running_loop().run_in_executor(self._pool, self._checks[name])
        try:
            await asyncio.wait_for(asyncio.shield(running), CHECK_SECS_MAX)
        except Exception as error:  # noqa: BLE001 - whatever a client's library raises, it is not ready
            log.warning("Not ready: %s: %s", name, f"no answer within {CHECK_SECS_MAX:g} s" if isinstance(error, TimeoutError) else error)
            return "does not answer"
        return "ok"
