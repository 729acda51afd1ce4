"""Parameters of :func:`~xdp.serial.events.open.open_events`."""

from __future__ import annotations

from xdp.options import FilePath, Options, option


class EventValues(Options):
    """Where an HDF5 file has the values of its shots: paths of data sets with one number for all shots, or one each."""

    energy: str | None = option(
        None, "Data set with photon energies, eV. None: where LCLS, Cheetah, CXI and NeXus put them.")
    encoder: str | None = option(
        None, "Data set with the detector's encoder, mm. None: where LCLS and Cheetah put it.")
    distance: str | None = option(None, "Data set with the distance from sample to detector, mm.")
    time: str | None = option(
        None, "Data set with the time of each shot: seconds since 1970, or text. None: where LCLS and Cheetah put it.")
    pulse_energy: str | None = option(
        None, "Data set with the energy of each pulse, mJ. None: the mean of LCLS' gas detectors, where they are.")
    scalar: tuple[str, ...] = option(
        (), "NAME=PATH: a further number of each shot, under a name of yours.", multiple=True)


class EventOptions(Options):
    """How shots are read, and what is laid over what their files say."""

    geometry: FilePath | None = option(
        None, "Take detector and beam from this file: CrystFEL's .geom or an .expt. None: what the images' headers "
        "say.", file="input")
    detz_offset: float | None = option(
        None, "Added to the encoder to give the distance, mm. None: what the geometry file has (CrystFEL's coffset); "
        "without that an encoder is not used.")
    distance: float | None = option(None, "Distance from sample to detector of all shots, mm.", gt=0.0)
    energy: float | None = option(None, "Photon energy of all shots, eV.", gt=0.0)
    skip: int = option(0, "Leave out so many shots at the beginning.", ge=0)
    count: int | None = option(None, "Read no more than so many shots. None: all.", ge=0)
    value: EventValues = option(EventValues(), "")


class ShotChecks(Options):
    """When a shot is set aside with its reason, besides those that cannot be read."""

    energy: bool = option(True, "Set a shot aside that has no photon energy above 0.")
    distance: bool = option(True, "Set a shot aside whose distance is not known.")
    finite: bool = option(True, "Set a shot aside that has pixels which are no finite number, outside of masks.")
    blank: bool = option(True, "Set a shot aside all of whose pixels have the same value.")
    saturated: float | None = option(
        0.1, "Set a shot aside if more than this fraction of its pixels is above the trusted range. None: never.",
        ge=0.0, le=1.0)
