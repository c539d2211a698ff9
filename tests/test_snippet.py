"""The tracking snippet in a real browser: Chromium without a window opens a page of another origin, and SQL sees what was done there."""

import functools
import http.server
import json
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from selenium import webdriver

from pipeline.config import Settings
from tests.api_process import ApiProcess, make_access_key, make_app, make_write_key, serving
from tests.conftest import RunHeadwater
from tests.stream import rows
from tests.worker_process import WorkerProcess, running, wait_until

pytestmark = pytest.mark.timeout(600)

COLUMNS = ("event_type", "session_id", "endpoint_id", "user_id", "attributes", "metrics", "browser")


@contextmanager
def serving_pages(pages: dict[str, str]) -> Iterator[str]:
    """A site of its own origin: pages by path; yields its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Pages, pages)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Pages(http.server.BaseHTTPRequestHandler):
    def __init__(self, pages: dict[str, str], *given: Any) -> None:
        self._pages = pages
        super().__init__(*given)

    def do_GET(self) -> None:
        page = self._pages.get(self.path)
        body = (page or "").encode()
        self.send_response(404 if page is None else 200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: the tests' output is theirs."""


@pytest.fixture
def api(settings: Settings, topics: list[str], tmp_path: Path) -> Iterator[ApiProcess]:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path)) as started:
        yield started


@pytest.fixture
def site(settings: Settings, api: ApiProcess) -> Iterator[str]:
    """A shop that includes the snippet; /plain does not."""
    snippet = f'<script src="{api.url}/t.js" data-write-key="{make_write_key(settings)}"></script>'
    with serving_pages({"/": f"<title>Läden 🐴</title>{snippet}", "/plain": "<title>Plain</title>"}) as address:
        yield address


def test_sql_sees_what_somebody_does_on_a_page(
    settings: Settings, site: str, browser: webdriver.Chrome, tmp_path: Path, run_headwater: RunHeadwater
) -> None:
    query = "select event_type, count(*)::integer as count from staging.events group by all"
    with running(WorkerProcess(settings, tmp_path)):
        # The first event makes the tables; how soon one is seen counts once they are there.
        open_page(browser, f"{site}/")
        wait_until(lambda: count_types(settings) == {"_session.start": 1, "page.view": 1}, "the first page view")
        browser.execute_script("window.localStorage.clear()")
        started = time.monotonic()
        open_page(browser, f"{site}/")
        browser.execute_script(
            """
            headwater.track("cart.add", {sku: "A1", title: "Žluťoučký 🐴", price: 9.5, count: 2});
            // Half an emoji costs neither its own event nor its neighbours; what is no JSON at all throws nothing into the page.
            headwater.track("cart.add", {title: "cut \\ud83d"});
            const circle = {}; circle.circle = circle; headwater.track("never", circle);
            headwater.identify("jürgen", {plan: "gold"});
            """
        )
        doubled = {"_session.start": 2, "page.view": 2, "cart.add": 2, "user.identify": 1}
        wait_until(lambda: count_types(settings) == doubled, "the lake has all of it")
        landed_secs = time.monotonic() - started
        found = run_headwater("sql", query, "--json")
        seen_secs = time.monotonic() - started
    assert found.returncode == 0, found.stderr
    assert {row["event_type"]: row["count"] for row in json.loads(found.stdout)} == doubled
    print(f"in the lake {landed_secs:.1f} s after the page was opened; headwater sql had said so after {seen_secs:.1f} s")
    events = read_events(settings)
    bought = next(event for event in events if event["attributes"].get("sku") == "A1")
    assert bought["attributes"]["title"] == "Žluťoučký 🐴"
    assert (bought["metrics"]["price"], bought["metrics"]["count"]) == (9.5, 2)
    assert "Chrom" in bought["browser"]
    assert {event["attributes"]["title"] for event in events if event["event_type"] == "cart.add"} == {"Žluťoučký 🐴", "cut \ufffd"}
    assert [event["user_id"] for event in events if event["event_type"] == "user.identify"] == ["jürgen"]
    # Who has cleared the storage is somebody else; else it is one endpoint, one session.
    assert len({event["endpoint_id"] for event in events}) == len({event["session_id"] for event in events}) == 2
    assert rows(settings, "dead_letters") == []


def test_what_happens_while_the_api_is_away_waits_in_the_browser(
    settings: Settings, api: ApiProcess, site: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    open_page(browser, f"{site}/")
    wait_until(lambda: stored(browser) == 0, "the page view is sent")
    api.stop()
    # Control: what is not kept does not come.
    browser.execute_script("headwater.track('forgotten')")
    assert stored(browser) == 1
    browser.execute_script(
        "Object.keys(localStorage).filter((name) => name.includes('.event.')).forEach((name) => localStorage.removeItem(name))"
    )
    browser.execute_script("for (let n = 0; n < 120; n++) headwater.track('kept', {n})")
    assert stored(browser) == 120
    # A second tab finds them too, and sends them as well: they land once.
    api.start()
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    open_page(browser, f"{site}/")
    wait_until(lambda: stored(browser) == 0, "all are sent", 90)
    browser.close()
    browser.switch_to.window(first)
    with running(WorkerProcess(settings, tmp_path)):
        wait_until(lambda: count_types(settings)["kept"] == 120 and count_types(settings)["page.view"] == 2, "all have landed")
    assert count_types(settings) == {"_session.start": 1, "page.view": 2, "kept": 120}
    events = read_events(settings)
    assert sorted(event["metrics"]["n"] for event in events if event["event_type"] == "kept") == list(range(120))
    # Both tabs are one endpoint in one session.
    assert len({(event["endpoint_id"], event["session_id"]) for event in events}) == 1
    assert {reason for (reason,) in rows(settings, "dead_letters", ["reason"])} <= {"duplicate"}


def test_a_beacon_takes_what_happened_right_before_the_page_was_left(
    settings: Settings, site: str, browser: webdriver.Chrome, tmp_path: Path
) -> None:
    silence = "window.fetch = () => new Promise(() => {});"
    # More than 60,000 bytes do not go by beacon; texts that are not ASCII count as the bytes that they are.
    large = "for (let n = 0; n < 9; n++) headwater.track('large', {n, text: 'ž'.repeat(5000)});"
    leave = "headwater.track(arguments[0]); window.location.href = '/plain';"
    with running(WorkerProcess(settings, tmp_path)):
        open_page(browser, f"{site}/")
        wait_until(lambda: stored(browser) == 0, "the page view is sent")
        # Control: nothing is sent when the page may not send a beacon either; it stays.
        browser.execute_script(silence + "navigator.sendBeacon = undefined;" + leave, "stays")
        wait_until(lambda: browser.title == "Plain", "the page is left")
        assert stored(browser) == 1
        time.sleep(3)
        assert "stays" not in count_types(settings)
        open_page(browser, f"{site}/")
        wait_until(lambda: stored(browser) == 0, "what stayed is sent by the next page")
        browser.execute_script(silence + large + leave, "left")
        wait_until(lambda: browser.title == "Plain", "the page is left")
        assert stored(browser) == 10
        wait_until(lambda: count_types(settings)["large"] >= 5, "the beacon has landed")
        # Nobody said that it came: all of it goes again, and lands once.
        open_page(browser, f"{site}/")
        wait_until(lambda: stored(browser) == 0, "all is sent again")
        browser.execute_script(silence + leave, "left.alone")
        wait_until(lambda: count_types(settings)["left.alone"] == 1, "the beacon of a single event has landed")
    counted = count_types(settings)
    assert (counted["stays"], counted["left"], counted["large"], counted["left.alone"]) == (1, 1, 9, 1)
    assert counted["_session.start"] == 1
    # Control: some did come twice.
    assert Counter(reason for (reason,) in rows(settings, "dead_letters", ["reason"])).keys() == {"duplicate"}


def test_an_event_that_is_too_large_costs_none_of_its_neighbours(
    settings: Settings, topics: list[str], browser: webdriver.Chrome, tmp_path: Path
) -> None:
    make_app(settings)
    with serving(ApiProcess(settings, tmp_path, HEADWATER_API_BODY_BYTES_MAX="20000")) as api:
        snippet = f'<script src="{api.url}/t.js" data-write-key="{make_write_key(settings)}" data-auto="off"></script>'
        with serving_pages({"/": snippet}) as site:
            open_page(browser, f"{site}/")
            browser.execute_script(
                "for (let n = 0; n < 45; n++) headwater.track(`event.${n}`, {text: 'x'.repeat(n === 20 ? 30000 : 1000)});"
            )
            wait_until(lambda: stored(browser) == 0, "nothing is left to send")
            assert accepted_items(api) == 44
            # Control: another app's events at this origin are not sent by this key, and stay.
            browser.execute_script("localStorage.setItem('headwater.event.hwk_other.1', JSON.stringify({type: 'track', event: 'other'}))")
            browser.execute_script("headwater.track('last')")
            wait_until(lambda: accepted_items(api) == 45, "the last is accepted")
            wait_until(lambda: stored(browser) == 1, "only the other's is left")


def test_a_page_may_send_a_signed_request(settings: Settings, topics: list[str], browser: webdriver.Chrome, tmp_path: Path) -> None:
    make_app(settings)
    key = make_access_key(settings, "shop")
    with serving_pages({"/": "<title>Plain</title>"}) as mine, serving_pages({"/": "<title>Plain</title>"}) as other:
        # Every origin may, unless the setting names those that may.
        for origins, allowed in (({}, [True, True]), ({"HEADWATER_API_ORIGINS": mine}, [True, False])):
            with serving(ApiProcess(settings, tmp_path, **origins)) as api:
                answers = []
                for page in (mine, other):
                    browser.get(f"{page}/")
                    answers.append(send_signed(browser, api, key))
                # The browser asks first (OPTIONS), and lets the page read the answer only where it may.
                assert [answer == {"status": 202, "accepted": 202} for answer in answers] == allowed, answers


def send_signed(browser: webdriver.Chrome, api: ApiProcess, key: tuple[str, str]) -> Any:
    """PutEvents signed as Amplify's would be, sent by the page; what the page hears."""
    event = {"EventType": "signed", "Timestamp": "2026-01-01T00:00:00Z"}
    body = json.dumps({"BatchItem": {"phone": {"Endpoint": {}, "Events": {"e1": event}}}})
    url = f"{api.url}/v1/apps/shop/events"
    request = AWSRequest("POST", url, headers={"content-type": "application/json"}, data=body)
    SigV4Auth(Credentials(*key), "mobiletargeting", "us-east-1").add_auth(request)
    script = """
        const [url, headers, body, done] = arguments;
        fetch(url, {method: "POST", headers, body}).then(async (answer) => {
          const found = await answer.json();
          done({status: answer.status, accepted: found.Results.phone.EventsItemResponse.e1.StatusCode});
        }).catch((error) => done(String(error)));
    """
    return browser.execute_async_script(script, url, dict(request.headers.items()), body)


def accepted_items(api: ApiProcess) -> int:
    with urllib.request.urlopen(f"{api.url}/metrics", timeout=10) as answer:
        found = re.search(r'^headwater_api_items_accepted_total\{door="batch"\} (\S+)$', answer.read().decode(), re.MULTILINE)
    return int(float(found[1])) if found else 0


def open_page(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    wait_until(lambda: bool(browser.execute_script("return !!(window.headwater && headwater.version)")), "the snippet is there")


def stored(browser: webdriver.Chrome) -> int:
    """How many events wait in the storage of the page's origin."""
    found: int = browser.execute_script("return Object.keys(localStorage).filter((name) => name.startsWith('headwater.event.')).length")
    return found


def read_events(settings: Settings) -> list[dict[str, Any]]:
    found = [dict(zip(COLUMNS, row, strict=True)) for row in rows(settings, columns=COLUMNS)]
    return [event | {name: dict(event[name] or {}) for name in ("attributes", "metrics")} for event in found]


def count_types(settings: Settings) -> Counter[str]:
    """How many events of each type have landed."""
    return Counter(event_type for (event_type,) in rows(settings, columns=["event_type"]))
