"""The one place that makes Dask clients, and everything about batch systems."""

from xdp.cluster.connect import connect
from xdp.work.options import ClusterOptions, MpOptions, WorkerOptions

__all__ = ["ClusterOptions", "MpOptions", "WorkerOptions", "connect"]
