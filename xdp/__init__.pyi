# What the names of the front door are, for type checkers; __init__.py loads them when they are used.

from xdp.cluster.connect import connect as connect
from xdp.errors import XdpError as XdpError
from xdp.experiment.experiment import Experiment as Experiment
from xdp.experiment.experiment import ExperimentList as ExperimentList
from xdp.experiment.io import read_experiments as read_experiments
from xdp.experiment.io import write_experiments as write_experiments
from xdp.exporting.export import export as export
from xdp.exporting.options import ExportOptions as ExportOptions
from xdp.images.importing.import_images import import_images as import_images
from xdp.images.importing.options import ImportOptions as ImportOptions
from xdp.images.stack import open_stack as open_stack
from xdp.indexing.command_options import IndexOptions as IndexOptions
from xdp.indexing.command_options import RefineSettingsOptions as RefineSettingsOptions
from xdp.indexing.command_options import ReindexOptions as ReindexOptions
from xdp.indexing.index import index as index
from xdp.indexing.refine_settings import refine_settings as refine_settings
from xdp.indexing.reindex import reindex as reindex
from xdp.integration.integrate import integrate as integrate
from xdp.integration.options import IntegrateOptions as IntegrateOptions
from xdp.laue.find import find_laue_spots as find_laue_spots
from xdp.laue.import_scan import import_laue as import_laue
from xdp.laue.options import LaueImportOptions as LaueImportOptions
from xdp.laue.options import LaueSpotsOptions as LaueSpotsOptions
from xdp.merging.delta.compute import compute_delta_cchalf as compute_delta_cchalf
from xdp.merging.delta.options import DeltaCcHalfOptions as DeltaCcHalfOptions
from xdp.merging.merge import merge as merge
from xdp.merging.options import MergeOptions as MergeOptions
from xdp.merging.resolution.estimate import estimate_resolution as estimate_resolution
from xdp.merging.resolution.options import ResolutionOptions as ResolutionOptions
from xdp.pipeline.options import ProcessOptions as ProcessOptions
from xdp.pipeline.process import process as process
from xdp.refinement.command_options import RefineOptions as RefineOptions
from xdp.refinement.refine import refine as refine
from xdp.reflections.flags import Flag as Flag
from xdp.reflections.refl import read_reflections as read_reflections
from xdp.reflections.refl import write_reflections as write_reflections
from xdp.reflections.table import ReflectionTable as ReflectionTable
from xdp.scaling.options import ScaleOptions as ScaleOptions
from xdp.scaling.scale import scale as scale
from xdp.serial.events.open import open_events as open_events
from xdp.serial.hits.find import find_hits as find_hits
from xdp.serial.hits.options import FindHitsOptions as FindHitsOptions
from xdp.serial.process.options import StillsProcessOptions as StillsProcessOptions
from xdp.serial.process.process import stills_process as stills_process
from xdp.simulation.options import SimulationOptions as SimulationOptions
from xdp.simulation.rotation import simulate_rotation as simulate_rotation
from xdp.spotfinding.find import find_spots as find_spots
from xdp.spotfinding.options import FindSpotsOptions as FindSpotsOptions
from xdp.symmetry.find import find_symmetry as find_symmetry
from xdp.symmetry.options import SymmetryOptions as SymmetryOptions
from xdp.unmerged.read import read_unmerged as read_unmerged
from xdp.work.options import ClusterOptions as ClusterOptions
from xdp.work.options import MpOptions as MpOptions

__version__: str
__all__: list[str]
