"""An experiment: the models that explain a set of images; and lists of them that share models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

from xdp.display import Displayed, format_value
from xdp.errors import XdpError
from xdp.experiment.beam import Beam
from xdp.experiment.crystal import Crystal
from xdp.experiment.detector import Detector
from xdp.experiment.goniometer import Goniometer
from xdp.experiment.imageset import ImageSet
from xdp.experiment.scan import Scan

#: The models of an experiment, by the names that .expt files have for them.
MODELS = ("beam", "detector", "goniometer", "scan", "crystal", "profile", "scaling_model", "imageset")


@dataclass(frozen=True, repr=False)
class Experiment(Displayed):
    """One crystal (or none yet) on one set of images; a model that several experiments share is the same object."""

    identifier: str = ""
    beam: Beam | None = None
    detector: Detector | None = None
    goniometer: Goniometer | None = None
    scan: Scan | None = None
    crystal: Crystal | None = None
    imageset: ImageSet | None = None
    profile: dict[str, Any] | None = field(default=None, hash=False)
    scaling_model: dict[str, Any] | None = field(default=None, hash=False)
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def _facts(self) -> list[tuple[str, Any]]:
        names = ("beam", "detector", "goniometer", "scan", "crystal", "imageset")
        models = {name: getattr(self, name) for name in names}
        named = [(name, ", ".join(f"{key} {format_value(value)}" for key, value in model._facts()))
                 for name, model in models.items() if model is not None]
        return [("identifier", self.identifier), *named]

    @property
    def known(self) -> KnownModels:
        """The models as those that must be there: ``experiment.known.crystal`` is a crystal, or an error says so."""
        return KnownModels(self)

    @property
    def is_still(self) -> bool:
        """Whether there is no rotation: no goniometer, no scan, or an oscillation width of zero."""
        return self.goniometer is None or self.scan is None or self.scan.is_still


#: What the user can do about a model that is missing.
_HINTS = {"crystal": "; xdp index finds one", "scan": "; it is a still", "goniometer": "; it is a still"}


@dataclass(frozen=True)
class KnownModels:
    """The models of an experiment, each of which must be there when it is asked for.

    Raises
    ------
    XdpError
        From each attribute, if the experiment has no such model.
    """

    experiment: Experiment

    def _model(self, name: str) -> Any:
        """A model by its name."""
        model = getattr(self.experiment, name)
        if model is None:
            which = f"experiment {self.experiment.identifier}" if self.experiment.identifier else "an experiment"
            raise XdpError(f"{which} has no {name}, which is needed here{_HINTS.get(name, '')}")
        return model

    @property
    def beam(self) -> Beam:
        """The beam."""
        return self._model("beam")

    @property
    def detector(self) -> Detector:
        """The detector."""
        return self._model("detector")

    @property
    def goniometer(self) -> Goniometer:
        """The goniometer."""
        return self._model("goniometer")

    @property
    def scan(self) -> Scan:
        """The scan."""
        return self._model("scan")

    @property
    def crystal(self) -> Crystal:
        """The crystal."""
        return self._model("crystal")

    @property
    def imageset(self) -> ImageSet:
        """The images."""
        return self._model("imageset")

    @property
    def profile(self) -> dict[str, Any]:
        """The profile model."""
        return self._model("profile")


@dataclass(frozen=True, repr=False)
class ExperimentList(Displayed, Sequence):
    """Experiments in order, as in one ``.expt`` file; :mod:`xdp.experiment.io` has them as dictionaries and files.

    Parameters
    ----------
    experiments
        Shared models are shared objects: they are written once.
    extra
        Unknown top-level keys of the file, written back as they were.
    """

    experiments: tuple[Experiment, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    def __init__(self, experiments: Iterable[Experiment] = (), extra: dict[str, Any] | None = None) -> None:
        # Frozen data classes have no other way to set an attribute.
        object.__setattr__(self, "experiments", tuple(experiments))
        object.__setattr__(self, "extra", dict(extra or {}))

    def _facts(self) -> list[tuple[str, Any]]:
        n_stills = sum(e.is_still for e in self.experiments)
        counts = [(name, len(self.unique(name))) for name in ("beam", "detector", "crystal", "imageset")]
        return [("experiments", len(self)), ("stills among them", n_stills), *((f"{name}s", n) for name, n in counts)]

    def __len__(self) -> int:
        return len(self.experiments)

    @overload
    def __getitem__(self, index: int) -> Experiment: ...

    @overload
    def __getitem__(self, index: slice) -> ExperimentList: ...

    def __getitem__(self, index: int | slice) -> Experiment | ExperimentList:
        if isinstance(index, slice):
            return ExperimentList(self.experiments[index], self.extra)
        return self.experiments[index]

    def unique(self, name: str) -> list[Any]:
        """The distinct objects of one model, in order of first use.

        Parameters
        ----------
        name : str
            One of :data:`MODELS`: ``"beam"``, ``"detector"``, ...

        Returns
        -------
        list
            Equal models that are two objects count twice; experiments without the model count for nothing.
        """
        found = {id(model): model for e in self.experiments if (model := getattr(e, name)) is not None}
        return list(found.values())


def share_equal_models(experiments: ExperimentList) -> ExperimentList:
    """Make equal detectors, goniometers and beams of several experiments one object each: they are refined once.

    Parameters
    ----------
    experiments : ExperimentList
        Crystals and scans stay as they are.

    Returns
    -------
    ExperimentList
    """
    # Scans are left out: two sweeps of equal angles are still two sets of images.
    kept: dict[str, list] = {"beam": [], "detector": [], "goniometer": []}
    result = []
    for experiment in experiments:
        shared = {}
        for name, seen in kept.items():
            model = getattr(experiment, name)
            match = next((m for m in seen if m == model), None)
            if match is None and model is not None:
                seen.append(model)
            shared[name] = model if match is None else match
        result.append(replace(experiment, **shared))
    return ExperimentList(result, experiments.extra)
