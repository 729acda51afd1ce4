"""The whole pipeline: images to integrated intensities."""

from xdp.pipeline.options import ProcessOptions
from xdp.pipeline.process import Hooks, Processed, process

__all__ = ["Hooks", "ProcessOptions", "Processed", "process"]
