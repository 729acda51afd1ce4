"""What a file is that is no reflection table in MessagePack: told from how it begins."""

from __future__ import annotations

#: Bytes that are looked at. A pickle names the type of what it holds at its beginning.
HEAD_BYTES = 512

_CONVERT = ("old pickled ones can be converted by DIALS: dials.python -c \"from dials.array_family import flex; "
            "flex.reflection_table.from_file('OLD').as_file('NEW.refl')\"")
#: What stands in a pickle, what that is, and what to do with it.
_PICKLES = (
    (b"reflection_table", "a pickled reflection table of an old DIALS", _CONVERT),
    (b"StaticBackgroundModel", "a pickled background model", "it goes in by gmodel.robust.model= of xdp integrate"),
    (b"flex_ext\nbool", "a pickled mask", "it goes in by lookup.mask= of xdp import"),
    (b"flex_ext\ndouble", "a pickled map of numbers (gain, pedestal or a dark image)",
     "it goes in by lookup.gain= or lookup.pedestal= of xdp import"),
    (b"observations", "a pickle of integrated intensities of cctbx.xfel or LABELIT", "xdp does not read those"),
    (b"mapped_predictions", "a pickle of integrated intensities of cctbx.xfel or LABELIT", "xdp does not read those"),
    (b"ExperimentList", "a pickle of models", "give the .expt or .json file"),
    (b"DataBlock", "a pickle of models of a DIALS before 2.0", "import the images again"),
    (b"flex_ext\n", "a pickled flex array of another kind", "xdp does not read it"),
)
#: How other files begin, and what they are.
_OTHERS = (
    (b"\x89HDF\r\n", "an HDF5 file"), (b"MTZ ", "an MTZ file"), (b"!FORMAT=XDS_ASCII", "a file of intensities of XDS"),
    (b"{", "JSON text, as files of models (.expt) are"), (b"[", "JSON text"), (b"PK\x03\x04", "a zip archive"),
    (b"\x93NUMPY", "a NumPy array"), (b"CrystFEL stream format", "a stream of CrystFEL"),
    (b"version https://git-lfs", "a pointer of Git LFS: the file itself was not fetched"),
)


def describe_foreign(head: bytes) -> str:
    """Say what a file is, and what to do with it, from its first bytes.

    Parameters
    ----------
    head : bytes
        At least :data:`HEAD_BYTES`, or the whole file.

    Returns
    -------
    str
        Empty where nothing is known of it.

    Examples
    --------
    >>> describe_foreign(b"MTZ  more")
    'an MTZ file'
    >>> describe_foreign(b"")
    'an empty file'
    """
    if not head:
        return "an empty file"
    if is_pickle(head):
        known = ((what, advice) for mark, what, advice in _PICKLES if mark in head)
        what, advice = next(known, ("a pickle, such as a mask or an old table, but of another kind",
                                    "xdp does not read it"))
        return f"{what}; {advice}"
    return next((what for mark, what in _OTHERS if head.startswith(mark)), "")


def is_pickle(head: bytes) -> bool:
    """Say whether a file begins as a Python pickle: with its protocol from 2 on, or the text of protocol 0 or 1."""
    return (head[:1] == b"\x80" and head[1:2] <= b"\x05") or head.startswith((b"(dp", b"(lp", b"ccopy_reg", b"cdials"))
