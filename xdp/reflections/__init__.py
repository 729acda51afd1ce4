"""The reflection table, its columns and flags, and the files that hold it."""

from xdp.reflections.flags import Flag, MaskCode
from xdp.reflections.refl import (
           ColumnSpec,
           ReflWriter,
           column_specs,
           join_specs,
           read_reflections,
           refl_writer,
           write_reflections,
)
from xdp.reflections.shoeboxes import Shoeboxes
from xdp.reflections.table import ReflectionTable

__all__ = ["ColumnSpec", "Flag", "MaskCode", "ReflWriter", "ReflectionTable", "Shoeboxes", "column_specs", "join_specs",
           "read_reflections", "refl_writer", "write_reflections"]
