"""A model is used only for a domain that has its labels and the features that it reads, of their types."""

import pytest

from pipelines.models.manifest import FeatureColumn, Manifest
from pipelines.runtime.errors import InputError

MANIFEST = Manifest.model_construct(labels=("a", "b"), features=(FeatureColumn(name="age", kind="number"),))


def test_a_domain_with_more_features_is_accepted():
    kinds = {"age": "number", "new": "category"}
    assert MANIFEST.require_schema(labels=("b", "a"), kinds=kinds, what="version 3") is None
    with pytest.raises(InputError):
        MANIFEST.require_schema(labels=("b", "a"), kinds={"new": "category"}, what="version 3")


@pytest.mark.parametrize(
    ("labels", "kinds", "message"),
    [
        ("ab", {"age": "category"}, "version 3 reads feature 'age' as a number, .* as a category"),
        ("ab", {}, "'age' .* no longer has it"),
        ("ac", {"age": "number"}, "labels a, b, .* has a, c"),
    ],
)
def test_another_schema_is_refused_and_named(labels, kinds, message):
    with pytest.raises(InputError, match=message):
        MANIFEST.require_schema(labels=labels, kinds=kinds, what="version 3")
