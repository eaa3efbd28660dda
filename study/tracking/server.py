"""`longlag ui`: MLflow's own server on this folder's store."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from study.base.errors import UserError
from study.tracking.relocation import ARTIFACTS, FOLDER, recorded
from study.tracking.store import Store
from study.tracking.store_address import given_address, without_password
from study.tracking.ui_pages import experiments, runs
from study.tracking.views import saved

HOST = "127.0.0.1"


def front(store: Store) -> str:
    """The page to begin with: the only study's runs, or of several studies the list."""
    studies = store.headings()
    return runs(studies[0].experiment_id) if len(studies) == 1 else experiments()


def view_links(store: Store, root: str) -> list[str]:
    """Lines with the address of every study's views."""
    lines = []
    for study in store.headings():
        lines.append(study.name)
        views = saved(study.tags)
        width = max((len(view.title) for view in views), default=0)
        for view in views:
            lines.append(f"  {view.title:<{width}}  {root}/{view.url(study.experiment_id)}")
    return lines


def serve(folder: Path, port: int) -> int:
    """Runs until Ctrl-C. Raises UserError when there is no store or the port is taken."""
    uri = given_address(create=False)
    if uri is not None and uri.startswith(("http://", "https://")):
        shown = without_password(uri).rstrip("/")
        print(f"the store is a server already: open {shown}/{experiments()}")
        return 0
    store = Store.open(folder, relocate=True)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise UserError(f"port {port} is taken; choose another with --port") from None
    root = f"http://{HOST}:{port}"
    print(f"MLflow UI: {root}/{front(store)}  (takes some seconds to start; Ctrl-C ends it)")
    print("\n".join([*store.notices, *view_links(store, root)]), flush=True)
    artifacts = recorded(folder.resolve() / FOLDER / ARTIFACTS)
    command = [sys.executable, "-m", "mlflow", "server", "--default-artifact-root", artifacts]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    # Its job runner serves features for language models: ten idle processes, 2 GB together.
    # Everybody may read a command line, and the store's URI may hold a password.
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_BACKEND_STORE_URI": store.uri,
    }
    # A session of its own, so that whatever ends us can end the server with all its processes.
    server = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
