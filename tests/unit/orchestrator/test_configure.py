"""What `pulumi up` made becomes a settings file, and what else stands in that file stays."""

import json
import tomllib

import pytest

from batchimg.configure import configure, pulumi_outputs, read_outputs, storage_endpoint_of
from batchimg.errors import InputError, MachineError, SettingsError
from batchimg.settings import load_settings

OUTPUTS = {
    "batch_endpoint": "https://one.westeurope.batch.azure.com",
    "storage_endpoint": "https://one.blob.core.windows.net",
    "pool": "batchimg",
    "worker_command": """/bin/sh -c 'exec python3 -m batchimg_worker "$@"' batchimg-worker""",
    "worker_image": "",
    "resource_group": "batchimg-dev",
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "batchimg.toml"


def test_outputs_that_are_settings_are_written_and_can_be_loaded(file):
    configure(file, OUTPUTS)
    settings = load_settings(file)
    assert settings.batch_endpoint == OUTPUTS["batch_endpoint"]
    assert settings.worker_command == OUTPUTS["worker_command"]
    assert settings.worker_image is None
    assert "resource_group" not in tomllib.loads(file.read_text())


def test_what_else_stands_in_the_file_stays_where_it_is(file):
    file.write_text('# mine\nmemory_mb = 4096  # big images\npool = "old"\n\nupload_threads = 4\n')
    configure(file, OUTPUTS)
    lines = file.read_text().splitlines()
    assert lines[:5] == ["# mine", "memory_mb = 4096  # big images", 'pool = "batchimg"', "", "upload_threads = 4"]


def test_configuring_twice_changes_nothing(file):
    configure(file, OUTPUTS)
    once = file.read_text()
    configure(file, OUTPUTS)
    assert file.read_text() == once


def test_an_empty_output_takes_a_setting_away(file):
    configure(file, {**OUTPUTS, "worker_image": "one.azurecr.io/batchimg-worker:0.1.0"})
    configure(file, OUTPUTS)
    assert "worker_image" not in file.read_text()


def test_keys_of_an_emulator_do_not_stay_beside_an_account(file):
    file.write_text('storage_key = "a2V5"\nbatch_key = "a2V5"\nbatch_account = "batchlocal"\n')
    configure(file, OUTPUTS)
    assert not {"storage_key", "batch_key", "batch_account"} & set(tomllib.loads(file.read_text()))


def test_keys_stay_beside_an_emulator(file):
    file.write_text('storage_key = "a2V5"\n')
    local = {"batch_endpoint": "http://127.0.0.1:1", "storage_endpoint": "http://127.0.0.1:2/devstoreaccount1"}
    configure(file, local)
    assert tomllib.loads(file.read_text())["storage_key"] == "a2V5"


@pytest.mark.parametrize(
    "outputs",
    [
        {**OUTPUTS, "batch_endpoint": "http://one.westeurope.batch.azure.com"},
        {**OUTPUTS, "storage_endpoint": "one"},
        {name: value for name, value in OUTPUTS.items() if name != "storage_endpoint"},
    ],
)
def test_a_wrong_endpoint_is_refused_and_the_file_stays(file, outputs):
    file.write_text("memory_mb = 4096\n")
    with pytest.raises(SettingsError, match="endpoint"):
        configure(file, outputs)
    assert file.read_text() == "memory_mb = 4096\n"


@pytest.mark.parametrize("text", ["memory_mb = = 1\n", "memory_mb = 12\n", "[pool]\nname = 1\n", "colour = 3\n"])
def test_a_file_that_would_not_load_is_refused_and_stays(file, text):
    file.write_text(text)
    with pytest.raises(SettingsError):
        configure(file, OUTPUTS)
    assert file.read_text() == text
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_value_that_stands_on_several_lines_is_refused_rather_than_damaged(file):
    text = 'worker_command = """\nbatchimg-worker"""\n'
    file.write_text(text)
    with pytest.raises(SettingsError, match="not understood"):
        configure(file, OUTPUTS)
    assert file.read_text() == text


def test_the_files_mode_stays(file):
    file.write_text("")
    file.chmod(0o600)
    configure(file, OUTPUTS)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_is_written_through(file, tmp_path):
    target = tmp_path / "elsewhere.toml"
    target.write_text("")
    file.symlink_to(target)
    configure(file, OUTPUTS)
    assert file.is_symlink()
    assert "pool" in target.read_text()


def test_outputs_that_are_no_text_are_left_out():
    assert read_outputs(json.dumps({"pool": "a", "nodes": 3, "tags": {"a": "b"}}), "x") == {"pool": "a"}


@pytest.mark.parametrize("text", ["", "[]", "{}", "pool: a"])
def test_outputs_that_cannot_be_read_say_what_to_give(text):
    with pytest.raises(InputError) as caught:
        read_outputs(text, "outputs.json")
    assert "outputs.json" in caught.value.message
    assert "pulumi" in caught.value.hint


def test_a_folder_or_a_program_that_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(MachineError, match="nowhere"):
        pulumi_outputs(tmp_path / "nowhere")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match="pulumi"):
        pulumi_outputs(tmp_path)


@pytest.mark.parametrize(
    ("account", "endpoint"),
    [
        ("one", "https://one.blob.core.windows.net"),
        ("https://one.blob.core.chinacloudapi.cn", "https://one.blob.core.chinacloudapi.cn"),
    ],
)
def test_a_storage_account_is_a_name_or_an_address(account, endpoint):
    assert storage_endpoint_of(account) == endpoint
