"""What is off topic by its meaning."""

from typing import cast

import numpy as np
import pytest
from homes import fast_encoder

from index.encoder import Encoder, OnnxEncoder
from service import off_topic
from service.off_topic import is_off_topic, likeness

ASKED = "my printer shows a paper jam although there is no paper in it"


@pytest.fixture(scope="module")
def encoder():
    return OnnxEncoder(fast_encoder())


def test_a_request_is_like_those_that_no_help_desk_answers(encoder):
    strange, own = encoder.encode_query([ASKED, "what is the maker fee for futures"])
    assert likeness(strange, encoder) > likeness(own, encoder) + 0.1


def test_it_is_off_topic_where_the_articles_are_not_nearer(encoder):
    (strange,) = encoder.encode_query([ASKED])
    like = likeness(strange, encoder)
    floor = 0.405 + 0.5 * like
    assert is_off_topic(strange, floor - 0.01, encoder, "e5")
    assert not is_off_topic(strange, floor + 0.01, encoder, "e5")


def test_a_question_in_a_language_of_no_article_may_be_farther(encoder):
    (strange,) = encoder.encode_query([ASKED])
    nearest = 0.4 + 0.5 * likeness(strange, encoder)
    assert is_off_topic(strange, nearest, encoder, "e5")
    assert not is_off_topic(strange, nearest, encoder, "e5", foreign=True)


def test_with_an_encoder_that_was_not_measured_nothing_is_off_topic(encoder):
    (strange,) = encoder.encode_query([ASKED])
    assert not is_off_topic(strange, 0.0, encoder, "another")


def test_the_examples_are_encoded_once(monkeypatch):
    class Counting:
        fingerprint = "counting"
        calls = 0

        def encode_query(self, texts):
            self.calls += 1
            return np.eye(len(texts), 4, dtype=np.float32)

    monkeypatch.setattr(off_topic, "_vectors", {})
    counting = Counting()
    for _ in range(3):
        likeness(np.ones(4, dtype=np.float32), cast(Encoder, counting))
    assert counting.calls == 1
