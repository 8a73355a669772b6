"""Any row of changes leaves the store as a plain dictionary says it should be, refusals included."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mlhelpers.errors import MLHelpersError
from mlhelpers.serving.registry.store import ModelStore

_VERSIONS = ("v1", "v2", "v3")
_CHANGES = st.one_of(
    st.tuples(st.sampled_from(["create", "delete", "default"]), st.sampled_from(_VERSIONS)),
    st.tuples(
        st.just("traffic"),
        st.dictionaries(st.sampled_from(_VERSIONS), st.sampled_from([0, 1, 49, 50, 51, 99, 100]), max_size=3),
    ),
    st.tuples(st.just("label"), st.sampled_from(["a=1", "b=2", "a="])),
)


@dataclass
class _Wanted:
    """What the rules of the service say, with nothing on a disk."""

    versions: list[str] = field(default_factory=list)  # oldest first
    default: str | None = None
    traffic: dict[str, int] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def apply(self, what: str, value: object) -> bool:
        """Make a change; tell whether it is allowed."""
        if what == "create":
            allowed = value not in self.versions
            self.versions += [str(value)] * allowed
            self.default = self.default or str(value)
        elif what == "default":
            allowed = value in self.versions
            self.default = str(value) if allowed else self.default
        elif what == "delete":
            is_last = value == self.default and len(self.versions) > 1
            allowed = value in self.versions and not is_last and value not in self.traffic
            if allowed:
                self.versions.remove(str(value))
                self.default = self.default if self.versions else None
        elif what == "traffic":
            assert isinstance(value, dict)
            allowed = not value or (sum(value.values()) == 100 and value.keys() <= set(self.versions))
            self.traffic = {name: share for name, share in value.items() if share} if allowed else self.traffic
        else:
            key, _, text = str(value).partition("=")
            self.labels = {name: old for name, old in self.labels.items() if name != key} | (
                {key: text} if text else {}
            )
            allowed = True
        return allowed


def _change(store: ModelStore, what: str, value: object, export: Path) -> None:
    if what == "create":
        store.create_version("M", str(value), export)
    elif what == "delete":
        store.delete_version("M", str(value))
    elif what == "default":
        store.set_default("M", str(value))
    elif what == "traffic":
        assert isinstance(value, dict)
        store.set_traffic("M", value)
    else:
        key, _, text = str(value).partition("=")
        store.update_model("M", labels={key: text or None})


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(_CHANGES, max_size=14))
def test_the_store_is_what_the_rules_say(changes: list[tuple[str, object]], tiny_export: Path) -> None:
    wanted = _Wanted()
    with tempfile.TemporaryDirectory() as folder:
        store = ModelStore(folder)
        store.create_model("M")
        for what, value in changes:
            try:
                _change(store, what, value, tiny_export)
                was_allowed = True
            except MLHelpersError:
                was_allowed = False
            assert was_allowed == wanted.apply(what, value), (what, value)
            model = store.model("M")
            assert (model.default_version, dict(model.traffic)) == (wanted.default, wanted.traffic)
            assert dict(model.labels) == wanted.labels
            assert [one.name for one in store.list_versions("M")] == sorted(wanted.versions)
            assert [one.name for one in store.list_versions("M") if one.is_default] == list(
                filter(None, [wanted.default])
            )
        assert {path.name for path in Path(folder).iterdir()} == {"M", ".lock"}
