"""A plug-in for moto's tests, `-p empty_server`: no apps are there when a test begins, as `/moto-api/reset` would see to."""

import os

import boto3
import pytest

URL = os.environ["TEST_SERVER_MODE_ENDPOINT"]


@pytest.fixture(autouse=True)
def empty_server() -> None:
    if "RIG_LEAVE_APPS" in os.environ:
        return
    client = boto3.client("pinpoint", endpoint_url=URL, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
    for app in client.get_apps()["ApplicationsResponse"]["Item"]:
        client.delete_app(ApplicationId=app["Id"])
