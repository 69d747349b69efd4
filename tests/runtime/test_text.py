from saiseld.runtime.text import counted


def test_one_is_no_plural():
    assert [counted(n, "error") for n in (0, 1, 2)] == ["0 errors", "1 error", "2 errors"]
