"""Connected components of a sparse, sorted list of pixels, by union-find with three moving pointers."""

from __future__ import annotations

from xdp.kernels import kernel


@kernel
def _root(parent, i):
    """The smallest pixel known to be in the component of pixel `i`; halves the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def _link(parent, i, j):
    """Join two components under the smaller root, so that a root is its component's first pixel."""
    a, b = _root(parent, i), _root(parent, j)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b


@kernel
def label_keys(key, steps, parent, labels):
    """Label pixels whose keys differ by one of `steps`.

    Parameters
    ----------
    key : (n,) int64, strictly ascending; steps : (k,) int64, distances that connect, ascending
    parent : (n,) int64, work space
    labels : (n,) int32, written: components counted from 0 in order of their first pixels

    Returns
    -------
    int : the number of components; -1 - i where pixel i does not come after the one before it
    """
    n = key.size
    for i in range(n):
        parent[i] = i
        if i > 0 and key[i] <= key[i - 1]:
            return -1 - i
    # keys ascend, so that the partner of each pixel is found by a second pointer that only moves on
    for s in range(steps.size):
        j = 0
        for i in range(n):
            wanted = key[i] + steps[s]
            while j < n and key[j] < wanted:
                j += 1
            if j == n:
                break
            if key[j] == wanted:
                _link(parent, i, j)
    count = 0
    for i in range(n):
        # a root is its component's first pixel, and has its number before any other pixel asks for it
        root = _root(parent, i)
        if root == i:
            labels[i] = count
            count += 1
        else:
            labels[i] = labels[root]
    return count

