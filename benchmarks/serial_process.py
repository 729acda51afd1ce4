"""xdp stills_process: memory over a long run of shots that are drawn as they are asked for, and time beside DIALS.

    python benchmarks/serial_process.py memory [N]         resident memory after N/10 and after N shots (20,000)
    python benchmarks/serial_process.py speed STACK        CPU of both programs on a stack such as stills_dev.h5

Both programs of ``speed`` get a known cell (lysozyme's, or --cell and --group) and the same cores; the first run of
ours, which may compile kernels, is not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from xdp.experiment import Experiment
from xdp.options.named import make_options
from xdp.serial.events import Events
from xdp.serial.events.shot import Shot
from xdp.serial.events.source import Source
from xdp.serial.process.options import StillsProcessOptions
from xdp.serial.process.process import stills_process_to_files
from xdp.simulation import make_beam, make_crystal, make_detector, simulate_stills

CELL, GROUP = "79.344,79.344,37.81,90,90,90", "P43212"
SIZE = (420, 400)
HITS = 50
"""Each so manyth shot has a crystal: 2 %, as in a thin jet."""


class DrawnShots(Source):
    """Shots that are drawn when they are read: background for each, and one of ten crystals on each fiftieth."""

    def __init__(self, n_shots: int) -> None:
        self._n_shots = n_shots
        detector, beam = make_detector(SIZE, distance=70.0, gaps=False), make_beam()
        self.model = Experiment(beam=beam, detector=detector)
        hits = simulate_stills([make_crystal(orientation=seed) for seed in range(10)], beam, detector, seed=1)
        self.hits = hits.stack()[:, 0].astype(np.int32)

    @property
    def n_shots(self) -> int:
        """How many there are."""
        return self._n_shots

    def get_id(self, index: int) -> str:
        """Get a name."""
        return f"drawn //{index}"

    def read(self, index: int) -> Shot:
        """Draw a shot."""
        image = np.random.default_rng(index).poisson(1.0, SIZE[::-1]).astype(np.int32)
        if index % HITS == 0:
            image += self.hits[(index // HITS) % len(self.hits)]
        return Shot(index, self.get_id(index), [image], experiment=self.model, photon_energy=12657.9, distance=70.0)


def read_resident() -> float:
    """Resident memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def measure_memory(n_shots: int) -> float:
    """Print the resident memory at a tenth of a run and at its end; give their ratio."""
    marks: dict[int, float] = {}

    class Progress:
        """Counts shots, and notes the memory at a tenth and at the end."""

        def __init__(self, *_: object) -> None:
            self.done = 0

        def __enter__(self) -> object:
            return self.advance

        def __exit__(self, *_: object) -> None:
            marks[self.done] = read_resident()

        def advance(self, n: int) -> None:
            """Take so many shots as done."""
            self.done += n
            if self.done in (n_shots // 10, n_shots):
                marks[self.done] = read_resident()

    events = Events([DrawnShots(n_shots)])
    with tempfile.TemporaryDirectory() as folder:
        options = make_options(StillsProcessOptions, None, {
            "indexing.known_symmetry.unit_cell": tuple(map(float, CELL.split(","))),
            "indexing.known_symmetry.space_group": GROUP, "output.output_dir": folder,
            "output.table": f"{folder}/shots.zarr", "output.stream": f"{folder}/run.stream",
            "output.logging_dir": folder})
        found = stills_process_to_files(events, options, progress=lambda *_: Progress())
    early, late = marks[n_shots // 10], marks[n_shots]
    print(found.report.text())
    print(f"resident after {n_shots // 10}: {early:.0f} MB, after {n_shots}: {late:.0f} MB, ratio {late / early:.3f}")
    return late / early


def measure_cpu(words: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """CPU seconds of a command in a new folder, and the end of what it printed."""
    folder = tempfile.mkdtemp()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout[-2000:] + done.stderr[-500:]


def measure_speed(stack: str, cell: str, group: str) -> None:
    """Print the CPU of both programs and their ratio."""
    import hdf5plugin

    own = [sys.executable, "-c", "import sys; from xdp.cli.main import main; sys.exit(main(sys.argv[1:]))",
           "stills_process", stack, f"unit_cell={cell}", f"space_group={group}", "min_spot_size=2"]
    environment = dict(os.environ)
    measure_cpu(own, environment)
    times = [measure_cpu(own, environment)[0] for _ in range(3)]
    print(f"xdp stills_process: {np.median(times):.1f} s of CPU (median of {len(times)})")
    if shutil.which("dials.stills_process") is None:
        return
    # Debian's program imports a module that it does not come with
    stub = tempfile.mkdtemp()
    (Path(stub) / "xfel_mono_sim_ext.py").write_text("")
    theirs = ["dials.stills_process", stack, f"known_symmetry.unit_cell={cell}", f"known_symmetry.space_group={group}",
              "min_spot_size=2", "refinement_protocol.d_min_start=None"]
    took, _ = measure_cpu(theirs, environment | {"PYTHONPATH": stub, "HDF5_PLUGIN_PATH": hdf5plugin.PLUGINS_PATH})
    shutil.rmtree(stub)
    print(f"dials.stills_process: {took:.1f} s of CPU, ratio {took / np.median(times):.1f}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "speed"))
    parser.add_argument("argument", nargs="?")
    parser.add_argument("--cell", default=CELL)
    parser.add_argument("--group", default=GROUP)
    given = parser.parse_args()
    if given.what == "memory":
        measure_memory(int(given.argument or 20_000))
    else:
        measure_speed(str(Path(given.argument).resolve()), given.cell, given.group)


if __name__ == "__main__":
    main()
