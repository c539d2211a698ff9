"""Delta's handle has the key in force now. Without this guard it has the first one, as a handle that is opened once."""

from unittest import mock

from sinks.store import Store


def remove() -> None:
    current, first = Store.delta_options, dict[str, str]()

    def first_options(self: Store) -> dict[str, str]:
        if not first:
            first.update(current(self))
        return dict(first)

    mock.patch.object(Store, "delta_options", first_options).start()
