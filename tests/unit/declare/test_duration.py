"""Lengths of time as a person writes them."""

import pytest

from headrace.streams.duration import duration_ms, duration_text


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("90s", 90_000), ("10m", 600_000), ("24h", 86_400_000), ("7d", 604_800_000)],
)
def test_durations_are_read(text: str, milliseconds: int) -> None:
    assert duration_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "10", "m", "10 minutes", "-5m", "0s", "1w", "nans", 10, None])
def test_other_things_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration_ms(text)


def test_durations_are_said_in_the_largest_unit() -> None:
    said = [duration_text(number) for number in (1, 1_000, 90_000, 3_600_000, 172_800_000)]
    assert said == ["1ms", "1s", "90s", "1h", "2d"]
