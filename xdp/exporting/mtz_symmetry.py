"""The symmetry records of an MTZ file, for space groups on axes of which no table has them.

References
----------
CCP4, "MTZ file format" (https://www.ccp4.ac.uk/html/mtzformat.html), keywords SYMINF and SYMM.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from xdp.space_groups import UntabulatedGroup

_RECORD = 80  # characters of a header record


def write_operations(path: str | os.PathLike, group: UntabulatedGroup) -> None:
    """Replace the symmetry of an MTZ file.

    Readers take the operations as they are written. The number is 0, since one of a tabulated group would make them
    take that group's operations on its standard axes.

    Parameters
    ----------
    path : path
        A file in the byte order of this machine, as gemmi writes it.
    group : UntabulatedGroup
        Whose operations the file gets.
    """
    path = Path(path)
    content = path.read_bytes()
    start = 4 * (struct.unpack_from("=i", content, 4)[0] - 1)  # words of four bytes, counted from 1
    header = content[start:]
    records = [header[i:i + _RECORD] for i in range(0, len(header), _RECORD)]
    # Records end at END; what follows (history, batches) is kept as it is.
    end = next(i for i, record in enumerate(records) if record.startswith(b"END"))
    kept = [record for record in records[:end] if not record.startswith((b"SYMINF", b"SYMM"))]
    at = next(i for i, record in enumerate(kept) if record.startswith(b"RESO"))
    kept[at:at] = _make_records(group)
    path.write_bytes(content[:start] + b"".join([*kept, header[_RECORD * end:]]))


def _make_records(group: UntabulatedGroup) -> list[bytes]:
    """SYMINF, and a SYMM for each operation."""
    operations = group.operations()
    n_primitive = len(operations.sym_ops)
    letter = group.centring_type() if group.centring_type() != "?" else "P"
    name = f"'{group.xhm()[:20]}'"
    lines = [f"SYMINF {len(operations):3d} {n_primitive:2d} {letter} {0:5d} {name:>22} PG{group.point_group_hm()}"]
    lines += [f"SYMM {operation.triplet().upper()}" for operation in operations]
    return [line.ljust(_RECORD).encode("ascii") for line in lines]
