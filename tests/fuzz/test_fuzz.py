"""The fast slice of `make fuzz`; what it found is held in tests/unit/worker/test_fuzz_finds.py."""

import documents
from hunt import Fault, Found, hunt
from mutators import damaged
from residue import Sample, flatness
from seeds import seeds

FILES = 40


def test_damaged_files_end_in_records_and_nothing_else():
    found = hunt(1, range(FILES), sanitize=False, shares=1)
    assert found.faults == []
    assert found.left_behind == 0
    assert sum(found.words.values()) == 3 * FILES
    assert {"done", "DecodeError"} <= {word for _, _, word in found.words}


def test_damaged_documents_are_refused_in_words():
    count, faults = documents.hunt(1, each=10)
    assert count > 100
    assert faults == []


def test_the_same_seed_and_number_give_the_same_file():
    files = seeds()
    assert [damaged(7, number, files) for number in range(30)] == [damaged(7, number, files) for number in range(30)]
    assert len({damaged(7, number, files)[1] for number in range(30)}) > 25


def test_a_death_is_a_fault_of_the_file_in_hand_and_the_others_are_done(tmp_path, monkeypatch):
    monkeypatch.setenv("BATCHIMG_FUZZ_DIE_AT", "2")
    found = hunt(1, range(3), sanitize=False, shares=1)
    assert [(fault.number, fault.way) for fault in found.faults] == [(2, "process")]
    assert "SIGSEGV" in found.faults[0].what
    assert sum(found.words.values()) == 6
    found.keep(tmp_path)
    assert (tmp_path / "1-2.bin").read_bytes() == damaged(1, 2, seeds())[1]


def test_what_grows_is_seen():
    def samples(megabytes, descriptors):
        return [Sample(100 * n, 20 + megabytes * n / 10, 1000, 5 + int(descriptors * n), 1) for n in range(40)]

    assert flatness(samples(0.0, 0.0)) == []
    assert flatness(samples(2.0, 0.0)) == ["2.00 MB of memory every 1,000 files"]
    assert flatness(samples(0.0, 1.0))[0].startswith("descriptors from")


def test_a_fault_is_in_the_table():
    found = Found(1, faults=[Fault(5, "tiles", "it took 900 MB")])
    assert "- tiles, file 5: it took 900 MB" in found.table()
