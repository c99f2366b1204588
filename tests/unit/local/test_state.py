import json
from pathlib import Path

import pytest

from batchimg.local.ports import Ports
from batchimg.local.processes import ProcessId
from batchimg.local.state import Phase, ServiceState, StackState, load_state

STATE = StackState(
    token="t",
    phase=Phase.RUNNING,
    reason="",
    supervisor=ProcessId(1, "a"),
    services=(ServiceState("azurite", ProcessId(2, "b"), 0, Path("/logs/azurite.log")),),
    ports=Ports(1, 2, 3),
    storage_account="devstoreaccount1",
    storage_key="a2V5",
    batch_endpoint="http://127.0.0.1:3",
    batch_account="batchlocal",
    batch_key="a2V5",
    started_at=1.5,
    environment="/venv",
    version="1",
)


def test_a_saved_state_is_read_back(tmp_path):
    STATE.save(tmp_path / "stack.json")

    assert load_state(tmp_path / "stack.json") == STATE
    assert STATE.processes == (ProcessId(1, "a"), ProcessId(2, "b"))


def test_a_state_file_is_readable_by_its_owner_only(tmp_path):
    STATE.save(tmp_path / "stack.json")

    assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "stack.json"]


def test_no_state_file_is_no_state(tmp_path):
    assert load_state(tmp_path / "stack.json") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\x00" * 40, "\xff"])
def test_a_damaged_state_file_is_no_state(tmp_path, text):
    (tmp_path / "stack.json").write_text(text, encoding="latin-1")

    assert load_state(tmp_path / "stack.json") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema_version", 2),
        ("phase", "flying"),
        ("supervisor", {"pid": "1", "started": "a"}),
        ("services", [{"name": "redis", "process": {"pid": 1, "started": "a"}, "restarts": 0, "log": "x"}]),
        ("services", {}),
        ("ports", [1, 2, 3]),
        ("token", None),
        ("started_at", "yesterday"),
    ],
)
def test_a_state_file_with_a_wrong_member_is_no_state(tmp_path, name, value):
    file = tmp_path / "stack.json"
    STATE.save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))

    assert load_state(file) is None
