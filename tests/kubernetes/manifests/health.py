"""gRPC's health service by hand: SERVING (1) while /tmp/sick is not there, else NOT_SERVING (2).

HTTP/2 as far as one kind of call needs it: its frames are cut, the answer is always the same.
"""

import os
import socketserver

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload=b""):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def header(name, value):
    """A literal without indexing, never compressed."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.read(len(PREFACE)) != PREFACE:
            return
        self.wfile.write(frame(SETTINGS, 0, 0))
        while head := self.rfile.read(9):
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
            payload = self.rfile.read(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                self.wfile.write(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.wfile.write(frame(PING, ACK, 0, payload))
            elif kind in (DATA, HEADERS) and flags & END_STREAM:
                self.answer(stream)

    def answer(self, stream):
        status = b"\x02" if os.path.exists("/tmp/sick") else b"\x01"
        headers = header(b":status", b"200") + header(b"content-type", b"application/grpc")
        message = b"\x00\x00\x00\x00\x02\x08" + status
        self.wfile.write(frame(HEADERS, END_HEADERS, stream, headers))
        self.wfile.write(frame(DATA, 0, stream, message))
        trailers = header(b"grpc-status", b"0")
        self.wfile.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("", 9000), Connection).serve_forever()
