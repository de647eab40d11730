"""Has the C library keep the memory of one tensor or photograph for the next."""

import ctypes
import os

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, ARENA_MAX = -1, -2, -3, -8
"""The parameters of glibc's `mallopt`, by their numbers in malloc.h."""

GIB, MIB = 2**30, 2**20


def keep_freed_memory() -> None:
    """Has the C library keep freed memory for this process, where it would give large pieces back at once.

    A network frees and allocates the same tensors for each batch. Without oneDNN, which has an allocator of its own,
    each is mapped anew and zeroed page by page: two epochs of the demo had 9.2 million page faults and 20.9 s of system
    time, and have 0.34 million and 2.9 s. No answer depends on it. Other C libraries than glibc are left as they are.

    Threads share as many heaps as there are processors. By itself the library has eight times as many, each of which
    would keep the pixels of a photograph: 40 of 12 megapixels, each decoded in a thread of its own, two at a time, took
    668 MB and 3.5 s of the processor, and take 171 MB and 2.3 s.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(ARENA_MAX, max(2, os.cpu_count() or 2))
    for parameter, size in ((MMAP_THRESHOLD, GIB), (TRIM_THRESHOLD, GIB), (TOP_PAD, 64 * MIB)):
        if not mallopt(parameter, size):
            mallopt(parameter, 32 * MIB)  # the most that older versions take
