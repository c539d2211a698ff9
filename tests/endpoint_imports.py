"""Files of endpoints for tests: written, read without Kafka, and what stands in endpoint-updates afterwards."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Settings, load_settings
from pipeline.endpoints.files.imports import EndpointImportOptions, import_endpoints
from pipeline.endpoints.files.kind import EndpointFiles
from pipeline.imports.outcome import Outcome
from pipeline.imports.places import Places
from pipeline.imports.read import batches
from pipeline.imports.rows import RowError
from tests.archives import read_topic

Json = dict[str, Any]


def write(path: Path, text: str | bytes) -> Path:
    """A file, packed when its name says so."""
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_csv(path: Path, rows: int) -> Path:
    """So many endpoints, endpoint-0, endpoint-1 and so on."""
    lines = (f"endpoint-{number},user{number}@example.com,EMAIL,gold,{number % 9}.5,user-{number // 2}\n" for number in range(rows))
    return write(path, "Id,Address,ChannelType,Attributes.plan,Metrics.logins,User.UserId\n" + "".join(lines))


def read_updates(path: Path, tmp_path: Path) -> tuple[list[Json], list[RowError | tuple[int | None, str | None, str | None, str]]]:
    """The updates that an import of the file would send, and (line, field, value, reason) of the rows that it would reject."""
    kind = EndpointFiles(tmp_path / "home", "shop", 1_000_000)
    (file,) = Places(lambda: pytest.fail("no store is needed")).find_files(str(path))
    file_format = kind.detect(file)
    assert file_format is not None
    updates: list[Json] = []
    rejected: list[Any] = []
    with kind.open(file, file_format) as content:
        judge = kind.judge(file, content, "hash", Outcome(file.address))
        for batch in batches(content.rows):
            for row, found in judge(batch):
                if isinstance(found, RowError):
                    rejected.append((row.line, found.field, found.value, found.reason))
                else:
                    assert isinstance(found, tuple)
                    updates.append(json.loads(found[1]))
    return updates, rejected


def check(path: Path | str, tmp_path: Path) -> Outcome:
    """What --dry-run says of a file: no Kafka, no lake."""
    (outcome,) = import_endpoints(load_settings(home=tmp_path / "home"), [str(path)], EndpointImportOptions("shop", is_dry_run=True))
    return outcome


def sent_updates(settings: Settings) -> list[Json]:
    """Everything in endpoint-updates."""
    return [value for _, value in read_topic(settings, "endpoint-updates")]


def sent_ids(settings: Settings) -> Counter[str]:
    """How often each update id stands there."""
    return Counter(update["update_id"] for update in sent_updates(settings))
