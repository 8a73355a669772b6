"""A frozen dataclass of hyperparameters is the only source of a trainer's flags, their defaults and their help."""

from __future__ import annotations

import argparse
import difflib
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from mlhelpers.errors import UsageError

__all__ = ["flag", "parse"]

_T = TypeVar("_T")


def flag(
    default: Any = MISSING,
    *,
    help: str,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    tunable: bool = False,
) -> Any:
    """Describe one field of a hyperparameter dataclass.

    Args:
        default: Its default; the flag is required where none is given.
        help: One line for `--help`.
        choices: The only values allowed, where there is such a list.
        minimum: The least value allowed.
        maximum: The greatest value allowed.
        tunable: Whether a hyperparameter study may change it.

    Returns:
        A dataclass field.
    """
    metadata = {"help": help, "choices": tuple(choices), "minimum": minimum, "maximum": maximum, "tunable": tunable}
    return field(default=default, metadata=metadata)


def parse(hyperparameters: type[_T], argv: Sequence[str], module: str) -> _T:
    """Make hyperparameters out of command line words.

    Every flag is taken with underscores and with dashes. A field of type `tuple[int, ...]` takes several values, as
    words of their own or in one. An unknown flag is refused, and the nearest known one named.

    Args:
        hyperparameters: A dataclass whose fields were made with `flag`. The first line of its docstring, and what
            stands there under Example, go to the help page.
        argv: The words after the program's name.
        module: The trainer's module, for the help page.

    The help page ends with lines that programs read, too: `reports to tuning: rmse, loss`, out of the class attribute
    `tuning_metrics`, and `tunable: batch_size, nembeds`, the fields marked so.

    Returns:
        An instance, all values checked.

    Raises:
        UsageError: An unknown or repeated flag, a missing one, or a value that is not allowed.
        SystemExit: `--help` was asked for (code 0).
    """
    parser = _Parser(
        prog=f"python -m {module}",
        description=(hyperparameters.__doc__ or "").strip().splitlines()[0],
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_epilog(module, hyperparameters),
    )
    for spec in fields(hyperparameters):  # type: ignore[arg-type]  # the annotation cannot say "a dataclass"
        _add(parser, spec, typing.get_type_hints(hyperparameters)[spec.name])
    known, unknown = parser.parse_known_args(list(argv))
    if unknown:
        raise _unknown_flag(unknown[0], [f"--{spec.name}" for spec in fields(hyperparameters)])  # type: ignore[arg-type]
    values = {name: value for name, value in vars(known).items() if value is not MISSING}
    for spec in fields(hyperparameters):  # type: ignore[arg-type]
        if spec.name in values:
            _check(spec, values[spec.name])
    return hyperparameters(**values)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        """Raise what argparse would print, so that a wrong flag ends the same way as a wrong value."""
        raise UsageError(f"{message}. See: {self.prog} --help")


def _add(parser: argparse.ArgumentParser, spec: Field[Any], hint: Any) -> None:
    spellings = list(dict.fromkeys([f"--{spec.name}", f"--{spec.name.replace('_', '-')}"]))
    kind = _plain_type(hint)
    options: dict[str, Any] = {"dest": spec.name, "default": MISSING, "help": _help(spec)}
    if spec.metadata["choices"]:
        options["choices"] = spec.metadata["choices"]
    required = spec.default is MISSING
    if kind is bool:
        parser.add_argument(*spellings, action=argparse.BooleanOptionalAction, **options)
    elif _takes_several(hint):
        name = kind.__name__.upper()
        parser.add_argument(
            *spellings, action=_Several, each=kind, nargs="+", metavar=name, required=required, **options
        )
    else:
        parser.add_argument(*spellings, type=kind, metavar=kind.__name__.upper(), required=required, **options)


def _plain_type(hint: Any) -> Any:
    """Return T for T, for `T | None` and for `tuple[T, ...]`."""
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    return typing.get_args(hint)[0] if _takes_several(hint) else hint


def _takes_several(hint: Any) -> bool:
    return any(typing.get_origin(kind) is tuple for kind in (hint, *typing.get_args(hint)))


class _Several(argparse.Action):
    """Take `--nnsize 128 32 4`, and the same as one word, which is how a service passes it: "128 32 4" or 128,32,4."""

    def __init__(self, *words: Any, each: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._each = each

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        between = r"," if self._each is str else r"[\s,]+"  # the names of files have blanks in them
        parts = [part for word in values for part in re.split(between, word.strip()) if part]
        try:
            setattr(namespace, self.dest, tuple(self._each(part) for part in parts))
        except ValueError:
            parser.error(f"argument {option}: {' '.join(values)!r} should be one or more of {self._each.__name__}")
        if not parts:
            parser.error(f"argument {option}: expected at least one argument")


def _help(spec: Field[Any]) -> str:
    choices = f" ({', '.join(spec.metadata['choices'])})" if spec.metadata["choices"] else ""
    shown = " ".join(map(str, spec.default)) if isinstance(spec.default, tuple) else spec.default
    default = "" if shown in (MISSING, None, "") else f" [default: {shown}]"
    text: str = spec.metadata["help"] + choices + default
    return text.replace("%", "%%")


def _epilog(module: str, hyperparameters: Any) -> str:
    """Return what stands below the flags: spelling, what a study can change and read, the docstring's example."""
    parts = ["Every flag is also taken with dashes."]
    tuning = {
        "reports to tuning": getattr(hyperparameters, "tuning_metrics", ()),
        "tunable": [spec.name for spec in fields(hyperparameters) if spec.metadata["tunable"]],
    }
    if lines := [f"{title}: {', '.join(names)}" for title, names in tuning.items() if names]:
        parts.append("\n".join(lines))
    if example := re.search(r"Example:\s+(.*)", hyperparameters.__doc__ or ""):
        parts.append(f"example:\n  python -m {module} {example[1]}")
    return "\n\n".join(parts)


def _check(spec: Field[Any], value: Any) -> None:
    low, high = spec.metadata["minimum"], spec.metadata["maximum"]
    for one in value if isinstance(value, tuple) else (value,):
        if not isinstance(one, int | float) or isinstance(one, bool):
            continue
        too_low, too_high = low is not None and not one >= low, high is not None and not one <= high
        if too_low or too_high:
            span = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
            raise UsageError(f"--{spec.name} was given {one!r}; allowed is {span}. It means: {spec.metadata['help']}.")


def _unknown_flag(word: str, known: list[str]) -> UsageError:
    name = word.split("=")[0].replace("-", "_").replace("__", "--", 1)
    if not word.startswith("-"):
        return UsageError(f"The word {word!r} stands after no flag. Known flags: {', '.join(known)}.")
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return UsageError(f"There is no flag {word.split('=')[0]!r}.{hint} Known flags: {', '.join(known)}.")
