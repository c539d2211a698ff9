"""Keeps the stack's programs running: writes supervisor's configuration, starts it, and speaks to it over its socket."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import xmlrpc.client
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from pipeline.config import PREFIX, Settings
from pipeline.stack.programs import Program, stack_folder
from schemas.errors import UnavailableError

SOCKET_PATH_BYTES_MAX = 90


class Supervisor:
    """supervisord of one Headwater home."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.home.resolve()
        self.folder = stack_folder(settings)
        self.log_folder = self.home / "logs"
        self.config_file = self.folder / "supervisord.conf"
        self.socket = socket_path(settings)

    def call(self, method: str, *arguments: Any) -> Any:
        """One call of supervisor's XML-RPC interface, for example 'getAllProcessInfo'.

        Raises OSError when nobody answers at the socket, xmlrpc.client.Fault when supervisor refuses.
        """
        with xmlrpc.client.ServerProxy(
            "http://localhost", transport=SupervisorTransport(None, None, f"unix://{self.socket}"), allow_none=True
        ) as server:
            return getattr(server.supervisor, method)(*arguments)

    def pid(self) -> int | None:
        """supervisord's process, None when it does not run."""
        try:
            return int(self.call("getPID"))
        except (OSError, xmlrpc.client.ProtocolError):
            return None

    def processes(self) -> list[dict[str, Any]]:
        """supervisor's own record of each process, [] when it does not run."""
        try:
            found: list[dict[str, Any]] = self.call("getAllProcessInfo")
            return found
        except (OSError, xmlrpc.client.ProtocolError):
            return []

    def write_config(self, programs: list[Program]) -> None:
        """Scripts, configuration files and supervisord.conf of these programs; all for the owner alone, since they hold keys."""
        for folder in (self.folder, self.log_folder, self.socket.parent):
            folder.mkdir(parents=True, exist_ok=True)
        for program in programs:
            for name, text in program.files.items():
                _write_private(self.folder / name, text)
            _write_private(self.folder / f"{program.name}.sh", program.script)
        _write_private(self.config_file, self._config(programs))

    def start(self) -> None:
        """Start supervisord in the background, without any program. What a killed one left behind is cleared away.

        Raises UnavailableError with what supervisord said when it does not start.
        """
        self.socket.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.config_file)],
            cwd=self.home,
            # What it starts has its settings in its script; this shell's would outlive a change of them.
            env={name: value for name, value in os.environ.items() if not name.startswith(PREFIX)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0 or self.pid() is None:
            raise UnavailableError(
                f"supervisord did not start (exit status {done.returncode}): {(done.stderr or done.stdout).strip()}. "
                f"Its log is {self.log_folder / 'supervisord.log'}."
            )

    def apply_config(self) -> None:
        """Make the running supervisord match the configuration written last: removed programs are stopped, changed ones made anew."""
        added, changed, removed = self.call("reloadConfig")[0]
        for name in [*removed, *changed]:
            self.call("stopProcessGroup", name)
            self.call("removeProcessGroup", name)
        for name in [*changed, *added]:
            self.call("addProcessGroup", name)

    def end(self, secs_max: float) -> None:
        """Stop every program and supervisord; what does not stop in time is killed."""
        pid = self.pid()
        supervisord = [psutil.Process(pid)] if pid and psutil.pid_exists(pid) else []
        if supervisord:
            self.call("shutdown")
        _, alive = psutil.wait_procs(supervisord, timeout=secs_max)
        kill_processes(alive, secs=0)
        kill_processes(self.orphans(), secs=5)
        self.socket.unlink(missing_ok=True)

    def orphans(self) -> list[psutil.Process]:
        """Programs that a supervisord of this home started and that outlived it.

        supervisord tells each child where its socket is, by an environment variable; that is how they are known.
        """
        keeper = self.pid()
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get("SUPERVISOR_SERVER_URL") == f"unix://{self.socket}"
                if is_ours and keeper is None and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _config(self, programs: list[Program]) -> str:
        # Paths are relative to the home, in which supervisord runs: a percent sign or a space in the home's name is no trouble then.
        lines = [
            "[supervisord]",
            "logfile=logs/supervisord.log",
            "logfile_maxbytes=1MB",
            "logfile_backups=1",
            "pidfile=stack/supervisord.pid",
            "umask=077",
            *(["user=root"] if os.geteuid() == 0 else []),
            "[unix_http_server]",
            f"file={'stack/supervisor.sock' if self.socket.parent == self.folder else self.socket}",
            "chmod=0600",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for program in programs:
            lines += [
                f"[program:{program.name}]",
                # The fingerprint is an argument that nobody reads: it makes supervisor see that a script has changed.
                f"command=/bin/sh stack/{program.name}.sh {program.fingerprint}",
                f"priority={program.priority}",
                "autostart=false",
                "autorestart=unexpected",
                f"exitcodes={','.join(map(str, program.exit_codes_final)) or 255}",
                "startsecs=1",
                f"stopwaitsecs={program.stop_secs}",
                "killasgroup=true",
                "redirect_stderr=true",
                f"stdout_logfile=logs/{program.name}.log",
                "stdout_logfile_maxbytes=10MB",
                "stdout_logfile_backups=2",
            ]
        return "\n".join(lines) + "\n"


def socket_path(settings: Settings) -> Path:
    """supervisor's socket: in the home, or under /tmp when the home's path is too long for a Unix socket."""
    path = stack_folder(settings) / "supervisor.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path("/tmp") / f"headwater-{os.getuid()}-{digest}" / "supervisor.sock"


def kill_processes(processes: list[psutil.Process], secs: float) -> None:
    """End processes: asked first when `secs` is not 0, then killed."""
    if secs:
        for process in processes:
            _signal(process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=secs)
    for process in alive:
        _signal(process.kill)
    psutil.wait_procs(alive, timeout=5)


def remove_socket_folder(settings: Settings) -> None:
    """Remove the folder under /tmp that a long home path needs."""
    folder = socket_path(settings).parent
    if folder != stack_folder(settings):
        shutil.rmtree(folder, ignore_errors=True)


def _signal(send: Any) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=True)
    path.write_text(text)
