"""The progress bar, on a real terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.conftest import ROOT


def test_a_terminal_shows_images_against_the_plan(corpus: Path, model_directory: Path, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    arguments = ["score", f"--input={corpus}", f"--model={model_directory}", f"--output={tmp_path / 'run'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bulklabel.pipelines.cli", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # Linux says so when the other end is closed
    os.close(ours)
    assert process.wait() == 0
    assert b"0 of 4,800 images" in shown
    assert re.search(rb"100%.*4,800 of 4,800 images, [\d,]+ a second", shown)
