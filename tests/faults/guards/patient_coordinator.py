"""A worker joins its group again after an answer that names no cause. Without this guard aiokafka takes the answer for an error of the program."""

from unittest import mock

import pipeline.patient_coordinator


def remove() -> None:
    mock.patch.object(pipeline.patient_coordinator, "install").start()
