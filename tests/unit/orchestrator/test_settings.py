import pytest

from batchimg.errors import SettingsError
from batchimg.settings import load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    import os

    for name in [name for name in os.environ if name.startswith("BATCHIMG_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), ("off", "off"), ("512", 512)])
def test_tiles_are_a_word_or_a_number(monkeypatch, text, value):
    monkeypatch.setenv("BATCHIMG_TILES", text)
    assert load_settings().tiles == value


@pytest.mark.parametrize("value", ["some", "15", 65_537, ""])
def test_other_tiles_are_refused_with_what_can_be_said(value):
    with pytest.raises(SettingsError, match=f"setting tiles '?{value}'?: .*use auto, always, off, or a number"):
        load_settings(None, tiles=value)


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults(bare, monkeypatch):
    (bare / "batchimg.toml").write_text('pool = "file"\nmemory_mb = 600\nchunk_images = 3\n')
    monkeypatch.setenv("BATCHIMG_POOL", "environment")
    monkeypatch.setenv("BATCHIMG_MEMORY_MB", "700")
    settings = load_settings(pool="flag")
    assert (settings.pool, settings.memory_mb, settings.chunk_images, settings.task_retries) == (
        "flag",
        700,
        3,
        3,
    )


def test_without_endpoints_the_stack_is_local():
    assert load_settings().is_local


def test_one_endpoint_alone_is_refused_and_the_other_one_named(monkeypatch):
    monkeypatch.setenv("BATCHIMG_BATCH_ENDPOINT", "https://a.westeurope.batch.azure.com")
    with pytest.raises(SettingsError, match="storage_endpoint is not set"):
        load_settings()


def test_an_unknown_key_in_the_file_offers_the_nearest(bare):
    (bare / "batchimg.toml").write_text('poool = "x"\n')
    with pytest.raises(SettingsError, match="unknown setting 'poool'") as refused:
        load_settings()
    assert refused.value.hint == "Did you mean pool?"


def test_an_unknown_variable_in_the_environment_offers_the_nearest(monkeypatch):
    monkeypatch.setenv("BATCHIMG_POOOL", "x")
    with pytest.raises(SettingsError, match="BATCHIMG_POOOL") as refused:
        load_settings()
    assert refused.value.hint == "Did you mean BATCHIMG_POOL?"


def test_a_wrong_value_is_named_with_its_setting(monkeypatch):
    monkeypatch.setenv("BATCHIMG_MEMORY_MB", "much")
    with pytest.raises(SettingsError, match="memory_mb 'much'"):
        load_settings()


def test_a_broken_file_is_named(bare):
    (bare / "batchimg.toml").write_text("pool = \n")
    with pytest.raises(SettingsError, match="not TOML"):
        load_settings()


def test_a_settings_file_that_was_asked_for_must_exist(bare):
    with pytest.raises(SettingsError, match="no settings file"):
        load_settings(bare / "missing.toml")


def test_a_key_never_shows(monkeypatch):
    monkeypatch.setenv("BATCHIMG_STORAGE_KEY", "very-secret")
    assert "very-secret" not in repr(load_settings())


def test_a_key_for_another_machine_is_refused_and_not_repeated(monkeypatch):
    monkeypatch.setenv("BATCHIMG_BATCH_ENDPOINT", "https://a.westeurope.batch.azure.com")
    monkeypatch.setenv("BATCHIMG_STORAGE_ENDPOINT", "https://a.blob.core.windows.net")
    monkeypatch.setenv("BATCHIMG_STORAGE_KEY", "very-secret")
    with pytest.raises(SettingsError, match="storage_key is set") as refused:
        load_settings()
    assert "very-secret" not in refused.value.message + refused.value.hint
