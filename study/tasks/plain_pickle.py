"""Reading pickles of plain lists, tuples, dictionaries, integers and strings, executing nothing."""

import pickletools
from typing import Any

from study.errors import UserError

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


def read_pickle(content: bytes, where: object) -> Any:
    """The object, from lists, tuples, dicts, integers and strings.

    An interpreter of the opcodes that make these, over pickletools, which only takes them apart:
    unlike the pickle module it can import and call nothing. ``where`` names the file in the
    UserError for any other opcode (numpy's arrays and scalars among them) and for a broken file.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                (result,) = stack
                return result
            _step(opcode.name, argument, stack, memo, where)
    except UserError:
        raise
    except Exception as error:  # pickletools and the stack meet broken bytes in many ways
        raise UserError(
            f"{where} is no whole pickle of lists and numbers: {error or type(error).__name__}"
        ) from None
    raise UserError(f"{where} is a pickle that is cut short")


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any], where: object) -> None:
    if name in PLAIN:
        stack.append(argument)
    elif name in EMPTY:
        stack.append(EMPTY[name]())
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
        kept = tuple(stack[-TUPLES[name] :])
        del stack[-TUPLES[name] :]
        stack.append(kept)
    elif name in ("TUPLE", "LIST", "DICT"):
        items = _above_mark(stack)
        stack.append(
            tuple(items) if name == "TUPLE" else items if name == "LIST" else _pairs(items)
        )
    elif name in ("APPEND", "APPENDS"):
        items = [stack.pop()] if name == "APPEND" else _above_mark(stack)
        _must_be(list, stack).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _above_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        _must_be(dict, stack).update(_pairs(items))
    elif name == "POP":
        stack.pop()
    elif name not in ("PROTO", "FRAME"):
        what = f"asks for {argument!r}" if name in ("GLOBAL", "INST") else f"has {name}"
        kind = "calls code" if name in CALLS else "holds more than lists and whole numbers"
        raise UserError(
            f"{where} {kind} ({what}), which is refused; save it anew as lists of integers, or as JSON"
        )


def _above_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _Mark:
        place -= 1
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _must_be(kind: type, stack: list[Any]) -> Any:
    if type(stack[-1]) is not kind:
        raise ValueError(f"a {kind.__name__} expected")
    return stack[-1]


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return dict(zip(items[::2], items[1::2], strict=True))
