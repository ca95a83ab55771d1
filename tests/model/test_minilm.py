"""The real base model, as params.yaml pins it: the same vectors every time, and bfloat16 that answers as float32."""

import numpy as np
import pytest
import torch

from pipelines.models.encoder import Encoder
from pipelines.models.linear import unit_length
from pipelines.runtime.errors import InputError
from pipelines.runtime.project import Project
from pipelines.stages.baseline.params import BaselineParams

pytestmark = [pytest.mark.slow, pytest.mark.model]
TOPICS = {
    "mortgage": "My mortgage servicer lost {n} payments and started a foreclosure on my house.",
    "card": "A charge of {n} dollars that I never made appeared on my credit card statement.",
    "debt": "A collector calls me {n} times a day about a debt that is not mine.",
    "report": "The credit bureau lists {n} accounts on my report that belong to somebody else.",
}


@pytest.fixture(scope="module")
def encoders(repository):
    torch.set_num_threads(1)
    spec = Project.open(repository).section("baseline", BaselineParams).base_model
    try:
        return [Encoder.load(spec.model_copy(update={"precision": kind})) for kind in ("bfloat16", "float32")]
    except InputError as error:
        pytest.skip(f"base model: {error}")


def test_equal_texts_have_equal_vectors_every_time(encoders):
    texts = [TOPICS["card"].format(n=n % 5) for n in range(40)] + ["", "word " * 5000]
    first, again = encoders[0].embed(texts), encoders[0].embed(texts)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:5], first[35:40])
    assert np.isfinite(first).all()
    assert first.shape == (42, 384)


def test_a_vector_in_float32_does_not_depend_on_its_neighbors(encoders):
    texts = [text.format(n=n) for n in (2, 3000) for text in TOPICS.values()]
    together = encoders[1].embed(texts)
    alone = np.vstack([encoders[1].embed([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_bfloat16_finds_the_topic_that_float32_finds(encoders):
    nearest = []
    for encoder in encoders:
        topics = unit_length(encoder.embed([text.format(n=3) for text in TOPICS.values()]))
        asked = [f"{text.format(n=n)} Please help." for n in range(10, 40) for text in TOPICS.values()]
        nearest.append((unit_length(encoder.embed(asked)) @ topics.T).argmax(axis=1))
    np.testing.assert_array_equal(nearest[0], nearest[1])
    np.testing.assert_array_equal(nearest[0], np.tile(np.arange(4), 30))
