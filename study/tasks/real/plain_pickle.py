"""Reading pickles of plain lists, tuples, dictionaries, integers and strings, executing nothing."""

import pickletools
from dataclasses import dataclass
from typing import Any

from study.base.errors import UserError
from study.tasks.real.files import quoted

MOST_ITEMS = 10_000_000  # MuseData, the largest of the four usual sets of music, has 2 million
MOST_OPCODES = 15_000_000  # of which each may make a list
DEEPEST = 20  # containers in one another; rolls need 4
MOST_BITS = 1024  # of a whole number; Python writes no number of 4,300 digits

PLAIN = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS = {"PUT", "BINPUT", "LONG_BINPUT"}
GETS = {"GET", "BINGET", "LONG_BINGET"}
CALLS = {
    *("GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD"),
    *("EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
}


class _Mark:
    """Where on the stack the items of a container begin."""


@dataclass(slots=True, eq=False)
class _Built:
    """A container on the stack, with what it would be if what is shared in it were copied."""

    value: Any
    depth: int = 1
    items: int = 1
    placed: bool = False  # in another container, and whole from then on


def read_pickle(content: bytes, where: object) -> Any:
    """The object, from lists, tuples, dicts, integers and strings.

    An interpreter of the opcodes that make these, over pickletools, which only takes them apart:
    unlike the pickle module it can import and call nothing. What comes out holds no more than
    MOST_ITEMS items, what is shared counted each time, no deeper than DEEPEST, and nothing that holds
    itself, so that it can be walked, printed and thrown away. ``where`` names the file in the UserError
    for more than that, for any other opcode (numpy's arrays and scalars among them) and for a broken
    file.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count > MOST_OPCODES:
                raise UserError(f"{where} takes more than {MOST_OPCODES:,} steps to read")
            if opcode.name == "STOP":
                (result,) = stack
                return _value(result)
            _step(opcode.name, argument, stack, memo, where)
    except UserError:
        raise
    except Exception as error:  # pickletools and the stack meet broken bytes in many ways
        told = str(error)[:100] or type(error).__name__
        raise UserError(f"{where} is no whole pickle of lists and numbers: {told}") from None
    raise UserError(f"{where} is a pickle that is cut short")


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any], where: object) -> None:
    if name in PLAIN:
        if type(argument) is int and argument.bit_length() > MOST_BITS:
            raise UserError(f"{where} has a whole number of {argument.bit_length():,} bits")
        stack.append(argument)
    elif name in EMPTY:
        stack.append(_Built(EMPTY[name]()))
    elif name in ("NONE", "NEWTRUE", "NEWFALSE"):
        stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
    elif name == "MARK":
        stack.append(_Mark)
    elif name in PUTS:
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in GETS:
        stack.append(memo[argument])
    elif name in TUPLES:
        items = stack[-TUPLES[name] :]
        if len(items) < TUPLES[name]:
            raise ValueError("a tuple without its items")
        del stack[-TUPLES[name] :]
        stack.append(_filled(_Built(tuple(map(_value, items))), items, where))
    elif name in ("TUPLE", "LIST", "DICT"):
        items = _above_mark(stack)
        value = _pairs(items) if name == "DICT" else [*map(_value, items)]
        built = _Built(tuple(value) if name == "TUPLE" else value)
        stack.append(_filled(built, items, where))
    elif name in ("APPEND", "APPENDS"):
        items = [stack.pop()] if name == "APPEND" else _above_mark(stack)
        _filled(_must_be(list, stack), items, where).value.extend(map(_value, items))
    elif name in ("SETITEM", "SETITEMS"):
        items = _above_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        _filled(_must_be(dict, stack), items, where).value.update(_pairs(items))
    elif name == "POP":
        stack.pop()
    elif name not in ("PROTO", "FRAME"):
        what = f"asks for {quoted(argument)}" if name in ("GLOBAL", "INST") else f"has {name}"
        kind = "calls code" if name in CALLS else "holds more than lists and whole numbers"
        raise UserError(
            f"{where} {kind} ({what}), which is refused; save it anew as lists of integers, or as JSON"
        )


def _value(item: Any) -> Any:
    if item is _Mark:
        raise ValueError("a mark within a container")
    return item.value if type(item) is _Built else item


def _filled(built: _Built, items: list[Any], where: object) -> _Built:
    """The container with its size counted once these are in it.

    One that is itself in another can no longer grow, so that no size is counted too small; none that
    Python's pickle writes does, but for those that hold themselves.
    """
    inner = [item for item in items if type(item) is _Built]
    for item in inner:
        item.placed = True
    if built.placed:
        raise UserError(f"{where} has a list that grows within another, or holds itself")
    built.items += len(items) - len(inner) + sum(item.items for item in inner)
    built.depth = max([built.depth, *(item.depth + 1 for item in inner)])
    if built.items > MOST_ITEMS:
        raise _too_much(where)
    if built.depth > DEEPEST:
        raise UserError(f"{where} has containers in one another more than {DEEPEST} deep")
    return built


def _too_much(where: object) -> UserError:
    return UserError(f"{where} holds more than {MOST_ITEMS:,} items")


def _above_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _Mark:
        place -= 1
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _must_be(kind: type, stack: list[Any]) -> _Built:
    built = stack[-1]
    if type(built) is not _Built or type(built.value) is not kind:
        raise ValueError(f"a {kind.__name__} expected")
    return built


def _pairs(items: list[Any]) -> dict[Any, Any]:
    """Keys are strings or numbers: of a tuple the hash, as deep as it is, would have to be computed."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    if any(type(key) is _Built for key in items[::2]):
        raise ValueError("a key that is no string or number")
    return dict(zip(map(_value, items[::2]), map(_value, items[1::2]), strict=True))
