"""What a mutual TLS 1.3 handshake costs both sides together: every request makes a new connection.

No session is resumed anywhere. The request's own cost, which is in the first table, is in it too.
"""

import statistics

from peers import Contender, start


def contenders(processes, work, haproxy, mesh):
    """HAProxy's receiver behind a caller that keeps nothing, and meshctl's service `fresh`."""
    found = []
    if haproxy:
        receiver = haproxy.ports["receiver"]
        port, pid = start(processes, work, "haproxy", "fresh.haproxy.cfg", "haproxy-fresh", NEXT=receiver)
        found.append(Contender("haproxy", "new mTLS connections", port, [pid, haproxy.pids[1]]))
    if mesh:
        found.append(mesh.fresh())
    return found


def table(measured):
    print("\n| a connection each | CPU µs per request, both sides | handshakes per CPU second |\n|---|---|---|")
    for name, rounds in measured.items():
        cpu = statistics.median(one[0] for one in rounds)
        print(f"| {name} | {cpu:.0f} | {1e6 / cpu:.0f} |")
