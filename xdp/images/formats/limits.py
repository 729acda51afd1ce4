"""What a file may claim of its size: a damaged or made-up header must not make the program allocate without end."""

from __future__ import annotations

# The largest detectors have 18 million pixels (Eiger 16M): these bounds leave room for thirty times as many, and what
# they let through still fits into the memory of a small machine. The values are a choice.
MAX_PIXELS = 1 << 29
"""Largest image, in pixels, that a header of a single-image file may announce."""

MAX_FRAME_BYTES = 1 << 31
"""Largest frame of a stack, in bytes: the same number of pixels at 4 bytes each."""

MAX_INFLATED_BYTES = 1 << 30
"""Largest single-image file that is unpacked into memory, in bytes, whatever its header promises."""
