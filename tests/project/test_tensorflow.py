"""TensorFlow takes seconds and a gigabyte: only what runs a network imports it, and nothing imports scikit-learn."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.project.source import MODULES, name_of

if TYPE_CHECKING:
    from tests.durability.forked import Run

IMPORTERS = {ROOT / "model" / "network", ROOT / "model" / "training"}
CHECK = "import sys; assert not sys.modules.keys() & {'tensorflow', 'keras', 'sklearn'}"


def runs_without_tensorflow(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{CHECK}"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_no_command_imports_pandas_because_others_would(undisturbed: "Run") -> None:
    run = str(undisturbed.output)
    code = f"from bulklabel.pipelines.cli import main\nassert main(['verify', {run!r}]) == 0"
    runs_without_tensorflow(f"{code}\nimport pyarrow, sys\nassert 'pandas' not in sys.modules\nimport pandas")


def test_no_module_imports_tensorflow_but_those_of_the_network() -> None:
    names = [name_of(path) for path in MODULES if not IMPORTERS & set(path.parents)]
    runs_without_tensorflow("\n".join(f"import {name}" for name in names))


def test_no_command_imports_tensorflow_that_runs_no_network(
    tiny: list[str], undisturbed: "Run", tmp_path: Path
) -> None:
    """One after the other in one process. Of `score`, that is planning: the run is finished, and nothing left to do."""
    run = str(undisturbed.output)
    lines = {
        "verify": [run],
        "compare": [run, run, f"--output={tmp_path / 'compared'}"],
        "evaluate": [f"--input={run}", f"--output={tmp_path / 'evaluated'}"],
        "score": [*tiny, f"--output={run}"],
    }
    calls = [f"assert main({[command, *arguments]!r}) == 0\n{CHECK}" for command, arguments in lines.items()]
    runs_without_tensorflow("\n".join(["from bulklabel.pipelines.cli import main", *calls]))
