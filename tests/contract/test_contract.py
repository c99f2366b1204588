"""The contract's documents, held against golden files that are added, never edited."""

from pathlib import Path

import pytest

from batchimg_worker import blob_names, documents
from batchimg_worker.contract import (
    BandHeader,
    Heartbeat,
    ImageEntry,
    ImageResult,
    ManifestHeader,
    PartHeader,
    ResultHeader,
    RunSpec,
)
from batchimg_worker.documents import dump, parse, parse_lines
from batchimg_worker.errors import ContractError, ContractVersionError, RecipeError

GOLDEN = Path(__file__).parent / "golden"
SINGLE = {
    "run-v1.json": RunSpec,
    "run-v1-retry.json": RunSpec,
    "run-v1-attachments.json": RunSpec,
    "run-v1-split.json": RunSpec,
    "band-v1.json": BandHeader,
    "heartbeat-v1.json": Heartbeat,
    "heartbeat-v1-attempt.json": Heartbeat,
    "heartbeat-v1-causes.json": Heartbeat,
    "heartbeat-v1-truncated.json": Heartbeat,
}
LINES = {
    "manifest-v1.jsonl": (ManifestHeader, ImageEntry),
    "manifest-v1-apart.jsonl": (ManifestHeader, ImageEntry),
    "manifest-v1-bands.jsonl": (ManifestHeader, ImageEntry),
    "manifest-v1-etag.jsonl": (ManifestHeader, ImageEntry),
    "result-v1.jsonl": (ResultHeader, ImageResult),
    "result-v1-attempts.jsonl": (ResultHeader, ImageResult),
    "result-v1-operations.jsonl": (ResultHeader, ImageResult),
    "result-v1-bands.jsonl": (ResultHeader, ImageResult),
    "result-v1-etag.jsonl": (ResultHeader, ImageResult),
    "part-v1.jsonl": (PartHeader, ImageResult),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_golden_document_is_read_and_written_back_as_it_was(name):
    content = (GOLDEN / name).read_bytes().rstrip(b"\n")
    assert dump(parse(SINGLE[name], content, name)) == content


@pytest.mark.parametrize("name", LINES)
def test_golden_lines_are_read_and_written_back_as_they_were(name):
    header, record = LINES[name]
    first, *rest = (GOLDEN / name).read_bytes().splitlines()
    assert dump(parse(header, first, name)) == first
    assert [dump(one) for one in parse_lines(record, iter(rest), name)] == rest
    assert rest


@pytest.mark.parametrize("kind", [RunSpec, ManifestHeader, BandHeader, PartHeader, ResultHeader, Heartbeat])
def test_a_version_that_nobody_knows_is_refused_as_such(kind):
    with pytest.raises(ContractVersionError, match="schema_version 2, this batchimg 1"):
        parse(kind, '{"schema_version": 2, "anything": "else"}', "somewhere")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"run": "x"}', '{"schema_version": null}'])
def test_what_is_no_document_is_an_error_that_names_its_place(text):
    with pytest.raises(ContractError, match=r"runs/x/run\.json"):
        parse(RunSpec, text, "runs/x/run.json")


def test_an_unknown_field_is_refused():
    lines = [b'{"path":"a","size":1}', b'{"path":"b","size":1,"colour":"red"}']
    with pytest.raises(ContractVersionError, match="line 3: colour is not known to this batchimg"):
        list(parse_lines(ImageEntry, iter(lines), "m"))


def test_a_run_is_read_without_its_user_s_operations_and_refused_where_it_is_to_be_run():
    spec = parse(RunSpec, (GOLDEN / "run-v1-attachments.json").read_bytes(), "run.json")
    assert [variant.steps[0].operation for variant in spec.recipe.variants] == ["vignette"]
    with pytest.raises(RecipeError, match="unknown operation 'vignette'"):
        spec.recipe.bound()


def test_a_file_that_goes_along_lies_under_its_hash():
    operations, logo = parse(RunSpec, (GOLDEN / "run-v1-attachments.json").read_bytes(), "run.json").attachments
    assert blob_names.attachment_path("r", operations) == f"r/operations/{'a' * 64}.py"
    assert blob_names.attachment_path("r", logo) == f"r/files/{'b' * 64}"


@pytest.mark.parametrize(
    "entry",
    [
        '{"path":"","size":1}',
        '{"path":"a","size":-1}',
        '{"path":"a","size":1,"md5":"zz"}',
        '{"path":"a","size":1,"band":{"number":3,"of":3}}',
        '{"path":"a","size":1,"band":{"number":0,"of":0}}',
        '{"path":"a","size":1,"joins":[]}',
    ],
)
def test_an_entry_that_cannot_be_is_refused(entry):
    with pytest.raises(ContractError):
        parse(ImageEntry, entry, "m")


def test_places_are_those_of_the_documentation():
    assert blob_names.manifest_path("r", 42) == "r/manifests/00042.jsonl"
    assert blob_names.result_path("r", 42) == "r/results/00042.jsonl"
    assert blob_names.heartbeat_path("r", 42) == "r/heartbeats/00042"
    assert blob_names.part_path("r", 42) == "r/parts/00042.jsonl"
    assert blob_names.band_path(42, 1) == "bands/00042/001"
    assert blob_names.hand_path("r", 42) == "r/hands/00042"
    assert blob_names.ledger_path("r") == "r/ledger.parquet"
    assert blob_names.output_path("r", "rotate-30", "a/b.jpg") == "r/rotate-30/a/b.jpg"


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_part_that_was_cut_in_its_last_line_is_read_without_it(cut):
    lines = (GOLDEN / "part-v1.jsonl").read_bytes().splitlines()
    torn = [*lines, lines[-1][: -cut or None]]
    assert list(documents.whole_lines(iter(torn))) == (torn if cut == 0 else lines)
