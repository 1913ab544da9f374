"""Connections that have carried one request each, or a few bytes, and wait."""

import socket
import ssl

TIMEOUT = 10


class Clients:
    """`certificate` is a file with key and chain, and what is said by ALPN; `None`: plain."""

    def __init__(self, port, host, certificate):
        self.port = port
        self.request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        self.context = None if certificate is None else context(*certificate)
        self.connections = []

    def open(self, count):
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", self.port), TIMEOUT)
            # Else the request would wait for the acknowledgement of the handshake's end, 40 ms.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                connection = self.context.wrap_socket(connection, server_hostname="origin.default")
            self.connections.append(connection)
            self.talk(connection)

    def talk(self, connection):
        connection.sendall(self.request)
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += self.more(connection)
        head, body = seen.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        if " 200 " not in f"{lines[0]} ":
            raise SystemExit(f"error: port {self.port} answers {lines[0]}")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        left = int(fields["content-length"]) - len(body)
        while left > 0:
            left -= len(self.more(connection))

    def more(self, connection):
        seen = connection.recv(65536)
        if not seen:
            raise SystemExit(f"error: port {self.port} has closed a connection")
        return seen

    def close(self):
        for connection in self.connections:
            connection.close()
        self.connections = []


class OpaqueClients(Clients):
    """They speak a protocol that nobody knows, to an application that says back what it hears."""

    def talk(self, connection):
        said = b"\x01\x02 a protocol of its own"
        connection.sendall(said)
        left = len(said)
        while left > 0:
            left -= len(self.more(connection))


def context(certificate, alpn):
    """Whom it talks to is of no interest here; what the server asks for is shown."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.load_cert_chain(certificate)
    if alpn:
        made.set_alpn_protocols([alpn])
    return made
