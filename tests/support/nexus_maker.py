"""Small NXmx files for tests, in every layout that beamlines write."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

STORAGES = {
    "bitshuffle-lz4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "bitshuffle-zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4-blocks": dict(hdf5plugin.LZ4(nbytes=512)),
    "gzip": {"compression": "gzip"},
    "shuffle-gzip": {"compression": "gzip", "shuffle": True},
    "shuffle": {"shuffle": True},
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc": dict(hdf5plugin.Blosc()),
    "fletcher": {"compression": "gzip", "fletcher32": True},
    "none": {},
}
# Those that we decode ourselves.
DIRECT = {"bitshuffle-lz4", "lz4", "lz4-blocks", "gzip", "shuffle-gzip", "shuffle", "zstd", "none"}


def example_counts(n_frames=5, slow=37, fast=41, dtype=np.uint32, seed=1) -> np.ndarray:
    """Frames like a detector's: low counts, a few high ones, a gap of masked pixels at the type's end."""
    random = np.random.default_rng(seed)
    counts = random.poisson(2.0, (n_frames, slow, fast)).astype(dtype)
    counts[:, ::9, ::7] = random.integers(0, min(np.iinfo(dtype).max, 70000), counts[:, ::9, ::7].shape)
    counts[:, :, 20:22] = np.iinfo(dtype).max
    return counts


def group(parent, name, nx_class):
    made = parent.create_group(name)
    # Fixed length, as Dectris writes it: DIALS compares with bytes.
    made.attrs["NX_class"] = np.bytes_(nx_class)
    return made


def axis(parent, name, value, kind, vector, depends_on, units=None, **attributes):
    made = parent.create_dataset(name, data=np.asarray(value, float))
    made.attrs.update({"transformation_type": kind, "vector": np.asarray(vector, float), "depends_on": depends_on,
                       "units": units or ("deg" if kind == "rotation" else "mm"), **attributes})
    return made


def write_frames(parent, name, counts, storage=None, chunks=None):
    return parent.create_dataset(name, data=counts, chunks=chunks or (1, *counts.shape[1:]), **(storage or {}))


def write_data(path: Path, data: h5py.Group, counts: np.ndarray, layout: str, storage: dict) -> None:
    """The frames: inside, linked from two files, or virtual from them (frame after frame, or alternating)."""
    if layout == "inside":
        write_frames(data, "data", counts, storage)
        return
    halves = (counts[::2], counts[1::2]) if layout == "alternating" else np.array_split(counts, 2)
    names = [f"{path.stem}_data_{i + 1:06d}" for i in range(2)]
    for name, half in zip(names, halves, strict=True):
        with h5py.File(path.with_name(name + ".h5"), "w") as handle:
            write_frames(handle.create_group("entry/data"), "data", half, storage)
    if layout == "links":
        for i, name in enumerate(names):
            data[f"data_{i + 1:06d}"] = h5py.ExternalLink(name + ".h5", "/entry/data/data")
        return
    virtual = h5py.VirtualLayout(counts.shape, counts.dtype)
    at = 0
    for i, (name, half) in enumerate(zip(names, halves, strict=True)):
        source = h5py.VirtualSource(name + ".h5", "entry/data/data", half.shape)
        if layout == "alternating":
            virtual[i::2] = source
        else:
            virtual[at:at + len(half)] = source
        at += len(half)
    data.create_virtual_dataset("data", virtual)


def write_nxmx(path: Path, counts: np.ndarray | None = None, *, layout="inside", storage="bitshuffle-lz4",
               rotation=True, omega=None, detector_values=None, modules=None, mask=None, wavelength=0.9795,
               signal="data") -> Path:
    """An NXmx file; `modules`: (data_origin, data_size, offset in mm along x and y) of each."""
    counts = example_counts() if counts is None else counts
    with h5py.File(path, "w") as handle:
        entry = group(handle, "entry", "NXentry")
        entry["definition"] = "NXmx"
        data = group(entry, "data", "NXdata")
        if signal:
            data.attrs["signal"] = signal
        write_data(path, data, counts, layout, STORAGES[storage])
        instrument = group(entry, "instrument", "NXinstrument")
        beam = group(instrument, "beam", "NXbeam")
        beam["incident_wavelength"] = wavelength
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        _write_detector(group(instrument, "detector", "NXdetector"), counts, detector_values, modules, mask)
        _write_sample(group(entry, "sample", "NXsample"), len(counts), rotation, omega)
    return path


def _write_detector(detector, counts, values, modules, mask) -> None:
    stated = {"sensor_material": "Si", "sensor_thickness": 0.00032, "saturation_value": 60000, "underload_value": 0,
              "frame_time": 0.1, **(values or {})}
    for name, value in stated.items():
        if value is not None:
            detector[name] = value
    detector["sensor_thickness"].attrs["units"] = "m"
    if "frame_time" in detector:
        detector["frame_time"].attrs["units"] = "s"
    if mask is not None:
        detector["pixel_mask"] = mask
    chain = group(detector, "transformations", "NXtransformations")
    axis(chain, "distance", [165.0], "translation", (0, 0, 1), ".")
    axis(chain, "tilt", [10.0], "rotation", (0, 1, 0), "distance")
    for i, (origin, size, offset) in enumerate(modules or [((0, 0), counts.shape[1:], (40.0, 30.0))]):
        module = group(detector, f"module_{i}", "NXdetector_module")
        module["data_origin"], module["data_size"] = np.asarray(origin), np.asarray(size)
        base = detector.name + "/transformations/tilt"
        axis(module, "module_offset", [1.0], "translation", (*offset, 0.0), base)
        for name, vector in (("fast", (-1, 0, 0)), ("slow", (0, -1, 0))):
            axis(module, f"{name}_pixel_direction", [7.5e-5], "translation", vector, "module_offset", "m")


def _write_sample(sample, n_frames, rotation, omega) -> None:
    if not rotation:
        return
    chain = group(sample, "transformations", "NXtransformations")
    angles = 10.0 + 0.5 * np.arange(n_frames) if omega is None else np.asarray(omega, float)
    axis(chain, "omega", angles, "rotation", (-1, 0, 0), ".")
    if len(angles) > 1:
        chain["omega_end"] = angles + (angles[1] - angles[0])
        chain["omega_end"].attrs["units"] = "deg"
    sample["depends_on"] = sample.name + "/transformations/omega"


def write_eiger(path: Path, counts: np.ndarray | None = None, *, omega=None, cutoff=60000) -> Path:
    """A master file as Dectris' writer made it before it wrote NXmx, with two data files."""
    counts = example_counts(5) if counts is None else counts
    with h5py.File(path, "w") as handle:
        entry = group(handle, "entry", "NXentry")
        data = group(entry, "data", "NXdata")
        write_data(path, data, counts, "links", STORAGES["bitshuffle-lz4"])
        detector = group(group(entry, "instrument", "NXinstrument"), "detector", "NXdetector")
        beam = group(entry["instrument"], "beam", "NXbeam")
        beam["incident_wavelength"] = 0.98
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        _write_eiger_detector(detector, counts, cutoff)
        sample = group(entry, "sample", "NXsample")
        goniometer = group(sample, "goniometer", "NXtransformations")
        goniometer["omega_range_average"] = np.float32(0.25)
        if omega is not None:
            axis(group(sample, "transformations", "NXtransformations"), "omega", omega, "rotation", (0, -1, 0), ".")
    return path


def _write_eiger_detector(detector, counts, cutoff) -> None:
    values = {"description": "Dectris Eiger 16M", "detector_number": "E-32-0100", "sensor_material": "Si",
              "sensor_thickness": np.float32(0.00045), "x_pixel_size": np.float32(7.5e-5),
              "y_pixel_size": np.float32(7.5e-5), "beam_center_x": np.float32(20.0), "beam_center_y": np.float32(15.0),
              "count_time": np.float32(0.02), "frame_time": np.float32(0.02), "bit_depth_readout": np.uint32(32)}
    for name, value in values.items():
        detector[name] = value
    for name, unit in (("sensor_thickness", "m"), ("x_pixel_size", "m"), ("y_pixel_size", "m"), ("frame_time", "s")):
        detector[name].attrs["units"] = unit
    specific = group(detector, "detectorSpecific", "NXcollection")
    specific["countrate_correction_count_cutoff"] = np.uint32(cutoff)
    specific["nimages"], specific["ntrigger"] = np.uint32(len(counts)), np.uint32(1)
    mask = np.zeros(counts.shape[1:], np.uint32)
    mask[:, 20:22] = 1
    detector["pixel_mask"] = mask
    detector["pixel_mask_applied"] = 1
    geometry = group(detector, "geometry", "NXgeometry")
    orientation = group(geometry, "orientation", "NXorientation")
    orientation["value"] = np.array([-1, 0, 0, 0, -1, 0], np.float32)
    translation = group(geometry, "translation", "NXtranslation")
    translation["distances"] = np.array([0.0015, 0.001125, -0.15], np.float32)
    translation["distances"].attrs["units"] = "m"


def edit_entry(path: Path, change) -> Path:
    """Let `change` do something to the entry of a file."""
    with h5py.File(path, "r+") as handle:
        change(handle["entry"])
    return path
