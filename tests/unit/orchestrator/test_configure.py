"""What `pulumi up` made becomes a settings file, and what else stands in that file stays."""

import json
import tomllib

import pytest

from batchimg.configure import configure, pulumi_outputs, read_outputs
from batchimg.endpoint import storage_endpoint_of
from batchimg.errors import InputError, MachineError, SettingsError
from batchimg.settings import chosen_file, load_settings

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
        {**OUTPUTS, "batch_endpoint": "https://one.westeurope.batch.azure.com:443/jobs"},
        {**OUTPUTS, "batch_endpoint": "https://one.westeurope.batch.azure.com:99999"},
        {**OUTPUTS, "batch_endpoint": "https://[one"},
        {**OUTPUTS, "batch_endpoint": "https://one"},
        {**OUTPUTS, "batch_endpoint": "[secret]"},
        {**OUTPUTS, "storage_endpoint": "one"},
        {**OUTPUTS, "storage_endpoint": "https://one.blob.core.windows.net/inputs"},
        {**OUTPUTS, "storage_endpoint": "https://one.queue.core.windows.net"},
        {name: value for name, value in OUTPUTS.items() if name != "storage_endpoint"},
    ],
)
def test_a_wrong_endpoint_is_refused_and_the_file_stays(file, outputs):
    file.write_text("memory_mb = 4096\n")
    with pytest.raises(SettingsError, match="endpoint"):
        configure(file, outputs)
    assert file.read_text() == "memory_mb = 4096\n"


def test_the_outputs_of_another_program_are_told_apart_from_a_wrong_endpoint(file):
    with pytest.raises(SettingsError, match="batch_endpoint is missing") as caught:
        configure(file, {"bucket": "one"})
    assert "--stack" in caught.value.hint
    assert not file.exists()


def test_a_signature_or_a_password_in_an_address_is_not_shown_again(file):
    hidden = "hush"
    for address in (f"https://one.blob.core.windows.net/?sv=1&sig={hidden}", f"https://me:{hidden}@one.example.org"):
        with pytest.raises(SettingsError) as caught:
            configure(file, {**OUTPUTS, "storage_endpoint": address})
        assert hidden not in caught.value.message + caught.value.hint


def test_an_endpoint_is_written_as_azure_says_it(file):
    configure(file, {**OUTPUTS, "batch_endpoint": "https://ONE.westeurope.batch.azure.com/"})
    assert load_settings(file).batch_endpoint == OUTPUTS["batch_endpoint"]


@pytest.mark.parametrize("pool", ["a/b", "a b", "x" * 65, "pool\n"])
def test_a_pool_that_azure_cannot_have_is_refused(file, pool):
    with pytest.raises(SettingsError, match="pool is"):
        configure(file, {**OUTPUTS, "pool": pool})
    assert not file.exists()


def test_comments_ends_of_lines_and_odd_characters_stay(file):
    before = (
        '# mine \u2028 x\r\npool = "old"  # my pool # really\r\nbatch_endpoint = \'x#y\' # "there"\r\nmemory_mb=4096'
    )
    file.write_bytes(before.encode())
    configure(file, {**OUTPUTS, "worker_command": 'worker "\U0001f33b\x7f"'})
    lines = file.read_bytes().decode().split("\r\n")
    assert lines[:4] == [
        "# mine \u2028 x",
        'pool = "batchimg"  # my pool # really',
        f'batch_endpoint = "{OUTPUTS["batch_endpoint"]}" # "there"',
        "memory_mb=4096",
    ]
    assert load_settings(file).worker_command == 'worker "\U0001f33b\x7f"'


def test_an_error_of_the_file_names_the_file_that_the_user_knows(file):
    file.write_text("colour = 3\n")
    with pytest.raises(SettingsError) as caught:
        configure(file, OUTPUTS)
    assert caught.value.message == f"unknown setting 'colour' in {file}"


def test_a_file_that_is_not_text_is_refused_and_stays(file):
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not UTF-8"):
        configure(file, OUTPUTS)
    assert file.read_bytes() == b"\xff\xfe"


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path):
    for place in (tmp_path / "nowhere" / "batchimg.toml", tmp_path):
        with pytest.raises(MachineError) as caught:
            configure(place, OUTPUTS)
        assert str(place) in caught.value.message
        assert "--config" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("text", ["", "[]", "{}", "pool: a", b"\xff\xfe\x00", "[" * 100_000])
def test_outputs_that_cannot_be_read_say_what_to_give(text):
    with pytest.raises(InputError) as caught:
        read_outputs(text, "outputs.json")
    assert "outputs.json" in caught.value.message
    assert "pulumi" in caught.value.hint


def test_a_folder_or_a_program_that_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(MachineError, match="nowhere"):
        pulumi_outputs(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="no folder"):
        pulumi_outputs(tmp_path / "file")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match="pulumi"):
        pulumi_outputs(tmp_path)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("error: no stack named 'other' found", "--stack"),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE"),
    ],
)
def test_what_pulumi_says_is_told_with_what_to_do(tmp_path, monkeypatch, said, hint):
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        pulumi_outputs(tmp_path, "other")
    assert said in caught.value.message
    assert "--stack other" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("account", "endpoint"),
    [
        ("one", "https://one.blob.core.windows.net"),
        ("https://one.blob.core.chinacloudapi.cn", "https://one.blob.core.chinacloudapi.cn"),
    ],
)
def test_a_storage_account_is_a_name_or_an_address(account, endpoint):
    assert storage_endpoint_of(account) == endpoint


@pytest.mark.parametrize("account", ["OneTwo", "one two", "a", "", "one.blob.core.windows.net"])
def test_a_name_that_no_storage_account_has_is_refused(account):
    with pytest.raises(SettingsError, match="storage account"):
        storage_endpoint_of(account)


def test_the_file_that_the_environment_names_is_the_one_that_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHIMG_CONFIG", str(tmp_path / "mine.toml"))
    assert chosen_file(None) == tmp_path / "mine.toml"
    assert chosen_file(tmp_path / "other.toml") == tmp_path / "other.toml"
