"""Decodes an image file and prints how many bytes a pixel that took: run in a process of its own.

python -m tests.support.decoding_memory image.png PIXELS
"""

import sys
from pathlib import Path

from bulklabel.model.images.decode import decode
from bulklabel.model.images.limits import Limits
from bulklabel.model.images.resize import Preprocessing


def memory(name: str) -> int:
    """Returns the bytes of addresses that this process has (`VmSize`), or the most that it ever had (`VmPeak`)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def main(path: str, pixels: int) -> None:
    content = Path(path).read_bytes()
    before = memory("VmSize")
    decode(content, Preprocessing(224, 224), Limits(truncated="score"))
    sys.stdout.write(f"{(memory('VmPeak') - before) / pixels:.1f}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
