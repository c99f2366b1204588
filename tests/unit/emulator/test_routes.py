import pytest

from batch_emulator.errors import BatchError
from batch_emulator.routes import ROUTES, find


def test_all_operations_of_the_sdk_are_in_the_table():
    assert len(ROUTES) == 72
    assert len({(route.method, route.template) for route in ROUTES}) == 72


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_each_template_leads_to_its_own_route(route):
    path = route.template.replace("{", "x").replace("}", "")
    found, parameters = find(route.method, path)
    assert found is route
    assert all(value == f"x{name}" for name, value in parameters.items())


def test_a_file_path_may_hold_encoded_and_plain_slashes():
    _, parameters = find("GET", "/jobs/j/tasks/t/files/wd%2Fa%20b/c")
    assert parameters["filePath"] == "wd/a b/c"


@pytest.mark.parametrize("path", ["/", "//pools", "/nope", "/pools//nodes", "/pools/p/", "/jobs/j/tasks/t/nope", ""])
def test_other_paths_are_no_resource(path):
    with pytest.raises(BatchError) as caught:
        find("GET", path)
    assert caught.value.code == "InvalidUri"


def test_another_verb_is_refused_with_the_right_ones():
    with pytest.raises(BatchError, match="GET, POST") as caught:
        find("DELETE", "/pools")
    assert caught.value.status == 405
