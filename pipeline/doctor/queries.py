"""Views, macros and checks of one's own: each file can be used, and fits what it reads."""

from collections.abc import Iterator

from pipeline.ask.layers import ViewError
from pipeline.ask.reader import open_empty_reader
from pipeline.doctor.check import Case
from pipeline.doctor.finding import Finding, from_error, ok
from schemas.errors import HeadwaterError


def check_own_queries(case: Case) -> Iterator[Finding]:
    """What is left out of the folder, and what does not fit its columns, which shows when it is asked."""
    folder = case.settings.queries_folder
    if folder is None:
        yield ok("queries of one's own", "none: HEADWATER_QUERIES_FOLDER is not set")
        return
    found: list[Finding] = []
    try:
        with open_empty_reader(case.settings) as reader:
            found += [from_error(name, ViewError(reason)) for name, reason in reader.library.left_out.items()]
            own = [one for one in reader.library.definitions.values() if one.path.is_relative_to(folder)]
            for one in own:
                try:
                    reader.create(one.name)
                except HeadwaterError as error:
                    found.append(from_error(one.name, error))
    except HeadwaterError as error:
        found.append(from_error("queries of one's own", error))
        own = []
    yield from found
    if not found:
        yield ok("queries of one's own", f"{len(own)} files of {folder}")
