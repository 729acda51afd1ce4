"""Files of intensities as other programs write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def sort_rows(table):
    """Rows by index and frame."""
    return table.select(np.lexsort((table["xyzcal.px"][:, 2].round(3), *table["miller_index"].T)))


def as_integrate_hkl(path: Path, target: Path) -> None:
    """The same records as INTEGRATE.HKL, whose header does not number items."""
    lines = path.read_text().splitlines()
    head = [line for line in lines if line.startswith("!") and not line.startswith(("!FORMAT", "!ITEM", "!END_OF",
                                                                                    "!VARIANCE", "!Generated"))]
    rows = [line for line in lines if not line.startswith("!")]
    target.write_text("\n".join(["!OUTPUT_FILE=INTEGRATE.HKL    DATE= 1-Dec-2026", *head,
                                 "!H,K,L,IOBS,SIGMA,XCAL,YCAL,ZCAL,RLB,PEAK,CORR,MAXC", "!END_OF_HEADER", *rows,
                                 "!END_OF_DATA"]) + "\n")
