"""The site of the library: a page for everything, each column with its meaning, no link that leads nowhere; and it is opened in a real browser."""

import functools
import itertools
import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline.ask.reader import open_empty_reader
from pipeline.config import load_settings
from pipeline.pages.site.catalog import Catalog, build_catalog
from pipeline.pages.site.graph import as_mermaid, edges_of
from pipeline.pages.site.lineage import BOX_HEIGHT, BOX_WIDTH, draw_lineage
from pipeline.pages.site.write import render_site, write_site
from schemas.errors import UsageError
from tests.browsers import list_errors
from tests.conftest import headwater
from tests.lake_rows import library
from tests.query_folder import write_queries
from tests.test_own_queries import OWN


@functools.cache
def catalog() -> Catalog:
    with open_empty_reader(load_settings()) as reader:
        return build_catalog(reader)


pages = functools.cache(lambda: render_site(catalog()))


class Links(HTMLParser):
    """What a page leads to: `targets`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attributes if name in ("href", "src") and value]


def test_everything_has_a_page_and_no_link_leads_nowhere() -> None:
    names = set(library().definitions)
    files = {f"{name}.html" if "." in name else f"macros.{name}.html" for name in names}
    assert files == {name for name in pages() if name.endswith(".html")} - {"index.html", "lineage.html"}
    for page, text in pages().items():
        if page.endswith(".html"):
            # The site stands by itself: nothing is asked of another machine.
            assert set(Links(text).targets) - set(pages()) == set(), page
    assert files <= set(Links(pages()["index.html"]).targets)


def test_each_column_of_core_and_staging_has_a_meaning() -> None:
    silent = {
        one.name for one in catalog().entries.values() if one.layer in ("staging", "core") for column in one.columns if not column.meaning
    }
    # Steps of merging, whose section of the README says in words what their columns are.
    assert silent == {"core.endpoint_tail", "core.endpoint_merges", "core.endpoint_facts"}
    meanings = {column.name: column.meaning for column in catalog().entries["core.sessions"].columns}
    assert meanings["duration_secs"] == "seconds between the two; 0 for a single event"
    # What core.events takes over from the lake, the schema says.
    events = {column.name: (column.kind, column.meaning) for column in catalog().entries["core.events"].columns}
    assert events["is_late"] == ("boolean", "it happened more than `LATE_HOURS` before it was appended")
    assert events["app_id"][1] == {column.name: column.meaning for column in catalog().entries["staging.events"].columns}["app_id"]


def test_a_page_says_what_it_reads_and_who_reads_it() -> None:
    page = pages()["core.sessions.html"]
    targets = Links(page).targets
    assert {
        "core.session_events.html",
        "core.endpoint_days.html",
        "checks.assert_sessions_cover_activity.html",
        "macros.app_zone.html",
    } <= set(targets)
    assert "headwater simulate --compare" in page
    assert "<td><code>duration_secs</code></td><td>double</td>" in page
    assert 'class="sql"' in page
    assert "lake.events" in catalog().above("core.sessions")
    assert "kpis.overview" in catalog().below("core.sessions")
    macro = pages()["macros.funnel.html"]
    assert "must be given" in macro
    assert "<code>within</code>" in macro


def test_the_picture_has_no_two_boxes_in_one_place_and_every_line_leads_to_the_right() -> None:
    names = [one.name for one in catalog().entries.values()]
    picture = draw_lineage(catalog(), names)
    places = {box.name: (box.x, box.y) for box in picture.boxes}
    assert set(places) == set(names)
    taken = sorted(places.values())
    assert all(abs(x2 - x1) >= BOX_WIDTH or abs(y2 - y1) >= BOX_HEIGHT for (x1, y1), (x2, y2) in itertools.pairwise(taken))
    assert all(places[line.source][0] < places[line.target][0] for line in picture.lines)
    assert {(line.source, line.target) for line in picture.lines} == {
        edge for edge in edges_of(library().definitions.values()) if edge[0] in places
    }
    assert max(x for x, _ in places.values()) + BOX_WIDTH <= picture.width


def test_ones_own_queries_are_on_the_site_with_their_meanings(tmp_path: Path) -> None:
    own = OWN | {
        "kpis/misfit.sql": "-- One row per event.\nselect nothing_of_this_name from core.events",
        "kpis/bad.sql": "select 1",
        "kpis/marked.sql": "-- One row per <script>alert(1)</script>.\n-- And <b>so</b>.\nselect '<b>' as text from core.events",
        "macros/index.sql": "-- A value: what its page is called.\ncreate macro index(a) as a",
        "README.md": "### `kpis.big_baskets`\n\n| column | is |\n| --- | --- |\n| `revenue` | <b>twice</b> what was paid |\n",
        "exposures.yml": "exposures:\n  - {name: Monday's mail, owner: sales, what: the <b>week</b>, reads: [kpis.big_baskets]}\n",
    }
    folder = write_queries(tmp_path, own)
    with open_empty_reader(load_settings(queries_folder=folder)) as reader:
        found = render_site(build_catalog(reader, folder))
    # What people write is text, and no markup.
    assert "&lt;b&gt;twice&lt;/b&gt; what was paid" in found["kpis.big_baskets.html"]
    assert "Monday&#39;s mail" in found["kpis.big_baskets.html"]
    assert "does not fit what it reads" in found["kpis.misfit.html"]
    assert "<code>kpis.bad</code>" in found["index.html"]
    assert "kpis.bad.html" not in found
    assert "the &lt;b&gt;week&lt;/b&gt;" in found["kpis.big_baskets.html"]
    marked = found["kpis.marked.html"]
    assert "&lt;script&gt;alert(1)" in marked
    assert not re.search("<script>alert|<b>", marked)
    # A macro that is called as a page is has a page of its own.
    assert "Views and macros" in found["index.html"]
    assert "what its page is called" in found["macros.index.html"]


@pytest.mark.parametrize("text", ["", "exposures: [{name: x}]", "exposures: 3", "a: [", "- x"])
def test_exposures_of_ones_own_that_cannot_be_read_are_an_error(tmp_path: Path, text: str) -> None:
    folder = write_queries(tmp_path, OWN | {"exposures.yml": text})
    with (
        open_empty_reader(load_settings(queries_folder=folder)) as reader,
        pytest.raises(UsageError, match=r"exposures.yml cannot be read .*; expected exposures, a list"),
    ):
        build_catalog(reader, folder)


def test_the_site_is_written_and_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    written = write_site(catalog(), tmp_path / "some" / "where")
    assert {path.name for path in written} == {*pages(), "pages.txt"}
    assert (tmp_path / "some" / "where" / "index.html").read_text() == pages()["index.html"]
    # What an earlier version of the library had goes with the next writing, and what somebody else put there stays.
    (tmp_path / "some" / "where" / "pages.txt").write_text("index.html\ncore.old.html\n../where/other.html")
    for name in ("core.old.html", "mine.html"):
        (tmp_path / "some" / "where" / name).write_text("old")
    write_site(catalog(), tmp_path / "some" / "where")
    assert not (tmp_path / "some" / "where" / "core.old.html").exists()
    assert (tmp_path / "some" / "where" / "mine.html").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*file/x cannot be written: Not a directory; expected a folder of yours"):
        write_site(catalog(), tmp_path / "file" / "x")


def test_commands_write_the_site_and_show_the_graph(tmp_path: Path) -> None:
    said = json.loads(headwater(load_settings(), "views", "docs", "--out", str(tmp_path / "site"), "--json").stdout)
    assert said == {"index": str(tmp_path / "site" / "index.html"), "pages": len(pages()) + 1}
    graph = json.loads(headwater(load_settings(), "views", "graph", "core.sessions", "--json").stdout)
    edges = {(edge["source"], edge["target"]) for edge in graph["edges"]}
    assert {("lake.events", "staging.events"), ("core.session_events", "core.sessions"), ("core.sessions", "core.endpoint_days")} <= edges
    assert ("core.purchases", "core.endpoint_days") not in edges
    assert set(graph["names"]) == {one for edge in edges for one in edge}
    tree = headwater(load_settings(), "views", "graph", "core.sessions").stdout
    assert re.search(r"core.sessions reads\n(.*app_zone\n)?.*core.session_events", tree)
    assert "core.sessions is read by" in tree
    mermaid = headwater(load_settings(), "views", "graph", "core.sessions", "--mermaid").stdout
    assert mermaid.strip() == as_mermaid(sorted(edges))
    assert "flowchart LR\n    app_zone --> core.sessions" in mermaid
    wrong = headwater(load_settings(), "views", "graph", "core.session")
    assert wrong.returncode == 2
    assert "core.sessions" in wrong.stderr


def shown(opened: webdriver.Chrome) -> list[str]:
    return [link.text for link in opened.find_elements(By.CSS_SELECTOR, "tr.entry a") if link.is_displayed()]


def test_the_site_works_in_a_browser(browser: webdriver.Chrome, tmp_path: Path) -> None:
    write_site(catalog(), tmp_path)
    browser.get((tmp_path / "index.html").as_uri())
    everything = shown(browser)
    assert set(everything) == set(library().definitions)
    search = browser.find_element(By.ID, "search")
    # A column's name finds the views that have it.
    search.send_keys("duration_secs")
    assert shown(browser) == ["core.sessions", "checks.assert_session_durations_are_not_negative"]
    assert browser.find_element(By.ID, "found").text == f"2 of {len(everything)}"
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("no such word")
    assert shown(browser) == []
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("endpoint day")
    assert "core.endpoint_days" in shown(browser)
    browser.find_element(By.LINK_TEXT, "core.endpoint_days").click()
    assert browser.find_element(By.TAG_NAME, "h1").text == "core.endpoint_days"
    assert _columns(browser)["session_count"] == ("bigint", "sessions that started on the day")
    # From the picture to what it stands on.
    browser.find_element(By.CSS_SELECTOR, ".picture a[href='core.purchases.html']").click()
    assert browser.find_element(By.TAG_NAME, "h1").text == "core.purchases"
    browser.find_element(By.LINK_TEXT, "Lineage").click()
    assert len(browser.find_elements(By.CSS_SELECTOR, ".picture rect")) > 50
    assert list_errors(browser) == []


def _columns(opened: webdriver.Chrome) -> Mapping[str, tuple[str, str]]:
    rows = [
        [cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in opened.find_elements(By.CSS_SELECTOR, ".columns tbody tr")
    ]
    return {name: (kind, meaning) for name, kind, meaning in rows}
