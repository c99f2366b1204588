"""Whole blobs by plain signed requests, against the real emulator of blob storage, beside what the blob client sees."""

import hashlib
from dataclasses import dataclass

import pytest

from batchimg_worker.direct_blob import DirectBlobs, KeySigner, TokenSigner
from batchimg_worker.errors import StorageError
from batchimg_worker.pieces import Pieces
from batchimg_worker.storage import SINGLE_PUT_BYTES, BlobStore

PATHS = ("plain.jpg", "a folder/b c.jpg", "größe/ü+%25&=#?.png", "dots../~tilde_(1)'[x]@;,!$*:.tif")


@pytest.fixture(scope="module")
def stack(batchimg):
    return batchimg.stack()["stack"]


@pytest.fixture(scope="module")
def store(stack):
    store = BlobStore(stack["blob_endpoint"], stack["storage_key"])
    yield store
    store.close()


@pytest.fixture
def direct(stack):
    blobs = DirectBlobs(stack["blob_endpoint"], KeySigner(stack["blob_endpoint"], stack["storage_key"]))
    yield blobs
    blobs.close()


def digest(content):
    return hashlib.md5(content, usedforsecurity=False).digest()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("content", [b"", b"content" * 1000])
def test_what_is_written_directly_is_what_the_client_reads_and_the_other_way_round(store, direct, path, content):
    container = store.container("inputs")
    assert direct.write("inputs", f"direct/{path}", content, digest(content))
    seen = container.stat(f"direct/{path}")
    assert (seen.size, seen.md5) == (len(content), digest(content).hex())
    assert b"".join(container.read_chunks(f"direct/{path}")) == content
    assert direct.read("inputs", f"direct/{path}") == content
    assert [blob.path for blob in container.list(f"direct/{path}")] == [f"direct/{path}"]


def test_a_large_file_in_pieces_is_written_as_a_whole_and_let_go(store):
    pieces = Pieces()
    for number in range(10):
        pieces.write(bytes([number]) * (1_000_000 + number))
    whole, md5 = b"".join(pieces), pieces.md5()
    assert len(whole) > SINGLE_PUT_BYTES
    container = store.container("inputs")
    container.write("pieces.tif", pieces.taken(), md5=md5)
    assert container.read("pieces.tif") == whole
    assert container.stat("pieces.tif").md5 == digest(whole).hex()
    assert len(pieces) == 0


def test_whatever_is_in_the_way_is_left_to_the_client(stack, store, direct):
    assert direct.read("inputs", "direct/not there") is None
    assert direct.read("no-such-container", "a") is None
    assert not direct.write("inputs", "direct/damaged", b"content", digest(b"other"))
    assert store.container("inputs").stat("direct/damaged") is None
    stranger = DirectBlobs(stack["blob_endpoint"], KeySigner(stack["blob_endpoint"], "AAAA"))
    assert stranger.read("inputs", "direct/plain.jpg") is None
    nobody = DirectBlobs("http://127.0.0.1:9/acc", KeySigner("http://127.0.0.1:9/acc", "AAAA"))
    assert nobody.read("inputs", "a") is None
    with pytest.raises(StorageError, match="inputs/direct/not there") as caught:
        store.container("inputs").read("direct/not there")
    assert caught.value.code == "BlobNotFound"


@dataclass
class Token:
    token: str
    expires_on: int


class Credential:
    """Gives tokens that end at the given times."""

    def __init__(self, *ends):
        self.given = [Token(f"token-{number}", end) for number, end in enumerate(ends)]
        self.scopes = []

    def get_token(self, *scopes):
        self.scopes.append(scopes)
        return self.given.pop(0)


def test_a_token_is_used_again_until_shortly_before_its_end():
    far = 1 << 40
    credential = Credential(0, far)
    signer = TokenSigner(credential)
    sent = [signer.authorization("GET", "/a", {}) for _ in range(3)]
    assert sent == ["Bearer token-0", "Bearer token-1", "Bearer token-1"]
    assert credential.scopes == [("https://storage.azure.com/.default",)] * 2
