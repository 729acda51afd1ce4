"""Normal equations of many stills, from which each shot's own parameters are eliminated.

A reflection h of a shot with setting A has q = A h. It is turned onto the Ewald sphere of radius k the shortest way,
as :func:`xdp.refinement.equations.residuals.predict_still` does: with the beam's direction u and the direction e of q
across it, s1 = (k - q^2 / 2k) u + g e with g^2 = q^2 - (q^2 / 2k)^2. Delta psi is the angle of that turn. s1 meets its
panel at (x, y), where (x, y, 1) is proportional to d^-1 s1.

A shot's own parameters t are a turn of A (three, radians) and strains of its metric, dA = A G^-1 E / 2 for a change E
of the metric G = A^T A. Shared ones s are six for each group of panels (shifts along its axes, mm, and turns about
them, radians) and one for the wavenumber (relative). With J the derivatives and W the weights, A_tt is factored as
L L^T, and the shot adds A_ss - X^T X with X = L^-1 A_ts to the matrix of the shared parameters.
"""

from __future__ import annotations

import numpy as np

from xdp.kernels import kernel
from xdp.serial.metrology._kernels_spot import (
    N_COLUMNS,
    N_GROUP,
    N_OWN,
    PanelSums,
    differentiate_spot,
    predict_spot,
)

# Pivots of A_tt, scaled to unit diagonal, below this are rounding errors: that parameter does not move.
_NO_INFORMATION = 1e-10


@kernel
def _factor(matrix, n, factor, scale):
    """Cholesky factor of a matrix scaled to unit diagonal; parameters without information are held."""
    for i in range(n):
        scale[i] = 1.0 / np.sqrt(matrix[i, i]) if matrix[i, i] > 0.0 else 0.0
    for j in range(n):
        total = matrix[j, j] * scale[j] * scale[j]
        for m in range(j):
            total -= factor[j, m] * factor[j, m]
        held = total < _NO_INFORMATION
        factor[j, j] = 1.0 if held else np.sqrt(total)
        if held:
            scale[j] = 0.0
            for m in range(j):
                factor[j, m] = 0.0
        for i in range(j + 1, n):
            total = matrix[i, j] * scale[i] * scale[j]
            for m in range(j):
                total -= factor[i, m] * factor[j, m]
            factor[i, j] = total / factor[j, j]


@kernel
def _solve_lower(factor, scale, n, right, column, out):
    """out = L^-1 (scale right[:, column])."""
    for i in range(n):
        total = right[i, column] * scale[i]
        for m in range(i):
            total -= factor[i, m] * out[m, column]
        out[i, column] = total / factor[i, i]


@kernel
def _prepare_strains(a, basis, n, strains):
    """The matrices G^-1 E / 2 of a shot, G = A^T A."""
    inverse = np.linalg.inv(a.T @ a)
    for j in range(n):
        strains[j] = 0.5 * (inverse @ basis[j])


@kernel
def _add_direct(row, own, group, weight, residual, sums):
    """Add what a reflection says of the shared parameters, before anything is eliminated."""
    n_groups = len(sums.direct) - 1
    for i in range(3):
        sums.loss[1 + i] += residual[i] ** 2
    sums.loss[4] += 1.0
    sums.counts[group if group >= 0 else n_groups] += 1.0
    for i in range(3):
        d = row[i, own + N_GROUP]
        sums.schur[-1, -1] += weight[i] * d * d
        sums.direct[n_groups, 0, 0] += weight[i] * d * d
        if group >= 0 and i < 2:
            for j in range(N_GROUP):
                wj = weight[i] * row[i, own + j]
                sums.schur[-1, N_GROUP * group + j] += wj * d
                sums.schur[N_GROUP * group + j, -1] += wj * d
                for m in range(N_GROUP):
                    value = wj * row[i, own + m]
                    sums.direct[group, j, m] += value
                    sums.schur[N_GROUP * group + j, N_GROUP * group + m] += value


@kernel
def _add_own(row, own, slot, weight, residual, work):
    """Add what a reflection says of its shot's own parameters, and of these together with the shared ones."""
    own_matrix, position_matrix, coupling = work[0], work[1], work[2]
    last = coupling.shape[1] - 2
    for i in range(3):
        for j in range(own):
            wj = weight[i] * row[i, j]
            for m in range(j + 1):
                own_matrix[j, m] += wj * row[i, m]
                if i < 2:
                    position_matrix[j, m] += wj * row[i, m]
            coupling[j, last + 1] += wj * residual[i]
            coupling[j, last] += wj * row[i, own + N_GROUP]
            if slot >= 0 and i < 2:
                for m in range(N_GROUP):
                    coupling[j, N_GROUP * slot + m] += wj * row[i, own + m]
        pull = weight[i] * residual[i]
        coupling[N_OWN, last] += pull * row[i, own + N_GROUP]
        if slot >= 0 and i < 2:
            for m in range(N_GROUP):
                coupling[N_OWN, N_GROUP * slot + m] += pull * row[i, own + m]


@kernel
def _sum_shot(spots, use, shared, a, shot, work, sums, adds):
    """Sum a shot's own matrix, vector and coupling into `work`, and its share of the direct terms into `sums`.

    The groups that the shot touches are numbered in the order in which they come. Gives their number.
    """
    own_matrix, position_matrix, coupling, groups, seen, strains, row = work
    basis = shared.bases[spots.kind[shot]]
    n_strains = shared.n_strains[spots.kind[shot]]
    own = 3 + n_strains
    beam = spots.beam[shot]
    _prepare_strains(a, basis, n_strains, strains)
    # the work arrays are those of the shot before
    own_matrix[:] = 0.0
    position_matrix[:] = 0.0
    coupling[:] = 0.0  # columns: six for each group, the wavenumber, the own vector; last row: gradient
    ray, xy, residual, weight = np.empty(12), np.empty(2), np.empty(3), np.empty(3)
    n_seen = 0
    for r in range(spots.start[shot], spots.start[shot + 1]):
        if not use[r]:
            continue
        place = spots.panel[r]
        x, y, psi, ok = predict_spot(a, beam, shared.scale, shared.inverse[place], spots.hkl[r], ray)
        if not ok:
            continue
        xy[0], xy[1] = x, y
        residual[0], residual[1], residual[2] = x - spots.xy[r, 0], y - spots.xy[r, 1], psi
        differentiate_spot(a, beam, shared, strains, own, place, spots.hkl[r], ray, xy, row)
        square = spots.weight[r, 0] * residual[0] ** 2 + spots.weight[r, 1] * residual[1] ** 2
        factor, loss = 1.0, square
        if shared.cutoff > 0.0:  # Cauchy's: c^2 ln(1 + r^2 / c^2)
            c = shared.cutoff * shared.cutoff
            factor, loss = 1.0 / (1.0 + square / c), c * np.log1p(square / c)
        weight[0], weight[1] = factor * spots.weight[r, 0], factor * spots.weight[r, 1]
        weight[2] = spots.weight[r, 2]
        # a shot touches few of the groups: its coupling has columns for these alone
        group = shared.group[place]
        slot = -1
        if group >= 0:
            slot = seen[group]
            if slot < 0:
                slot = n_seen
                seen[group] = slot
                groups[slot] = group
                n_seen += 1
        _add_own(row, own, slot, weight, residual, work)
        if adds:
            sums.loss[0] += 0.5 * (loss + weight[2] * residual[2] ** 2)
            sums.loss[5] += factor * square
            _add_direct(row, own, group, weight, residual, sums)
    # only the places that were used are reset, since there may be hundreds of groups
    for s in range(n_seen):
        seen[groups[s]] = -1
    return n_seen


@kernel
def _make_work(n_groups, longest):
    """Arrays of one shot; `longest` is its number of reflections at most, which bounds the groups that it touches."""
    touched = min(n_groups, longest)
    return (np.zeros((N_OWN, N_OWN)), np.zeros((N_OWN, N_OWN)), np.zeros((N_OWN + 1, N_GROUP * touched + 2)),
            np.zeros(max(touched, 1), np.int64), np.full(n_groups + 1, -1), np.zeros((6, 3, 3)),
            np.zeros((3, N_COLUMNS)))


@kernel
def _find_longest(start):
    """Most reflections of a shot."""
    longest = 0
    for i in range(len(start) - 1):
        longest = max(longest, start[i + 1] - start[i])
    return longest


@kernel
def _count_determined(factor, scale, own, position_matrix):
    """How many own parameters positions determine: the trace of A_tt^-1 times the positions' part of A_tt."""
    column = np.zeros((own, own))
    for j in range(own):
        for i in range(own):
            value = position_matrix[i, j] if i >= j else position_matrix[j, i]
            column[i, j] = value * scale[j]
    half = np.zeros((own, own))
    for j in range(own):
        _solve_lower(factor, scale, own, column, j, half)
    trace = 0.0
    # trace of L^-1 B L^-T: solve the transposed columns once more
    turned = half.T.copy()
    ones, result = np.ones(own), np.zeros((own, own))
    for j in range(own):
        _solve_lower(factor, ones, own, turned, j, result)
        trace += result[j, j]
    return trace


@kernel
def _add_shot(half, coupling, groups, n_seen, own, sums):
    """Add a shot's gradient, and take off what its own parameters take up; `half` is L^-1 times its coupling."""
    wavenumber = coupling.shape[1] - 2
    n = N_GROUP * n_seen + 1
    columns, places, gradient = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    for j in range(n):
        columns[j] = wavenumber if j == n - 1 else j
        places[j] = len(sums.vector) - 1 if j == n - 1 else N_GROUP * groups[j // N_GROUP] + j % N_GROUP
        gradient[j] = coupling[N_OWN, columns[j]]
        for i in range(own):
            gradient[j] -= half[i, columns[j]] * half[i, wavenumber + 1]
        sums.vector[places[j]] += gradient[j]
        for m in range(j + 1):
            total = 0.0
            for i in range(own):
                total += half[i, columns[j]] * half[i, columns[m]]
            sums.schur[places[j], places[m]] -= total
            if j != m:
                sums.schur[places[m], places[j]] -= total
    # the products take as long as all the rest, and are wanted at the minimum only
    if len(sums.outer) == 0:
        return
    for j in range(n):
        for m in range(n):
            sums.outer[places[j], places[m]] += gradient[j] * gradient[m]


@kernel
def eliminate_shots(spots, use, shared, settings, sums):
    """Add all shots to the sums of the shared parameters, their own ones eliminated.

    `use` (n,) says which reflections count, `settings` (n_shots, 3, 3) are the crystals' A, 1/Å.
    """
    n_groups = len(shared.axes)
    work = _make_work(n_groups, _find_longest(spots.start))
    own_matrix, position_matrix, coupling, groups = work[0], work[1], work[2], work[3]
    factor, scale, half = np.zeros((N_OWN, N_OWN)), np.zeros(N_OWN), np.zeros(coupling.shape)
    wavenumber = coupling.shape[1] - 2
    for shot in range(len(settings)):
        n_seen = _sum_shot(spots, use, shared, settings[shot], shot, work, sums, True)
        own = 3 + shared.n_strains[spots.kind[shot]]
        _factor(own_matrix, own, factor, scale)
        for j in range(N_GROUP * n_seen):
            _solve_lower(factor, scale, own, coupling, j, half)
        _solve_lower(factor, scale, own, coupling, wavenumber, half)
        _solve_lower(factor, scale, own, coupling, wavenumber + 1, half)
        sums.loss[6] += _count_determined(factor, scale, own, position_matrix)
        _add_shot(half, coupling, groups, n_seen, own, sums)


@kernel
def substitute_shots(spots, use, shared, settings, step, moved):
    """Work out the shots' own shifts for a step (m,) of the shared parameters, at the settings before it.

    `moved` (n_shots, 3, 3) gets the settings A after it: turned, and strained within their symmetry.
    """
    n_groups = len(shared.axes)
    work = _make_work(n_groups, _find_longest(spots.start))
    own_matrix, coupling, groups, strains = work[0], work[2], work[3], work[5]
    factor, scale = np.zeros((N_OWN, N_OWN)), np.zeros(N_OWN)
    right, half, shift = np.zeros((N_OWN, 1)), np.zeros((N_OWN, 1)), np.zeros(N_OWN)
    wavenumber = coupling.shape[1] - 2
    nothing = PanelSums(np.zeros((1, 1)), np.zeros(1), np.zeros((1, 6, 6)), np.zeros(1), np.zeros(7), np.zeros((0, 0)))
    for shot in range(len(settings)):
        n_seen = _sum_shot(spots, use, shared, settings[shot], shot, work, nothing, False)
        own = 3 + shared.n_strains[spots.kind[shot]]
        _factor(own_matrix, own, factor, scale)
        for i in range(own):
            total = coupling[i, wavenumber + 1] + coupling[i, wavenumber] * step[-1]
            for j in range(N_GROUP * n_seen):
                total += coupling[i, j] * step[N_GROUP * groups[j // N_GROUP] + j % N_GROUP]
            right[i, 0] = -total
        _solve_lower(factor, scale, own, right, 0, half)
        # L^T x = half, from the last parameter to the first; then back from unit diagonal
        for i in range(own - 1, -1, -1):
            total = half[i, 0]
            for m in range(i + 1, own):
                total -= factor[m, i] * shift[m]
            shift[i] = total / factor[i, i]
        for i in range(own):
            shift[i] *= scale[i]
        moved[shot] = _move_setting(settings[shot], shift, strains, own)


@kernel
def _move_setting(a, shift, strains, own):
    """A after its turn and strain: R A (1 + sum of strains), whose metric keeps its symmetry."""
    strain = np.eye(3)
    for j in range(own - 3):
        strain += shift[3 + j] * strains[j]
    angle = np.sqrt(shift[0] ** 2 + shift[1] ** 2 + shift[2] ** 2)
    turn = np.eye(3)
    if angle > 0.0:
        x, y, z = shift[0] / angle, shift[1] / angle, shift[2] / angle
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        turn += np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return turn @ (a @ strain)


@kernel
def predict_shots(spots, shared, settings, predicted, rays):
    """Predict all reflections: `predicted` (n, 3) gets x, y (mm) and delta psi (rad), `rays` (n, 3) s1 in 1/Å.

    Reflections without a prediction get NaN.
    """
    ray = np.empty(12)
    for shot in range(len(settings)):
        for r in range(spots.start[shot], spots.start[shot + 1]):
            inverse = shared.inverse[spots.panel[r]]
            x, y, psi, ok = predict_spot(settings[shot], spots.beam[shot], shared.scale, inverse, spots.hkl[r], ray)
            if ok:
                predicted[r, 0], predicted[r, 1], predicted[r, 2] = x, y, psi
                for i in range(3):
                    rays[r, i] = ray[i]
            else:
                predicted[r, :] = np.nan
                rays[r, :] = np.nan
