import json
import os
import socket
import subprocess
import sys

import pytest

from batchimg.local import azurite
from batchimg.local.azurite import install, installed_folder
from batchimg.local.errors import LocalStackError
from batchimg.local.events import InstallFinished, InstallProgress, InstallStarted
from batchimg.local.npm import NpmLimits
from batchimg.local.ports import HOST, Ports, choose

PACKAGE = azurite._PACKAGE


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder. npm keeps its own, so that only the first test run of a machine downloads."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("BATCHIMG_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Point npm, with nothing in its own cache, to a port."""
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    return lambda port: monkeypatch.setenv("npm_config_registry", f"http://{HOST}:{port}/")


def test_the_lock_file_pins_every_package_by_its_hash_and_names_no_address():
    text = (PACKAGE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]

    assert "://" not in text
    assert "resolved" not in text
    assert packages["node_modules/azurite"]["version"] == azurite.pinned_version() == "3.35.0"
    assert all(fields["integrity"].startswith("sha512-") for name, fields in packages.items() if name)
    assert not any("dev" in fields or "hasInstallScript" in fields for fields in packages.values())


def test_azurite_serves_loopback_and_accepts_every_api_version(tmp_path):
    command = azurite.Azurite(tmp_path / "node", tmp_path / "azurite.js").command(Ports(1, 2, 3), tmp_path)

    assert [command[at + 1] for at, word in enumerate(command) if word.endswith("Host")] == [HOST] * 3
    assert {"--skipApiVersionCheck", "--disableTelemetry"} < set(command)


FINDS = """
const Loki = require("lokijs");
const blobs = new Loki("blobs").addCollection("blobs", {indices: ["accountName", "containerName", "name", "snapshot"]});
const blob = (containerName, name, snapshot) => ({accountName: "one", containerName, name, snapshot});
for (const container of ["inputs", "outputs"])
    for (let number = 0; number < 500; number++) blobs.insert(blob(container, `${number}.png`, ""));
blobs.insert(blob("inputs", "7.png", "2026-01-01"));
const found = (...named) => blobs.find(blob(...named)).length;
const answers = [found("inputs", "7.png", ""), found("inputs", "7.png", "2026-01-01"), found("inputs", "no.png", ""),
    blobs.find({accountName: "one", containerName: "inputs", name: {$regex: "^49"}}).length,
    blobs.find({accountName: "two", containerName: "inputs", name: "7.png"}).length];
let looks = 0;
blobs.data = new Proxy(blobs.data, {get: (rows, at) => (looks += /^[0-9]+$/.test(String(at)), rows[at])});
blobs.findOne(blob("outputs", "499.png", ""));
console.log(JSON.stringify([answers, looks]));
"""


def test_azurite_finds_a_blob_by_its_name_and_not_by_looking_at_all_blobs(tmp_path):
    node = azurite.install()
    script = node.script.parents[3] / f"finds-{os.getpid()}.cjs"
    script.write_text(FINDS)
    try:
        ahead = node.command(Ports(1, 2, 3), tmp_path)[1:3]
        words = [str(node.node), *ahead, str(script)]
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    finally:
        script.unlink()
    assert done.returncode == 0, done.stderr
    answers, looks = json.loads(done.stdout)
    assert answers == [1, 1, 0, 11, 0]
    assert looks < 200  # of 1,001 blobs


@pytest.mark.slow
def test_two_first_starts_at_once_install_once(cache):
    (cache / "azurite-0.0.1-killed.part" / "node_modules").mkdir(parents=True)
    installed_folder().mkdir()  # somebody emptied it
    (cache / "azurite-install.log").write_text("of an earlier time")
    code = "from batchimg.local.azurite import install; install(lambda event: print(type(event).__name__))"
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    events = []
    with other:
        found = install(events.append)
        theirs = other.communicate(timeout=120)[0].split()

    names = [type(event).__name__ for event in events]
    assert sorted((*names, *theirs)).count("InstallStarted") == 1
    assert "WaitingForOther" in (*names, *theirs)
    assert found.script.is_file()
    assert sorted(each.name for each in cache.iterdir() if each.is_dir()) == [installed_folder().name]
    if names.count("InstallStarted"):
        progress = [event for event in events if isinstance(event, InstallProgress)]
        assert progress[-1].fetched == progress[-1].expected == 760
        assert isinstance(events[-1], InstallFinished)

    events.clear()
    assert install(events.append) == found
    assert events == []


def test_without_a_network_the_installation_ends_soon_and_says_what_to_do(cache, registry):
    registry(choose(Ports(), Ports()).blob)
    events = []

    with pytest.raises(LocalStackError, match="ECONNREFUSED") as error:
        install(events.append)

    started = next(event for event in events if isinstance(event, InstallStarted))
    assert started.log.is_file()
    assert "connect to the network" in error.value.hint
    assert str(started.log) in error.value.hint
    assert [each for each in cache.iterdir() if each.is_dir()] == []


def test_a_registry_that_never_answers_is_given_up(cache, registry):
    with socket.create_server((HOST, 0), backlog=50) as silent:
        registry(silent.getsockname()[1])

        with pytest.raises(LocalStackError, match="no answer"):
            install(limits=NpmLimits(first_seconds=1.5))

    assert [each for each in cache.iterdir() if each.is_dir()] == []


def test_a_cache_that_cannot_be_written_is_reported_with_its_setting(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BATCHIMG_CACHE_DIR", str(tmp_path / "file" / "cache"))

    with pytest.raises(LocalStackError, match="file") as error:
        install()

    assert "BATCHIMG_CACHE_DIR" in error.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_reported_with_its_setting(cache):
    cache.mkdir(mode=0o500)

    with pytest.raises(LocalStackError, match="cannot be installed") as error:
        install()

    assert "BATCHIMG_CACHE_DIR" in error.value.hint


def test_an_installed_azurite_is_used_from_a_cache_without_locks(cache):
    script = installed_folder() / azurite._SCRIPT
    script.parent.mkdir(parents=True)
    script.touch()

    assert install().script == script
    assert not (cache / "azurite-install.lock").exists()


def test_the_size_of_a_folder_is_the_size_of_its_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"12345")
    (tmp_path / "d").write_bytes(b"12")
    (tmp_path / "loop").symlink_to(tmp_path)

    assert azurite.folder_bytes(tmp_path) - (tmp_path / "loop").lstat().st_size == 7
    assert azurite.folder_bytes(tmp_path / "none") == 0
