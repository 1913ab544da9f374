"""Sends GETs without pause: URL, at least how many, over how many connections at once.

Prints a dot after the first answer, goes on until standard input is closed, then prints a report as
JSON. A connection that the server closes between two requests is opened again, as clients do.
"""

import collections
import http.client
import json
import sys
import threading
import time
import urllib.parse

url = urllib.parse.urlsplit(sys.argv[1])
wanted, connections = int(sys.argv[2]), int(sys.argv[3])
path = (url.path or "/") + ("?" + url.query if url.query else "")
began = time.monotonic()
ended = threading.Event()
answered = threading.Event()
lock = threading.Lock()
requests = 0
failures = []
bodies = collections.Counter()


def ask(connection):
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode(errors="replace").strip()
    if answer.status != 200:
        raise OSError(f"{answer.status} {answer.getheader('meshctl-reason', '')} {body[:200]}")
    return body


def client():
    global requests
    connection = None
    while not (ended.is_set() and requests >= wanted):
        if connection is None:
            connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=15)
        failure = body = None
        try:
            body = ask(connection)
        except Exception as why:
            failure = f"{time.monotonic() - began:.3f}s {type(why).__name__}: {why}"
            connection.close()
            connection = None
        with lock:
            requests += 1
            if failure is None:
                bodies[body] += 1
            else:
                failures.append(failure)
        if failure is None:
            answered.set()


threads = [threading.Thread(target=client, daemon=True) for _ in range(connections)]
for thread in threads:
    thread.start()
if not answered.wait(60):
    sys.exit(f"nothing but failures: {failures[-5:]}")
print(".", end="", flush=True)
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(json.dumps({"requests": requests, "failures": failures, "bodies": bodies}))
