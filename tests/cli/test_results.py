import pandas as pd
import pytest

from bulkvi.cli._results import p_text, show_results


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.04, "4e-02"), (1e-300, "1e-300"), (9e-301, "<1e-300"), (5e-324, "<1e-300"), (0.0, "<1e-300")],
)
def test_a_p_value_that_underflows_is_a_bound(p_value: float, text: str):
    assert p_text(p_value) == text


def test_the_first_genes_are_those_of_the_largest_statistic_and_named_as_they_are(capsys: pytest.CaptureFixture[str]):
    table = pd.DataFrame(
        {
            "log_fc": [1.0, -2.0, 3.0],
            "log_fc_low": 0.5,
            "log_fc_high": 4.0,
            "stat": [50.0, -60.0, 40.0],
            "p_value": 0.0,
            "adj_p_value": 0.0,
            "flag": "",
        },
        index=[":smile:", "two\nlines", "[red]gene"],
    )
    show_results(table, level=0.05, sign="")
    lines = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert lines == ["two lines", ":smile:", "[red]gene"]
