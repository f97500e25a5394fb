"""What `model add` refuses."""

from __future__ import annotations

import pytest

from prodsim.plugin.rollout.probe import Probe, problems_of


def found(**others: object) -> Probe:
    values = {"lengths": (1.0, 1.0), "same": 1.0, "alike": 0.2, "vectors": "float32"} | others
    return Probe(model="m", revision="1", dimension=4, **values)  # type: ignore[arg-type]  # a mix of fields


def test_a_sound_model_has_no_problems() -> None:
    assert problems_of(found()) == []
    assert problems_of(found(vectors="int8", lengths=(300.0, 420.0))) == []


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"lengths": (0.4, 1.0)}, "lengths from 0.400 to 1.000"),
        ({"same": 0.7}, "other vectors for the same text"),
        ({"alike": 1.0}, "the same vector for every text"),
    ],
)
def test_each_problem_is_named(others: dict[str, object], words: str) -> None:
    [problem] = problems_of(found(**others))
    assert words in problem
