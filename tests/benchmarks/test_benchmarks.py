"""The benchmarks that nobody runs every day still run, and their figures reach the table."""

import numpy as np
import pytest

from benchmarks import gpu, growth, table


def test_everything_on_a_gpu_is_measured_on_the_cpu_too() -> None:
    figures = gpu.imaging("cpu", 1, 0.0, ["compact"]) | gpu.sound("cpu", 1, 0.0)
    assert len(figures) == 4 and all(np.isfinite(value) and value > 0 for value in figures.values())


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    sizes = [1, 3, 10, 40]
    assert growth.exponent(sizes, [7.0 * size**power for size in sizes]) == pytest.approx(power)


def test_the_table_tells_what_was_printed_and_what_is_missing() -> None:
    printed = [
        ("parts --rounds 2", 60.0, "both branches together  40.10  20.20\noverlay video 9.0 8.5"),
        ("labels", 4.0, "(failed: exit 1)"),
    ]
    rows = table.table(printed).splitlines()
    assert any("20.20 ms" in row and "INT8" in row for row in rows)
    assert any("40.10 ms" in row and "--precise" in row for row in rows)
    assert any("8.5 ms" in row for row in rows)
    assert any("not measured" in row and "labels" in row for row in rows)
    assert not any("startup" in row for row in rows)  # which was not run
    for name, _, said in printed:
        assert name in table.log(printed) and said in table.log(printed)


def test_every_figure_is_of_a_benchmark_that_is_run() -> None:
    run = {name.split()[0] for name in table.BENCHMARKS}
    assert {figure.benchmark for figure in table.FIGURES} <= run
