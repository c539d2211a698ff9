"""Each rule of merging, once through PutEvents, once through UpdateEndpoint, once through files; and the order of all of them together.

What is asserted is core.endpoints and core.users, as `headwater sql` reads them.
"""

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.ask.reader import open_reader
from pipeline.config import Settings
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from tests.api_process import ApiProcess, client, make_access_key, make_app, serving
from tests.conftest import settings_apart
from tests.stream import rows
from tests.worker_process import WorkerProcess, running, wait_until

pytestmark = pytest.mark.timeout(300)

Endpoint = dict[str, Any]
Round = Mapping[str, Endpoint]
Row = dict[str, Any]
Send = Callable[[str, Round], None]

# What is said of endpoints, one after another; and columns of core.endpoints that follow from it.
RULES: Mapping[str, Sequence[tuple[str, Endpoint]]] = {
    "attributes_are_replaced_by_name": [
        ("names", {"Attributes": {"team": ["red", "blue"], "size": ["m"]}, "Metrics": {"visits": 1.0, "spend": 2.5}}),
        ("names", {"Attributes": {"team": ["green"]}, "Metrics": {"visits": 2.0}}),
    ],
    "what_is_not_said_stays": [
        ("stays", {"Address": "stays@example.com", "ChannelType": "EMAIL", "Demographic": {"Make": "Acme", "Model": "One"}}),
        ("stays", {"Demographic": {"Model": "Two"}, "Location": {"Country": "DE"}}),
    ],
    "a_duplicate_address_turns_the_older_inactive": [
        ("older", {"Address": "+4915112345678", "ChannelType": "SMS"}),
        ("newer", {"Address": "+4915112345678", "ChannelType": "SMS"}),
        ("voice", {"Address": "+4915112345678", "ChannelType": "VOICE"}),
    ],
    "an_update_makes_it_active_again": [
        ("again", {"Address": "again@example.com", "ChannelType": "EMAIL"}),
        ("rival", {"Address": "again@example.com", "ChannelType": "EMAIL"}),
        ("again", {"Demographic": {"Make": "Acme"}}),
    ],
    "user_attributes_are_shared": [
        ("ann-phone", {"User": {"UserId": "ann", "UserAttributes": {"tier": ["gold"], "plan": ["a"]}}}),
        ("ann-mail", {"User": {"UserId": "ann", "UserAttributes": {"tier": ["silver"]}}}),
        ("bob-phone", {"User": {"UserId": "bob", "UserAttributes": {"tier": ["none"]}}}),
    ],
    "opt_out_is_the_last_that_was_said": [
        ("quiet", {"Address": "quiet@example.com", "ChannelType": "EMAIL", "OptOut": "ALL"}),
        ("quiet", {"Demographic": {"Make": "Acme"}}),
        ("loud", {"OptOut": "ALL"}),
        ("loud", {"OptOut": "NONE"}),
        ("never-said", {"Demographic": {"Make": "Acme"}}),
    ],
    "cohorts_are_a_hash_of_the_id": [("phone", {"Demographic": {"Make": "Acme"}}), ("phone-2", {"Demographic": {"Make": "Acme"}})],
    "case_of_ids_does_not_count": [("Upper", {"Demographic": {"Make": "Acme"}}), ("uPPER", {"Demographic": {"Model": "One"}})],
}
EXPECTED: Mapping[str, Mapping[str, Row]] = {
    "attributes_are_replaced_by_name": {
        "names": {"attributes": {"size": ["m"], "team": ["green"]}, "metrics": {"spend": 2.5, "visits": 2.0}}
    },
    "what_is_not_said_stays": {"stays": {"address": "stays@example.com", "make": "Acme", "model": "Two", "country": "DE"}},
    "a_duplicate_address_turns_the_older_inactive": {
        "older": {"endpoint_status": "INACTIVE"},
        "newer": {"endpoint_status": "ACTIVE"},
        # Another channel is another address.
        "voice": {"endpoint_status": "ACTIVE"},
    },
    "an_update_makes_it_active_again": {"again": {"endpoint_status": "ACTIVE"}, "rival": {"endpoint_status": "INACTIVE"}},
    "user_attributes_are_shared": {
        "ann-phone": {"user_attributes": {"plan": ["a"], "tier": ["silver"]}},
        "ann-mail": {"user_attributes": {"plan": ["a"], "tier": ["silver"]}},
        "bob-phone": {"user_attributes": {"tier": ["none"]}},
    },
    "opt_out_is_the_last_that_was_said": {"quiet": {"opt_out": "ALL"}, "loud": {"opt_out": "NONE"}, "never-said": {"opt_out": "NONE"}},
    # By hand: md5('phone') begins with 'f7a42fe7', md5('phone-2') with '9cc3c761'.
    "cohorts_are_a_hash_of_the_id": {"phone": {"cohort_id": 19}, "phone-2": {"cohort_id": 57}},
    "case_of_ids_does_not_count": {"upper": {"make": "Acme", "model": "One", "endpoint_id": "uPPER"}},
}
WAYS = ("put_events", "update_endpoint", "ndjson", "csv")
ORDERS = list(itertools.permutations(("put_events", "update_endpoint", "ndjson")))


class Scene:
    """An API and a worker over topics of their own, and each way in which an endpoint can be told of."""

    def __init__(self, settings: Settings, api: ApiProcess, folder: Path) -> None:
        self.settings, self.folder, self.sent = settings, folder, 0
        self._pinpoint = client("pinpoint", api, make_access_key(settings))
        self.ways: Mapping[str, Send] = {
            "put_events": self.put_events,
            "update_endpoint": self.update_endpoints,
            "ndjson": self.import_ndjson,
            "csv": self.import_csv,
        }

    def say(self, way: str, app_id: str, said: Round) -> None:
        """Tell of endpoints in one way; returns when Kafka has all of it."""
        self.ways[way](app_id, said)
        self.sent += len(said)

    def put_events(self, app_id: str, said: Round) -> None:
        batch = {endpoint_id: {"Endpoint": endpoint, "Events": {}} for endpoint_id, endpoint in said.items()}
        answer = self._pinpoint.put_events(ApplicationId=app_id, EventsRequest={"BatchItem": batch})
        codes = [each["EndpointItemResponse"]["StatusCode"] for each in answer["EventsResponse"]["Results"].values()]
        assert codes == [202] * len(said)

    def update_endpoints(self, app_id: str, said: Round) -> None:
        for endpoint_id, endpoint in said.items():
            self._pinpoint.update_endpoint(ApplicationId=app_id, EndpointId=endpoint_id, EndpointRequest=endpoint)

    def import_ndjson(self, app_id: str, said: Round) -> None:
        path = self.folder / f"{app_id}-{self.sent}.json"
        path.write_text("".join(json.dumps({"Id": endpoint_id, **endpoint}) + "\n" for endpoint_id, endpoint in said.items()))
        self._import(app_id, path, len(said))

    def import_csv(self, app_id: str, said: Round) -> None:
        path = self.folder / f"{app_id}-{self.sent}.csv"
        cells = [{"Id": [endpoint_id], **dict(flatten(endpoint))} for endpoint_id, endpoint in said.items()]
        widths = {name: max(len(row.get(name, ())) for row in cells) for row in cells for name in row}
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([name for name, width in widths.items() for _ in range(width)])
            for row in cells:
                writer.writerow([cell for name, width in widths.items() for cell in pad(row.get(name, []), width)])
        self._import(app_id, path, len(said))

    def _import(self, app_id: str, path: Path, count: int) -> None:
        (outcome,) = import_endpoints(self.settings, [str(path)], EndpointImportOptions(app_id))
        assert (outcome.acknowledged, outcome.rejected) == (count, 0), outcome


def flatten(said: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, list[str]]]:
    """Dot paths and the texts of their cells."""
    for name, value in said.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{path}{name}.")
        else:
            yield path + name, [str(each) for each in (value if isinstance(value, list) else [value])]


def pad(cells: list[str], width: int) -> list[str]:
    return cells + [""] * (width - len(cells))


def rounds() -> list[dict[str, Endpoint]]:
    """The steps of all rules side by side: what the first says, then what the second says, and so on."""
    steps = itertools.zip_longest(*RULES.values())
    return [dict(step for step in each if step is not None) for each in steps]


@pytest.fixture(scope="module")
def states(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Row]]:
    """Rows of core.endpoints by app and by endpoint id in lower case, after everything was said in every way and in every order."""
    folder = tmp_path_factory.mktemp("ways")
    settings = settings_apart(stack, folder / "home")
    apps = [f"by-{way.replace('_', '-')}" for way in WAYS]
    for app_id in (*apps, "in-order"):
        make_app(settings, app_id)
    with running(WorkerProcess(settings, folder)), serving(ApiProcess(settings, folder)) as api:
        scene = Scene(settings, api, folder)
        for said in rounds():
            for way, app_id in zip(WAYS, apps, strict=True):
                scene.say(way, app_id, said)
        for place in range(3):
            for way in WAYS[:3]:
                said = {f"order-{number}": {"Attributes": {"last": [way]}} for number, order in enumerate(ORDERS) if order[place] == way}
                scene.say(way, "in-order", said)
        wait_until(lambda: len(rows(settings, "endpoint_updates")) == scene.sent, f"{scene.sent} updates have landed")
    found: dict[str, dict[str, Row]] = {}
    with open_reader(settings) as reader:
        columns = [name for name, _ in reader.columns("core.endpoints")]
        for values in reader.rows("select * from core.endpoints"):
            row = dict(zip(columns, values, strict=True))
            found.setdefault(row["app_id"], {})[row["endpoint_id"].lower()] = row
    return found


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("way", WAYS)
def test_rule_holds_in_every_way(states: dict[str, dict[str, Row]], way: str, rule: str) -> None:
    found = states[f"by-{way.replace('_', '-')}"]
    for endpoint_id, expected in EXPECTED[rule].items():
        assert {name: found[endpoint_id][name] for name in expected} == expected, endpoint_id


def test_every_way_gives_the_same_endpoints(states: dict[str, dict[str, Row]]) -> None:
    own = {"app_id", "creation_date", "effective_date", "updated_at", "request_id"}
    told = [
        {key: {name: value for name, value in row.items() if name not in own} for key, row in states[f"by-{way.replace('_', '-')}"].items()}
        for way in WAYS
    ]
    assert told[1:] == told[:1] * 3


@pytest.mark.parametrize("number", range(len(ORDERS)))
def test_the_last_that_was_accepted_counts_whichever_way_it_came(states: dict[str, dict[str, Row]], number: int) -> None:
    assert states["in-order"][f"order-{number}"]["attributes"] == {"last": [ORDERS[number][-1]]}
