"""The machines of a job: the service's scale tiers, and a pool for each role; and the check of a field's type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

from mlhelpers.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["SCALE_TIERS", "WHOLE_NUMBER", "Pool", "Tier", "check_forms"]

WHOLE_NUMBER = (Integral, "a whole number, for instance 2")
# field of a pool -> (its type, how it is written)
_FORMS: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("machine_type", "accelerator_type", "image_uri"), (str, "a text")),
    **dict.fromkeys(("count", "accelerator_count"), WHOLE_NUMBER),
}


def check_forms(found: DataclassInstance, forms: Mapping[str, tuple[Any, str]], where: str = "") -> None:
    """Refuse a field that holds another type than its own; None passes where it is the default.

    Args:
        found: What has the fields.
        forms: Field -> its type or types, and how a value is written; fields that are not in it are not looked at.
        where: What stands before the field's name in the message.

    Raises:
        UsageError: A field holds another type; a bool is no number.
    """
    for one in fields(found):
        value = getattr(found, one.name)
        if one.name not in forms or (value is None and one.default is None):
            continue
        kind, form = forms[one.name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise UsageError(f"{where}{one.name}={value!r} is refused. Give {form}.")


@dataclass(frozen=True)
class Tier:
    """What a scale tier was on the service.

    Attributes:
        meaning: The machines, in words.
        workers: How many workers stand beside the master.
        parameter_servers: How many parameter servers.
        accelerator: "GPU", "TPU" or empty.
    """

    meaning: str
    workers: int = 0
    parameter_servers: int = 0
    accelerator: str = ""


# after the service's reference of trainingInput.scaleTier
SCALE_TIERS = {
    "BASIC": Tier("one machine"),
    "STANDARD_1": Tier("a master, 4 workers and 3 parameter servers", 4, 3),
    "PREMIUM_1": Tier("a master, 19 workers and 11 parameter servers", 19, 11),
    "BASIC_GPU": Tier("one machine with a GPU", accelerator="GPU"),
    "BASIC_TPU": Tier("one machine with a TPU", accelerator="TPU"),
    "CUSTOM": Tier("machines of your own choice"),
}


@dataclass(frozen=True)
class Pool:
    """The machines of one role in a job.

    Attributes:
        machine_type: For instance "n1-standard-4"; needed in the cloud where the tier is CUSTOM.
        count: How many. For the master it is always one.
        accelerator_type: For instance "NVIDIA_TESLA_T4"; empty for none.
        accelerator_count: How many accelerators each machine has.
        image_uri: A container image of your own, in the cloud.

    Raises:
        UsageError: A field holds another type.
    """

    machine_type: str = ""
    count: int = 0
    accelerator_type: str = ""
    accelerator_count: int = 0
    image_uri: str = ""

    def __post_init__(self) -> None:
        check_forms(self, _FORMS, "Pool: ")

    @property
    def is_given(self) -> bool:
        """Tell whether anything was said about this role."""
        return self != Pool()
