"""The one request of a launcher to Dataflow's service, answered on loopback."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JOB = "2026-11-22_18_00_00-123456789"
CLOSED_PROJECT = "closed-project"
"""Jobs in it are refused, as where the service is not enabled."""
REFUSAL = "Dataflow API has not been used in this project before or it is disabled"


@dataclass
class Service:
    """Where it listens, what it was asked, as `POST /…`, and the jobs that it was given."""

    port: int = 0
    requests: list[str] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and content for a new job, which never gets to run."""
        found = re.match(r"/v1b3/projects/([\w-]+)/locations/[\w-]+/jobs\b", path)
        if not found or found[1] == CLOSED_PROJECT:
            return 403, {"error": {"code": 403, "message": f"{REFUSAL}.", "status": "PERMISSION_DENIED"}}
        self.jobs.append(json.loads(body))
        return 200, self.jobs[-1] | {"id": JOB, "currentState": "JOB_STATE_PENDING"}


@contextlib.contextmanager
def serving() -> Iterator[Service]:
    """The service, in a thread of its own."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            service.requests.append(f"POST {self.path.split('?')[0]}")
            status, content = service.answer(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_GET(self) -> None:
            service.requests.append(f"GET {self.path.split('?')[0]}")
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()
