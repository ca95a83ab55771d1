"""Files that use the one released checkout share a worker; with two of them, its whole run would be made twice."""

from tests.conftest import RELEASED, ROOT


def test_the_files_that_use_the_released_checkout_are_listed():
    files = (ROOT / "tests" / "smoke").glob("test_*.py")
    assert {file.relative_to(ROOT).as_posix() for file in files if "(released" in file.read_text()} == RELEASED
