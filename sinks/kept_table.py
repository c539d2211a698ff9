"""A Delta table as maintenance sees it: its files, one commit that replaces some by others, checkpoints, old log, removed files.

Never delta-rs's own `optimize`: two of them from one version both commit, and every row is there twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from deltalake import CommitProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from sinks.delta_log import list_log, read_removed
from sinks.lake import NO_HOOKS, CommitRefusedError, LakeTable, Upload


@dataclass(frozen=True)
class LakeFile:
    """A file of a table version. `partition_values` is its folder; `modified_at` in seconds since 1970, by the clock of who wrote it."""

    path: str
    size_bytes: int
    row_count: int
    partition_values: Mapping[str, str]
    modified_at: float

    @property
    def folder(self) -> str:
        """As it stands in the path: `arrival_date=2026-11-23`, '' for a table without folders."""
        return "/".join(f"{column}={value}" for column, value in self.partition_values.items())


@dataclass(frozen=True)
class LogLength:
    """Commits since the last checkpoint, which a reader opens one by one; all objects of the log, which it lists."""

    commits: int
    objects: int


class KeptTable(LakeTable):
    """A table with what maintenance does to it. As of the last refresh, as everything of a LakeTable."""

    def files(self) -> list[LakeFile]:
        """Every file of the table, oldest first."""
        actions = pa.table(self._delta().get_add_actions(flatten=True)).to_pylist()
        folders = [f"partition.{column}" for column in self.schema.partition_by]
        found = [
            LakeFile(
                action["path"],
                action["size_bytes"],
                action["num_records"],
                {name.removeprefix("partition."): str(action[name]) for name in folders},
                action["modification_time"] / 1000,
            )
            for action in actions
        ]
        return sorted(found, key=lambda file: (file.modified_at, file.path))

    def stored_schema(self) -> pa.Schema:
        """The columns of the table's files, those included that only another release or another setting knows."""
        return pa.schema([field for field in self._arrow_schema(self._delta()) if field.name not in self.schema.partition_by])

    def replace(
        self,
        removed: Iterable[LakeFile],
        added: Sequence[Upload],
        transactions: Mapping[str, int],
        now: float,
        is_data_change: bool = False,
    ) -> None:
        """One commit in which files go and others come; `now` in seconds since 1970. `is_data_change` is false when the rows are the same.

        Raises CommitRefusedError as `commit` does; after it, and after any other error, refresh before the next commit.
        """
        now_ms = round(now * 1000)
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(file.path, is_data_change, now_ms, file.size_bytes, dict(file.partition_values)) for file in removed
        ]
        actions += [
            AddAction(upload.path, upload.size_bytes, dict(upload.partition_values), now_ms, is_data_change, upload.statistics)
            for upload in added
        ]
        self._write(actions, CommitProperties(app_transactions=[Transaction(*each) for each in transactions.items()]))

    def set_properties(self, wanted: Mapping[str, str]) -> bool:
        """Set Delta's properties where they differ; False when they are as wanted. A commit that is under way beside it is refused once.

        Raises CommitRefusedError when somebody else changed the table at the same moment.
        """
        found = self._delta().metadata().configuration
        missing = {name: value for name, value in wanted.items() if found.get(name) != value}
        if not missing:
            return False
        try:
            self._delta().alter.set_table_properties(missing, post_commithook_properties=NO_HOOKS)
        except CommitFailedError as error:
            raise CommitRefusedError(str(error)) from error
        return True

    def log_length(self) -> LogLength:
        log = list_log(self.store, self.key, self.version())
        return LogLength(len(log.commits), log.object_count)

    def checkpoint(self) -> None:
        """Write a checkpoint of the version as of the last refresh."""
        self._delta().create_checkpoint()

    def clean_log(self) -> None:
        """Delete log files before the last checkpoint that are older than the table's `delta.logRetentionDuration`.

        A handle of an earlier version must be opened anew then, which LakeTable.refresh does; its commit is refused by delta-rs.
        """
        self._delta().cleanup_metadata()

    def removed_files(self) -> dict[str, float]:
        """Files that the log names as removed: path to the moment of their removal, seconds since 1970."""
        active = {file.path for file in self.files()}
        removed = read_removed(self.store, self.key, self.version())
        return {path: removed_ms / 1000 for path, removed_ms in removed.items() if path not in active}

    def unnamed_files(self, older_than: float) -> list[str]:
        """Paths of files in the table's folders that the log does not name, last written before `older_than` (seconds since 1970)."""
        named = {file.path for file in self.files()} | set(read_removed(self.store, self.key, self.version()))
        found = self.store.list_objects(f"{self.key}/")
        paths = [(each.key.removeprefix(f"{self.key}/"), each.modified_at) for each in found]
        return [path for path, modified_at in paths if modified_at < older_than and path not in named and not path.startswith("_")]

    def delete_files(self, paths: Sequence[str]) -> None:
        """Delete data files from the store."""
        self.store.delete([f"{self.key}/{path}" for path in paths])
