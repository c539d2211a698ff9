"""Threads that run beside a test, and do not end in silence: what one raised is raised to whoever looks at them or waits for their end."""

import threading
from collections.abc import Callable


class Beside:
    """Each of `runs` goes on in a thread of its own until the event that it is given is set."""

    def __init__(self, *runs: Callable[[threading.Event], object]) -> None:
        self._is_done = threading.Event()
        self._error: Exception | None = None
        self._threads = [threading.Thread(target=self._keep_error, args=[run], daemon=True) for run in runs]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Have them end, and wait until they have. Raises what one raised."""
        self._is_done.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self.check()

    def check(self) -> None:
        """Raises what one raised, if anything: whatever it has noted until then is all that it will."""
        if self._error is not None:
            raise self._error

    def _keep_error(self, run: Callable[[threading.Event], object]) -> None:
        try:
            run(self._is_done)
        except Exception as error:  # noqa: BLE001 - it is raised again by whoever looks
            self._error = error
