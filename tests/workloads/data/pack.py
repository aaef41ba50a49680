"""Packs and hashes a hundred headers on eight threads: the program that pack.txt.xz records."""

import concurrent.futures
import hashlib
import pathlib
import zlib


def pack(path):
    data = path.read_bytes()
    return len(zlib.compress(data * 4, 1)), hashlib.sha1(data).hexdigest()


files = sorted(pathlib.Path("/usr/include").glob("*.h"))[:100]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(len(list(pool.map(pack, files))))
