"""How Compose writes a value as text; the texts are what docker-compose config printed."""

import pytest

from specs import scalars


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1.50", "1.5"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1e5", "100000"),
        ("1e6", "1e+06"),
        ("123456789.5", "1.234567895e+08"),
        ("123456.5", "123456.5"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("20.0e20", "2e+21"),
        ("-0.0", "-0"),
        ("-.5", "-0.5"),
        (".inf", "+Inf"),
        ("-.inf", "-Inf"),
        (".nan", "NaN"),
        ("0777", "511"),
        ("true", "true"),
        ("~", ""),
        ("100000000000000000000000", "1e+23"),
        ("2024-01-01", "2024-01-01"),
    ],
)
def test_as_text(written: str, text: str) -> None:
    assert scalars.as_text(scalars.resolve(written)) == text
