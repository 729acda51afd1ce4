"""Beam, detector, goniometer, scan, crystal and the experiments they make; files of them as DIALS writes them."""

from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector, Panel
from xdp.experiment.experiment import Experiment, ExperimentList
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.imageset import ImageSet
from xdp.experiment.io import read_experiments, write_experiments
from xdp.experiment.scan import Scan

__all__ = ["Beam", "Crystal", "Detector", "Experiment", "ExperimentList", "Goniometer", "ImageSet", "Panel", "Scan",
           "read_experiments", "write_experiments"]
