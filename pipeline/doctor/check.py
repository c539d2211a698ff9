"""A check of the doctor, what it is given, and how checks are run: each within its time, whatever became of those before."""

import functools
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import SecretStr

from pipeline.config import PREFIX, Settings
from pipeline.doctor.finding import Finding, State, broken, from_error, unchecked
from schemas.errors import HeadwaterError, UsageError

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
# The marker tells make that all is as locked, which somebody has changed since by hand.
REINSTALL = "rm -f .venv/.ready && make setup"
# Shorter ones are words that may stand anywhere.
SECRET_LENGTH_MIN = 6
_LOGIN_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True)
class Case:
    """What is looked at: the settings, what is wrong with them by the variable's name, the checkout, the lock of its libraries, the clock (unix seconds)."""

    settings: Settings
    wrong: Mapping[str, UsageError] = field(default_factory=dict)
    root: Path = ROOT
    lock: Path = ROOT / "requirements.txt"
    now: Callable[[], float] = time.time


Run = Callable[[Case], Iterable[Finding]]


@dataclass(frozen=True)
class Check:
    """One check; `load` gives what makes it.

    It is left out when one of those that it `needs` is broken or was left out, or when a setting whose name begins with one of
    `settings` cannot be read. That it has not come back after `secs_max` is a line of its own.
    """

    name: str
    load: Callable[[], Run]
    needs: Sequence[str] = ()
    settings: tuple[str, ...] = ()
    secs_max: float = 6.0


def run_checks(case: Case, checks: Sequence[Check]) -> Iterator[tuple[Check, list[Finding]]]:
    """Each check with its lines, in order, as they come. No line holds a secret."""
    failed: dict[str, str] = {}
    mask = functools.partial(_mask, _find_secrets(case.settings))
    for check in checks:
        why = _why_not(check, case, failed)
        found = [unchecked(check.name, why)] if why else _run(check, case)
        states = {one.state for one in found}
        if State.BROKEN in states:
            failed[check.name] = f"'{check.name}' is broken"
        elif State.UNCHECKED in states:
            failed[check.name] = f"'{check.name}' was not checked"
        yield check, [replace(one, found=mask(one.found), expected=mask(one.expected), way_out=mask(one.way_out)) for one in found]


def _why_not(check: Check, case: Case, failed: Mapping[str, str]) -> str:
    for name in check.needs:
        if name in failed:
            return failed[name]
    for variable in case.wrong:
        if variable.removeprefix(PREFIX).lower().startswith(check.settings or ("\0",)):
            return f"{variable} cannot be read"
    return ""


def _run(check: Check, case: Case) -> list[Finding]:
    """The lines of one check. Its thread is left behind when it does not come back: a client that hangs cannot be stopped."""
    found: list[Finding] = []
    try:
        # Libraries are loaded before the time begins to count.
        make = check.load()
    except ImportError as error:
        return [broken(check.name, str(error), "every library that requirements.txt locks", REINSTALL)]

    def run() -> None:
        try:
            found.extend(make(case))
        except HeadwaterError as error:
            found.append(from_error(check.name, error))
        except Exception as error:
            # A check that fails is a finding, too, and the others are still wanted.
            log.debug("Check '%s' failed.", check.name, exc_info=True)
            said = f"{type(error).__name__}: {error}"
            if "Authorization" in said:
                found.append(unchecked(check.name, f"we may not look ({said})"))
            else:
                found.append(broken(check.name, said, "an answer", "see what it says, and ask again"))

    thread = threading.Thread(target=run, name=f"doctor {check.name}", daemon=True)
    thread.start()
    thread.join(check.secs_max)
    if thread.is_alive():
        late = broken(
            check.name,
            f"no answer within {check.secs_max:g} s",
            "an answer at once",
            "see whether that server hangs or a firewall swallows what is sent, and ask again",
        )
        return [*found, late]
    return found


def _find_secrets(settings: Settings) -> list[str]:
    """Every secret that there is in settings and in the stack's file of keys."""
    given = [value.get_secret_value() for name in Settings.model_fields if isinstance(value := getattr(settings, name), SecretStr)]
    try:
        made = [settings.local_secret("s3", role, "secret_access_key") for role in ("writer", "reader")]
        made.append(settings.local_secret("redact_key"))
    except (OSError, ValueError):
        made = []
    return [secret for secret in [*given, *made] if len(secret) >= SECRET_LENGTH_MIN]


def _mask(secrets: Sequence[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return _LOGIN_IN_ADDRESS.sub("***@", text)
