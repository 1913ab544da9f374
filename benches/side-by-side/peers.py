"""The proxies that meshctl is held against, and the origin, from the configurations in peers/."""

import dataclasses
import pathlib
import subprocess

from processes import free_port, listens, wait_for

CONFIGURATIONS = pathlib.Path(__file__).parent / "peers"


@dataclasses.dataclass
class Contender:
    """What load is sent to, and the processes whose time and memory count."""

    name: str
    topology: str
    port: int
    pids: list
    host: str = "origin"
    ports: dict = dataclasses.field(default_factory=dict)


def configured(work, template, name, **values):
    text = (CONFIGURATIONS / template).read_text()
    for key, value in {"DIR": work, "NAME": name, "CONNECTIONS": 1024, **values}.items():
        text = text.replace(f"@{key}@", str(value))
    path = work / f"{name}.conf"
    path.write_text(text)
    return path


def start(processes, work, program, template, name, **values):
    port = free_port()
    path = configured(work, template, name, LISTEN=port, **values)
    command = {
        "nginx": ["nginx", "-p", str(work), "-e", str(work / f"{name}.log"), "-c", str(path)],
        "haproxy": ["haproxy", "-q", "-db", "-f", str(path)],
    }[program]
    child = processes.start(command, work / f"{name}.out")
    wait_for(f"{name} (see {work}/{name}.out)", lambda: child.poll() is not None or listens(port))
    if child.poll() is not None:
        raise SystemExit(f"error: {name} ended: {(work / f'{name}.out').read_text()}")
    return port, child.pid


def start_origin(processes, work):
    return start(processes, work, "nginx", "origin.nginx.conf", "origin", BODY="x" * 1024)[0]


def start_peer(processes, work, program, origin):
    """One hop without TLS, and two hops with mutual TLS 1.3 between them."""
    suffix = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[program]

    def hop(role, following):
        return start(processes, work, program, f"{role}.{suffix}", f"{program}-{role}", NEXT=following)

    one, pid = hop("one", origin)
    receiver, receiver_pid = hop("receiver", origin)
    caller, caller_pid = hop("caller", receiver)
    return [
        Contender(program, "one hop", one, [pid]),
        Contender(
            program, "two hops, mTLS", caller, [caller_pid, receiver_pid], ports={"receiver": receiver}
        ),
    ]


def make_certificates(work):
    """A root and a leaf for either side, P-256, as both peers want them."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=work, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "1", "-subj", "/CN=root")
    for name in ("caller", "receiver"):
        (work / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "1",
            "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.crt",
        )
        parts = [(work / f"{name}.{end}").read_text() for end in ("crt", "key")]
        (work / f"{name}.pem").write_text("".join(parts))
