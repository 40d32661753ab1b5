"""Uploads zeros with requests, which OpenTelemetry's exporter of Python uses, and prints the answer's status.

    upload.py URL KEY BYTES length|chunked BYTES_PER_SECOND

A rate of 0 is as fast as it goes.
"""

import sys
import time

import requests

PIECE = 64 << 10


class Body:
    """A body that comes at a rate. With a length it is announced, without one it is chunked."""

    def __init__(self, size, rate):
        self.left, self.size, self.rate, self.start = size, size, rate, time.monotonic()

    def read(self, _=-1):
        piece = min(PIECE, self.left)
        self.left -= piece
        if self.rate:
            due = self.start + (self.size - self.left) / self.rate
            time.sleep(max(0, due - time.monotonic()))
        return bytes(piece)

    def __iter__(self):
        return iter(self.read, b"")


class Announced(Body):
    def __len__(self):
        return self.size


def main():
    url, key, size, framing, rate = sys.argv[1:]
    body = {"length": Announced, "chunked": Body}[framing](int(size), float(rate))
    headers = {"content-type": "application/x-protobuf", "x-api-key": key}
    answer = requests.post(url, data=iter(body) if framing == "chunked" else body, headers=headers, timeout=60)
    print(answer.status_code, len(answer.content))


main()
