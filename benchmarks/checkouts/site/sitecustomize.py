"""Makes the identifiers that xdp draws at random the same in each run; Python reads this file at its start.

`xdp import` (and with it process, demo and commands that are given images) names experiments by `uuid.uuid4`. For
callers in the package `xdp`, in the first process of a command only, that function counts here. All others get random
numbers as before, as processes that talk to each other need them.
"""

import hashlib
import itertools
import os
import sys
import uuid

_random = uuid.uuid4
_numbers = itertools.count()


def _count_for_xdp() -> uuid.UUID:
    """The next of a fixed series for a caller in xdp, else a random one."""
    caller = sys._getframe(1).f_globals.get("__name__", "")
    if os.getpid() != _first or caller.partition(".")[0] != "xdp":
        return _random()
    return uuid.UUID(hashlib.md5(b"xdp %d" % next(_numbers)).hexdigest(), version=4)


_first = int(os.environ.setdefault("COMPARE_CHECKOUTS_PID", str(os.getpid())))
uuid.uuid4 = _count_for_xdp
