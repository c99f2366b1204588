"""A listing as blob storage writes it."""

import xml.etree.ElementTree as ET

import pytest

from batchimg_worker.listing import Blob, blobs_of

PAGE = """<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://x/" ContainerName="runs"><Prefix>a</Prefix><Blobs>
<Blob><Name>a/ü b.jpg</Name><Properties><Etag>"0x8D"</Etag><Content-Length>12</Content-Length>
<Content-MD5>AAAAAAAAAAAAAAAAAAAAAQ==</Content-MD5></Properties>
<Metadata><Encrypted>true</Encrypted><heartbeat>{"chunk":1}</heartbeat><empty /></Metadata></Blob>
<Blob><Name Encoded="true">a%EF%BF%BF%2Fb</Name><Properties><Content-Length>0</Content-Length><Content-MD5 />
</Properties></Blob>
<BlobPrefix><Name>a/</Name></BlobPrefix>
</Blobs><NextMarker /></EnumerationResults>"""


def test_names_sizes_checksums_and_metadata_are_read():
    first, second = blobs_of(ET.fromstring(PAGE.encode()))
    digest = "00000000000000000000000000000001"
    assert first == Blob("a/ü b.jpg", 12, digest, "0x8D", {"heartbeat": '{"chunk":1}', "empty": ""})
    assert second == Blob("a\uffff/b", 0, None, "", {})


def test_what_is_no_listing_is_an_error():
    with pytest.raises(ValueError, match="a listing of blobs without blobs: <Error>"):
        list(blobs_of(ET.fromstring("<Error><Code>X</Code></Error>")))
