"""Which files of a table are compacted together, so that folders stay small and a row is rewritten once or twice in its life."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

from pipeline.maintenance.rules import MaintainRules
from sinks.kept_table import LakeFile


@dataclass(frozen=True)
class Group:
    """Files of one folder that become one file; at least two."""

    files: tuple[LakeFile, ...]

    @property
    def folder(self) -> str:
        return self.files[0].folder

    @property
    def row_count(self) -> int:
        return sum(file.row_count for file in self.files)


def plan_compaction(files: Sequence[LakeFile], rules: MaintainRules, now: float) -> list[Group]:
    """Groups of small files that are due at `now` (seconds since 1970).

    A file is small below half the target. In a folder that still grows, small files are told apart by size: a class is due when it
    has `files_max` files or the bytes of a target. So a hot file of a busy stream (2 MB or more) is rewritten once, one of a
    quiet stream twice. A folder of an earlier day that has been quiet for a while is compacted whole.
    """
    small = sorted((file for file in files if is_small(file, rules)), key=lambda file: file.folder)
    groups: list[Group] = []
    for _, found in groupby(small, key=lambda file: file.folder):
        folder = sorted(found, key=lambda file: (file.modified_at, file.path))
        if is_closed(folder, rules, now):
            groups += _chop(folder, rules, is_rest_wanted=True)
            continue
        for size_class in range(_size_class(1, rules) + 1):
            members = [file for file in folder if _size_class(file.size_bytes, rules) == size_class]
            groups += _chop(members, rules, is_rest_wanted=len(members) >= rules.files_max)
    return groups


def is_small(file: LakeFile, rules: MaintainRules) -> bool:
    return file.size_bytes < rules.file_bytes_target // 2


def small_file_counts(files: Sequence[LakeFile], rules: MaintainRules) -> dict[str, int]:
    """Small files of each folder that has any file."""
    counts = dict.fromkeys((file.folder for file in files), 0)
    for file in files:
        counts[file.folder] += is_small(file, rules)
    return counts


def is_closed(files: Sequence[LakeFile], rules: MaintainRules, now: float) -> bool:
    """Whether a folder is of an earlier day and nothing came to it for a while; one of a table without dates never is."""
    day = files[0].partition_values.get("arrival_date")
    if day is None or date.fromisoformat(day) > datetime.fromtimestamp(now, UTC).date() - timedelta(days=1):
        return False
    return now - max(file.modified_at for file in files) >= rules.quiet_secs


def _size_class(size_bytes: int, rules: MaintainRules) -> int:
    """0 for files from a 64th of half the target up, 1 for those from a 64th of that up, and so on."""
    return max(0, math.ceil(math.log(rules.file_bytes_target / 2 / max(size_bytes, 1), rules.files_max)) - 1)


def _chop(files: Sequence[LakeFile], rules: MaintainRules, is_rest_wanted: bool) -> Iterator[Group]:
    """Groups of about the target's bytes, in the order of arrival; the rest, if it is wanted."""
    rest: list[LakeFile] = []
    for file in files:
        rest.append(file)
        if sum(each.size_bytes for each in rest) >= rules.file_bytes_target:
            if len(rest) > 1:
                yield Group(tuple(rest))
            rest = []
    if is_rest_wanted and len(rest) > 1:
        yield Group(tuple(rest))
