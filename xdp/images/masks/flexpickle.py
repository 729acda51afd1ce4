"""Pickles of flex arrays, read without unpickling: a small machine that builds arrays and imports or calls nothing.

A pickle is a program. :func:`load_flex` runs the part of its language that masks, gain maps and dark images need:
numbers, text, bytes, tuples, lists, dicts, and the flex types of :data:`FLEX_TYPES`, which become NumPy arrays. A name
is only a name here. An opcode or a name that is not listed is an error. A small file cannot make large objects: shared
parts, nesting and announced sizes are bounded by the file's own size.

References
----------
Python's `pickletools` documents the opcodes; scitbx/array_family/boost_python/flex_pickle_single_buffered.h the arrays.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from xdp.errors import FormatError
from xdp.images.masks._kernels import decode_floats, decode_integer, decode_integers

# Numbers of flex arrays by the name of their type; all are pickled as the same strings of numbers.
FLEX_TYPES = {
    "bool": np.bool_, "int": np.int32, "long": np.int64, "size_t": np.uint64, "float": np.float32, "double": np.float64,
    "int8": np.int8, "uint8": np.uint8, "int16": np.int16, "uint16": np.uint16, "int32": np.int32, "uint32": np.uint32,
    "int64": np.int64, "uint64": np.uint64,
}
# DIALS re-exports scitbx's types: a pickle names either module.
_FLEX_MODULES = ("scitbx_array_family_flex_ext", "dials_array_family_flex_ext")
BACKGROUND_MODEL = ("dials_algorithms_background_gmodel_ext", "StaticBackgroundModel")
"""What a background model of DIALS is called in its pickle: its state is a list of one array a panel."""

# Bounds far above what masks and maps need: a tuple of arrays is nested twice, and a detector has hundreds of panels.
# Each panel takes a few dozen opcodes. The values are a choice; they keep a made-up file from taking minutes.
_MAX_DEPTH = 8
_MAX_ITEMS = 100_000
_MAX_OPCODES = 500_000
_HINT = ("only flex arrays (masks, gain maps, darks) in tuples, lists and dicts are read, nothing is executed; "
         "convert other files to .npy")


class _RefusedError(Exception):
    """The pickle holds something that is not read; the message says what."""


class _Name:
    """A global name in the pickle: never looked up, only compared."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Grid:
    """The accessor of a flex array: its shape once built."""

    def __init__(self, first: tuple = (), last: tuple = ()) -> None:
        self.shape = tuple(b - a for a, b in zip(first, last, strict=True))
        self.last = last


class _Flex:
    """A flex array, empty until its state is set."""

    def __init__(self, dtype: type) -> None:
        self.array: np.ndarray = np.zeros(0, dtype)


class _Images:
    """A background model: one image a panel, once its state is set."""

    def __init__(self) -> None:
        self.panels: tuple[_Flex, ...] = ()


class _Mark:
    """Where a group of items begins on the stack."""


def load_flex(raw: bytes, name: str) -> Any:
    """Read a pickle of flex arrays.

    Parameters
    ----------
    raw : bytes
        The pickle, any protocol.
    name : str
        What error messages call it.

    Returns
    -------
    object
        What the pickle holds, with a NumPy array (slow, fast) for each flex array.

    Raises
    ------
    FormatError
        If it is damaged, or holds anything but numbers, text, tuples, lists, dicts and flex arrays.
    """
    try:
        return _replace_flex(_Machine(raw).run())
    except _RefusedError as error:
        raise FormatError(f"{name}: {error}; {_HINT}") from error
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, UnicodeError, AttributeError) as error:
        raise FormatError(f"{name}: not a sound pickle ({error}); {_HINT}") from error


class _Machine:
    """Runs one pickle: a stack, a memo, and budgets in proportion to the pickle's size."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        # Each byte of the file can be a letter once, and an array element once: what needs more repeats its parts.
        self._text_left = len(raw)
        self._elements_left = len(raw)

    def run(self) -> Any:
        """Run all opcodes; the one object that is left."""
        for number, (opcode, argument, _) in enumerate(pickletools.genops(self._raw)):
            if number >= _MAX_OPCODES:
                raise _RefusedError("more parts than a mask or map has")
            self._step(opcode.name, argument)
        if len(self._stack) != 1:
            raise _RefusedError("damaged: objects left over")
        return self._stack.pop()

    def _step(self, opcode: str, argument: Any) -> None:
        """Run one opcode."""
        if opcode in _LITERALS:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode]())
        elif opcode in _TUPLES:
            self._stack.append(self._pop(_TUPLES[opcode]))
        elif opcode in _PUTS:
            self._memo[argument] = self._stack[-1]
        elif opcode in _GETS:
            self._stack.append(self._memo[argument])
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self)
        elif opcode == "GLOBAL":
            self._stack.append(_Name(*argument.split(" ", 1)))
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            raise _RefusedError(f"it uses pickle's {opcode}")

    def _pop(self, n: int) -> tuple:
        """Take the last `n` objects off the stack."""
        if len(self._stack) < n or any(isinstance(item, _Mark) for item in self._stack[-n:]):
            raise _RefusedError("damaged: objects missing")
        items = tuple(self._stack[-n:])
        del self._stack[-n:]
        return items

    def _pop_group(self) -> list[Any]:
        """Take the objects since the last mark off the stack, and the mark."""
        for at in range(len(self._stack) - 1, -1, -1):
            if isinstance(self._stack[at], _Mark):
                items = self._stack[at + 1 :]
                del self._stack[at:]
                return items
        raise _RefusedError("damaged: no mark")

    def memoize(self) -> None:
        """MEMOIZE: remember the top under the next number."""
        self._memo[len(self._memo)] = self._stack[-1]

    def name(self) -> None:
        """STACK_GLOBAL: a name from two texts."""
        module, name = self._pop(2)
        if type(module) is not str or type(name) is not str:
            raise _RefusedError("it has a name that is no text")
        self._stack.append(_Name(module, name))

    def make_tuple(self) -> None:
        """TUPLE: of all since the mark."""
        self._stack.append(tuple(self._pop_group()))

    def make_list(self) -> None:
        """LIST: of all since the mark."""
        self._stack.append(self._pop_group())

    def append(self) -> None:
        """APPEND: one object to the list below it."""
        self._extend(list(self._pop(1)))

    def appends(self) -> None:
        """APPENDS: all since the mark to the list below it."""
        self._extend(self._pop_group())

    def make_dict(self) -> None:
        """DICT: of keys and values since the mark."""
        items = self._pop_group()
        self._stack.append({})
        self._set_items(items)

    def setitem(self) -> None:
        """SETITEM: one key and value into the dict below them."""
        self._set_items(list(self._pop(2)))

    def setitems(self) -> None:
        """SETITEMS: keys and values since the mark into the dict below it."""
        self._set_items(self._pop_group())

    def reduce(self) -> None:
        """REDUCE: build what a name with arguments stands for; nothing is called."""
        name, arguments = self._pop(2)
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise _RefusedError("it calls something that is no name")
        self._stack.append(self._build(name, arguments))

    def set_state(self) -> None:
        """BUILD: give an array its shape and numbers, or a grid its focus."""
        target, state = self._pop(2)
        if isinstance(target, _Grid) and state == target.last:
            pass  # A focus that ends where the grid does: no padding.
        elif isinstance(target, _Flex) and isinstance(state, tuple) and len(state) == 2:
            target.array = self._build_array(target.array.dtype, *state)
        elif isinstance(target, _Images) and _are_images(state):
            target.panels = tuple(state[0])
        else:
            raise _RefusedError("it sets the state of something that is no flex array, or of a padded one")
        self._stack.append(target)

    def _extend(self, items: list[Any]) -> None:
        """Append objects to the list on top of the stack."""
        target = self._stack[-1]
        if type(target) is not list:
            raise _RefusedError("it appends to something that is no list")
        target.extend(items)

    def _set_items(self, items: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on top of the stack."""
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise _RefusedError("it sets items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Other keys would be hashed: a deep tuple of shared parts takes for ever.
            if type(key) not in (str, int):
                raise _RefusedError("it has a dict whose keys are neither text nor numbers")
            target[key] = value

    def _build(self, name: _Name, arguments: tuple) -> Any:
        """Build the array, grid or bytes that a name applied to arguments means."""
        if (name.module, name.name) == ("_codecs", "encode"):
            return self._encode(*arguments)
        if name.module in _FLEX_MODULES:
            if name.name == "grid" and all(_is_shape(part) for part in arguments[:2]) and len(arguments) in (0, 2, 3):
                return _Grid(*arguments[:2])
            if name.name in FLEX_TYPES and arguments == ():
                return _Flex(FLEX_TYPES[name.name])
        if (name.module, name.name, arguments) == (*BACKGROUND_MODEL, ()):
            return _Images()
        raise _RefusedError(f"it asks for {name.module[:60]}.{name.name[:60]}")

    def _encode(self, text: Any, codec: Any) -> bytes:
        """Encode text as bytes: how protocols before 3 store bytes."""
        if type(text) is not str or codec not in ("latin1", "latin-1"):
            raise _RefusedError("it encodes text otherwise than to latin1")
        self._text_left -= len(text)
        if self._text_left < 0:
            raise _RefusedError("it repeats its parts")
        return text.encode("latin1")

    def _build_array(self, dtype: np.dtype, grid: Any, state: Any) -> np.ndarray:
        """Build the array of a grid and a string of numbers."""
        if type(state) is str:
            state = state.encode("latin1")
        if not isinstance(grid, _Grid) or type(state) is not bytes or not state:
            raise _RefusedError("it has a flex array without shape or numbers")
        raw = np.frombuffer(state, np.uint8)
        # The string begins with how many numbers follow; each takes a byte at least.
        size, at = (int(v) for v in decode_integer(raw, np.int64(0)))
        self._elements_left -= max(size, 0)
        if at < 0 or not 0 <= size <= len(raw) - at or self._elements_left < 0 or size != _count_elements(grid.shape):
            raise _RefusedError(f"damaged: an array of shape {grid.shape} with {size} numbers in {len(raw)} bytes")
        return _decode_numbers(dtype, raw, at, size).reshape(grid.shape)


def _decode_numbers(dtype: np.dtype, raw: np.ndarray, at: int, size: int) -> np.ndarray:
    """Decode `size` numbers from byte `at` to the end, which they must fill."""
    if dtype == np.bool_:
        end, values = at + size, raw[at : at + size] == ord("1")
    elif dtype.kind == "f":
        values = np.empty(size, np.float64)
        end = decode_floats(raw, np.int64(at), values)
    else:
        values = np.empty(size, np.int64)
        end = decode_integers(raw, np.int64(at), values)
    if end != len(raw):
        raise _RefusedError("damaged: an array's numbers do not end where its bytes do")
    # Numbers are decoded as 64 bits: narrower types would wrap around.
    if dtype.kind in "iu" and dtype.itemsize < 8 and size:
        limits = np.iinfo(dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise _RefusedError(f"damaged: numbers beyond the range of {dtype}")
    with np.errstate(over="ignore"):
        return values.astype(dtype)


def _replace_flex(root: Any) -> Any:
    """The object with NumPy arrays in place of flex arrays; refused if deeper or larger than masks and maps are."""
    left = _MAX_ITEMS

    def visit(item: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if depth > _MAX_DEPTH or left < 0:
            raise _RefusedError("its parts are nested too deeply or repeated too often")
        if isinstance(item, _Flex):
            return item.array
        if isinstance(item, _Images):
            return tuple(visit(part, depth + 1) for part in item.panels)
        if isinstance(item, tuple | list):
            return type(item)(visit(part, depth + 1) for part in item)
        if isinstance(item, dict):
            return {key: visit(value, depth + 1) for key, value in item.items()}
        if isinstance(item, _Name | _Grid | _Mark):
            raise _RefusedError("it holds a name or a grid where a value should be")
        return item

    return visit(root, 0)


def _are_images(state: Any) -> bool:
    """Whether `state` is that of a background model: a tuple of one list of arrays."""
    return (isinstance(state, tuple) and len(state) == 1 and type(state[0]) is list
            and all(isinstance(part, _Flex) for part in state[0]))


def _is_shape(value: Any) -> bool:
    """Whether `value` is a tuple of few whole numbers."""
    return isinstance(value, tuple) and len(value) <= 10 and all(type(part) is int for part in value)


def _count_elements(shape: tuple[int, ...]) -> int:
    """Elements of an array of `shape`, in Python's unbounded integers; -1 for a negative extent."""
    n = 1
    for extent in shape:
        n *= extent
        if extent < 0:
            return -1
    return n if shape else 0


# The opcodes that are run, by what they do; pickletools names them and decodes their arguments.
_LITERALS = frozenset({
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
})
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple, "EMPTY_LIST": list,
    "EMPTY_DICT": dict, "MARK": _Mark,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_ACTIONS: dict[str, Callable[[_Machine], None]] = {
    "MEMOIZE": _Machine.memoize, "STACK_GLOBAL": _Machine.name, "TUPLE": _Machine.make_tuple,
    "LIST": _Machine.make_list, "APPEND": _Machine.append, "APPENDS": _Machine.appends, "DICT": _Machine.make_dict,
    "SETITEM": _Machine.setitem, "SETITEMS": _Machine.setitems, "REDUCE": _Machine.reduce,
    "BUILD": _Machine.set_state,
}
