"""The interactive shell of `headwater sql`: statements over several lines up to a semicolon, history, colours, a few dot commands."""

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output
from pygments.lexers.sql import SqlLexer
from rich.console import Console
from rich.text import Text

from pipeline.ask.output_formats import ROWS_SHOWN, print_table
from pipeline.ask.reader import Reader, open_reader
from pipeline.ask.views import View
from pipeline.config import Settings
from schemas.errors import HeadwaterError

HELP = """\
Type one SELECT and end it with ; (it may run over several lines). Ctrl-C stops a query, Ctrl-D leaves.
.views [NAME]   the views and macros with their grain, or the columns of a view
.refresh        look at the lake as it is now; until then all answers are of one version
.help           this
.quit           leave"""


class Shell:
    """One person's session: a reader that stays pinned until `.refresh`."""

    def __init__(self, settings: Settings, console: Console, rows_shown: int = ROWS_SHOWN) -> None:
        self._settings, self._console, self._rows_shown = settings, console, rows_shown
        self._reader: Reader = open_reader(settings)

    def close(self) -> None:
        self._reader.close()

    def run(self, source: Input | None = None, output: Output | None = None) -> None:
        """Read and answer until .quit or the end of input; `source` and `output` default to the terminal."""
        self._settings.home.mkdir(parents=True, exist_ok=True)
        names = [view.name for view in self._reader.views]
        columns = {column for name in names for column, _ in self._reader.columns(name)}
        session: PromptSession[str] = PromptSession(
            history=FileHistory(str(self._settings.home / "sql_history")),
            lexer=PygmentsLexer(SqlLexer),
            completer=WordCompleter([*self._reader.library.definitions, *sorted(columns)], ignore_case=True, WORD=True),
            complete_while_typing=False,
            multiline=True,
            key_bindings=_enter_ends_statement(),
            prompt_continuation="       -> ",
            input=source,
            output=output,
        )
        self._console.print("headwater sql: read-only, .help for help, .quit to leave")
        while True:
            try:
                text = session.prompt("headwater> ")
            except KeyboardInterrupt:
                continue
            except EOFError:
                return
            if not self.enter(text):
                return

    def enter(self, text: str) -> bool:
        """Answer one statement or dot command; False when the person wants to leave. Errors are printed, the session goes on."""
        text = text.strip()
        if not text or text == ";":
            return True
        if text.startswith("."):
            return self._command(*text.rstrip(";").split())
        try:
            with self._reader.ask(text) as answer:
                print_table(answer, self._console, self._rows_shown)
        except HeadwaterError as error:
            self._console.print(Text(str(error), style="red"))
        except KeyboardInterrupt:
            self._console.print(Text("Stopped.", style="red"))
        return True

    def _command(self, name: str, *arguments: str) -> bool:
        match name:
            case ".quit" | ".exit":
                return False
            case ".views":
                self._print_views(*arguments[:1])
            case ".refresh":
                self._refresh()
            case ".help":
                self._console.print(HELP)
            case _:
                self._console.print(Text(f"'{name}' is no command; .help lists them.", style="red"))
        return True

    def _refresh(self) -> None:
        try:
            fresh = open_reader(self._settings)
        except HeadwaterError as error:
            self._console.print(Text(f"{error} The answers stay those of before.", style="red"))
            return
        self._reader.close()
        self._reader = fresh
        self._console.print("Pinned to the lake as it is now.")

    def _print_views(self, name: str = "") -> None:
        found = [one for one in self._reader.library.definitions.values() if name in {"", one.name}]
        if not found:
            self._console.print(Text(f"'{name}' is no view; .views lists them.", style="red"))
        for one in sorted(found, key=lambda one: one.name):
            self._console.print(Text.assemble((one.name if isinstance(one, View) else one.signature, "bold"), f"  {one.grain}"))
            if name and isinstance(one, View):
                for column, kind in self._reader.columns(name):
                    self._console.print(f"  {column}  {kind.lower()}", highlight=False, markup=False)


def _enter_ends_statement() -> KeyBindings:
    """Enter sends the text once it ends with a semicolon or is a dot command; before that it begins a new line."""
    bindings = KeyBindings()

    def is_complete(buffer: Buffer) -> bool:
        text = buffer.text.strip()
        return not text or text.endswith(";") or text.startswith(".")

    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if is_complete(buffer):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    bindings.add("enter")(enter)
    return bindings
