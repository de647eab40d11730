"""An environment with Airflow, as its lock files say."""

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, missing
from tests.support.once import locked

LOCKS = [ROOT / "tests" / "engines" / "airflow.lock", ROOT / "tests" / "engines" / "airflow_providers.lock"]


def installed() -> Path:
    """The environment's interpreter; the environment is made by uv where it is not there yet."""
    environment = ROOT / ".tools" / "airflow"
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in LOCKS)).hexdigest()
    python, stamp = environment / "bin" / "python", environment / "installed"
    with locked(environment):
        if not stamp.exists() or stamp.read_text() != digest:
            _install(environment, python)
            stamp.write_text(digest)
    return python


def _install(environment: Path, python: Path) -> None:
    """Makes the environment.

    What is installed is exactly what is locked: Google's provider would bring two gigabytes for other services.
    """
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
    line = [*uv, "pip", "install", "--quiet", "--python", str(python), "--compile-bytecode", "--no-deps"]
    files = [argument for path in LOCKS for argument in ("-r", str(path))]
    done = subprocess.run([*line, "--require-hashes", *files], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        missing(f"Airflow cannot be installed: {done.stderr.strip().splitlines()[-1]}")
