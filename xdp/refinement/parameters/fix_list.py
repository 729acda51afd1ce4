"""Parameters that are not refined, by their names: the options ``fix_list``.

A full name is the model, its number from 1, and the parameter: ``Detector1Tau2``, ``Crystal2g_param_0``. Where panels
are refined in the groups of a hierarchy the group stands between: ``Detector1Group2Dist``. A word of the list is a part
of such names, or the number of a parameter in its model, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from xdp.experiment.experiment import ExperimentList
from xdp.refinement.options import Parameterisation


class NamedBlock(NamedTuple):
    """What a block's parameters are called: ``prefix`` before their names, and the number of the first in its model."""

    prefix: str
    first: int = 0


def split_words(words: Sequence[str] | None) -> list[str]:
    """Split the words of a list at commas, without brackets.

    Examples
    --------
    >>> split_words(("Dist,Tau1", "[3]"))
    ['Dist', 'Tau1', '3']
    """
    parts = (part.strip(" (){}[]") for word in words or () for part in word.split(","))
    return [part for part in parts if part]


def is_named(word: str, name: str, number: int) -> bool:
    """Whether a word of the list means a parameter.

    Parameters
    ----------
    word : str
        A part of the name, or a number.
    name : str
        The full name of the parameter.
    number : int
        Its number in its model.

    Examples
    --------
    >>> is_named("Tau", "Detector1Tau2", 4), is_named("4", "Detector1Tau2", 4), is_named("1", "Detector1Tau2", 4)
    (True, True, False)
    """
    return int(word) == number if word.isdecimal() else word in name


@dataclass(frozen=True)
class FixLists:
    """The lists of all kinds of models, and the numbers of the models.

    Attributes
    ----------
    words : mapping of str to list of str
        By the kind of slot: beam, detector, goniometer, orientation, cell.
    numbers : mapping of (str, int) to int
        By the kind of model and its ``id``: its number from 1.
    """

    words: Mapping[str, list[str]]
    numbers: Mapping[tuple[str, int], int] = field(default_factory=dict)

    @classmethod
    def from_options(cls, experiments: ExperimentList, options: Parameterisation, cells: Mapping[int, int]) -> FixLists:
        """Collect the lists.

        Parameters
        ----------
        experiments : ExperimentList
            Whose models are numbered.
        options : Parameterisation
            With a ``fix_list`` for each kind.
        cells : mapping of int to int
            By ``id`` of a crystal that is a copy: the ``id`` of the one it is a copy of. Both have one number.

        Returns
        -------
        FixLists
        """
        crystal = options.crystal
        lists = {"beam": options.beam.fix_list, "detector": options.detector.fix_list,
                 "goniometer": options.goniometer.fix_list, "orientation": crystal.orientation.fix_list,
                 "cell": crystal.unit_cell.fix_list}
        words = {kind: split_words(names) for kind, names in lists.items()}
        # Very many stills are numbered only where it is asked for.
        return cls(words, _number_models(experiments, cells) if any(words.values()) else {})

    def select_free(self, kind: str, owner: int, names: Sequence[str], group: int | None) -> list[int]:
        """Select the parameters of a block that its list leaves free.

        Parameters
        ----------
        kind : str
            The kind of slot.
        owner : int
            ``id`` of the model.
        names : sequence of str
            The names of the block's parameters.
        group : int or None
            The number of the group of panels, from 0, in a detector with a hierarchy.

        Returns
        -------
        list of int
            Indices in `names`.
        """
        words = self.words[kind]
        if not words:
            return list(range(len(names)))
        block = self.name_block(kind, owner, len(names), group)
        return [k for k, name in enumerate(names)
                if not any(is_named(word, block.prefix + name, block.first + k) for word in words)]

    def name_block(self, kind: str, owner: int, size: int, group: int | None) -> NamedBlock:
        """Name a block: its model with a number, and the group of panels if there is one.

        Parameters
        ----------
        kind : str
            The kind of slot.
        owner : int
            ``id`` of the model.
        size : int
            Parameters of the block.
        group : int or None
            The number of the group of panels, from 0.

        Returns
        -------
        NamedBlock
        """
        model = "crystal" if kind in ("orientation", "cell") else kind
        prefix = f"{model.capitalize()}{self.numbers.get((model, owner), 1)}"
        return NamedBlock(prefix) if group is None else NamedBlock(f"{prefix}Group{group + 1}", group * size)


def _number_models(experiments: ExperimentList, cells: Mapping[int, int]) -> dict[tuple[str, int], int]:
    """The number from 1 of each beam, detector, goniometer and crystal; of copies of a crystal they are the same."""
    numbers: dict[tuple[str, int], int] = {}
    for kind in ("beam", "detector", "goniometer", "crystal"):
        seen: dict[int, int] = {}
        for experiment in experiments:
            model = getattr(experiment, kind)
            if model is None:
                continue
            owner = cells.get(id(model), id(model)) if kind == "crystal" else id(model)
            number = seen.setdefault(owner, len(seen) + 1)
            numbers[kind, id(model)] = numbers[kind, owner] = number
    return numbers
