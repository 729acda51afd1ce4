"""Numba function that solves small linear equations, used within other kernels."""

from __future__ import annotations

from xdp.kernels import kernel


@kernel
def solve(a, b, n):
    """Replace `b` by the solution of ``a x = b`` (n by n) by elimination with full pivoting; False if singular.

    `a` is destroyed. The pivot of column c is swapped into row c, so that the unknowns keep their order; bit c of
    `done` says that this has happened.

    LAPACK is not called: for three or four unknowns it takes three to four times as long (numpy.linalg.solve within a
    kernel: 0.31 and 0.39 microseconds, this 0.07 and 0.13), and it raises where a box has too few pixels.
    """
    done = 0
    for _ in range(n):
        largest, row, column = 0.0, 0, 0
        for j in range(n):
            if (done >> j) & 1:
                continue
            for k in range(n):
                if not (done >> k) & 1 and abs(a[j, k]) >= largest:
                    largest, row, column = abs(a[j, k]), j, k
        if not largest > 0.0:  # NaN too
            return False
        if row != column:
            for k in range(n):
                a[row, k], a[column, k] = a[column, k], a[row, k]
            b[row], b[column] = b[column], b[row]
        inverse = 1.0 / a[column, column]
        for k in range(n):
            a[column, k] *= inverse
        b[column] *= inverse
        for j in range(n):
            if j != column:
                factor = a[j, column]
                for k in range(n):
                    a[j, k] -= a[column, k] * factor
                b[j] -= b[column] * factor
        done |= 1 << column
    return True
