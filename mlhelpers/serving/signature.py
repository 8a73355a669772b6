"""What a model takes and gives: `signature.json` of an export folder, read and checked.

The file is the contract between a trainer and everything that serves: names, dtypes, shapes and ranges of the inputs
and outputs of each signature. Nothing here knows how a model is run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlhelpers.errors import ModelError, PredictionError, unknown_name

__all__ = ["DTYPES", "FILE_NAME", "ModelSignature", "Signature", "Tensor", "parse_signature", "read_signature"]

FILE_NAME = "signature.json"
_FORMAT = 1
DTYPES = frozenset(
    [
        "bool",
        "float16",
        "float32",
        "float64",
        "int8",
        "int16",
        "int32",
        "int64",
        "string",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    ]
)


@dataclass(frozen=True)
class Tensor:
    """One named input or output.

    Attributes:
        name: Its key in an instance or in a prediction.
        dtype: NumPy's name of the dtype, one of `DTYPES`; "string" stands for texts and bytes.
        shape: Sizes of the axes; the first is the batch and open (None), like every other None.
        minimum: Smallest value taken, or None where nothing is said.
        maximum: Largest value taken, or None.
        description: What the values mean, in words.
        default: What stands for an input that an instance leaves out; None where it has to be given.
        example: A value that the model takes, where not every one of its dtype will do.
        values: The only texts taken; any where there are none.
        pattern: The regular expression that a text has to match as a whole; any text where it is empty.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""
    default: Any = None
    example: Any = None
    values: tuple[str, ...] = ()
    pattern: str = ""

    @property
    def instance_shape(self) -> tuple[int | None, ...]:
        """The shape of one instance: without the batch axis."""
        return self.shape[1:]

    @property
    def instance_size(self) -> int | None:
        """How many numbers one instance holds, or None where an axis is open."""
        sizes = [size for size in self.instance_shape if size is not None]
        return math.prod(sizes) if len(sizes) == len(self.instance_shape) else None

    def __str__(self) -> str:
        shape = ", ".join("any" if size is None else str(size) for size in self.instance_shape)
        text = f"{self.name!r}: {self.dtype} [{shape}]" if shape else f"{self.name!r}: one {self.dtype}"
        if self.values:
            text += f" of {', '.join(map(repr, self.values))}"
        if self.default is not None:
            text += f" (may be left out: {self.default!r})"
        if self.minimum is not None and self.maximum is not None:
            return f"{text} from {self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"{text}, at least {self.minimum:g}"
        return text if self.maximum is None else f"{text}, at most {self.maximum:g}"


@dataclass(frozen=True)
class Signature:
    """One way to call a model: its named inputs and outputs."""

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]

    def fits(self, keys: frozenset[str]) -> bool:
        """Tell whether an instance with these keys has every input that it needs, and no other key."""
        needed = {name for name, tensor in self.inputs.items() if tensor.default is None}
        return needed <= keys <= self.inputs.keys()

    def __str__(self) -> str:
        return f"{self.name!r} takes {'; '.join(str(tensor) for tensor in self.inputs.values())}"


@dataclass(frozen=True)
class ModelSignature:
    """All that signature.json says.

    Attributes:
        name: The model's own name, for instance "mnist".
        default: Name of the signature taken where nothing else decides.
        signatures: Every signature by name.
        class_names: Names of the classes, in the order of the probabilities; empty where there are none.
        document: The file as it was read, plain data.
    """

    name: str
    default: str
    signatures: Mapping[str, Signature]
    class_names: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def choose(self, signature_name: str | None, keys: frozenset[str] | None) -> Signature:
        """Return the signature for a request: the one named, else the one whose inputs are the keys, else the default.

        Args:
            signature_name: The name the request gives, or None.
            keys: The keys of the request's first instance; None where it is a bare value.

        Raises:
            PredictionError: No signature has that name.
        """
        if signature_name is not None:
            if signature_name not in self.signatures:
                raise PredictionError(str(unknown_name("signature", signature_name[:200], self.signatures)))
            return self.signatures[signature_name]
        default = self.signatures[self.default]
        if keys is None:  # a bare value is meant for a single input
            single = (signature for signature in self.signatures.values() if len(signature.inputs) == 1)
            return default if len(default.inputs) == 1 else next(single, default)
        if default.fits(keys):
            return default
        # of the others the best match, so that an error speaks of the signature that was meant
        return max(
            [default, *self.signatures.values()],
            key=lambda signature: (signature.fits(keys), len(keys & signature.inputs.keys())),
        )


def read_signature(folder: Path) -> ModelSignature:
    """Read and check the signature.json of an export folder.

    Args:
        folder: The folder that holds the model.

    Raises:
        ModelError: The file is missing, is not JSON, or says something that cannot be.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"{folder} has no {FILE_NAME}, which says what the model takes. mlhelpers' trainers write it on export."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Export the model again.") from error
    try:
        return parse_signature(document)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def parse_signature(document: object) -> ModelSignature:
    """Check the content of a signature.json.

    Args:
        document: The parsed JSON.

    Raises:
        ModelError: Something in it cannot be; the message gives the place and what is allowed there.
    """
    top = _mapping(document, "the file")
    if top.get("format") != _FORMAT:
        raise ModelError(f"format is {top.get('format')!r}; this version of mlhelpers reads format {_FORMAT}.")
    entries = _mapping(top.get("signatures"), "signatures")
    if not entries:
        raise ModelError("signatures is empty; a model needs at least one.")
    signatures = {name: _signature(name, entry) for name, entry in entries.items()}
    default = top.get("default_signature", next(iter(signatures)))
    if default not in signatures:
        raise ModelError(f"default_signature is {default!r}, which is none of {', '.join(map(repr, signatures))}.")
    class_names = top.get("class_names") or []
    if not isinstance(class_names, list):
        raise ModelError(f"class_names is {class_names!r}; it should be a list of names.")
    return ModelSignature(
        name=str(top.get("name", "")),
        default=default,
        signatures=signatures,
        class_names=tuple(map(str, class_names)),
        document=top,
    )


def _signature(name: str, entry: object) -> Signature:
    place = f"signatures.{name}"
    sides = {}
    for side in ("inputs", "outputs"):
        tensors = _mapping(_mapping(entry, place).get(side), f"{place}.{side}")
        if not tensors:
            raise ModelError(f"{place}.{side} is empty; a signature has at least one input and one output.")
        sides[side] = {key: _tensor(key, value, f"{place}.{side}.{key}") for key, value in tensors.items()}
    return Signature(name, **sides)


def _tensor(name: str, entry: object, place: str) -> Tensor:
    values = _mapping(entry, place)
    dtype, shape = values.get("dtype"), values.get("shape")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ModelError(f"{place}.dtype is {dtype!r}; allowed: {', '.join(sorted(DTYPES))}.")
    if not isinstance(shape, list) or not shape or shape[0] is not None or not all(map(_is_axis, shape)):
        raise ModelError(
            f"{place}.shape is {shape!r}; it should be a list that begins with null (the batch), then positive sizes."
        )
    low, high = values.get("min"), values.get("max")
    for bound in (low, high):
        if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
            raise ModelError(f"{place} has the bound {bound!r}; min and max are numbers.")
    allowed, pattern = values.get("values", []), values.get("pattern", "")
    if not isinstance(allowed, list) or not all(isinstance(value, str) for value in allowed):
        raise ModelError(f"{place}.values is {allowed!r}; it should be a list of texts.")
    try:
        re.compile(pattern)
    except (TypeError, re.error) as error:
        raise ModelError(f"{place}.pattern is {pattern!r}, which is no regular expression: {error}.") from None
    return Tensor(
        name,
        dtype,
        tuple(shape),
        low,
        high,
        str(values.get("description", "")),
        values.get("default"),
        values.get("example"),
        tuple(allowed),
        pattern,
    )


def _is_axis(size: object) -> bool:
    return size is None or (isinstance(size, int) and not isinstance(size, bool) and size > 0)


def _mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"{place} is {type(value).__name__}; it should be a JSON object.")
    return value
