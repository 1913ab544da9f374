"""A server of the standard library that can misbehave: `server.py PORT NAME`.

Told by signals: SIGUSR1, every answer takes two seconds from now on; SIGUSR2, every answer is 503;
SIGHUP, all is well again. What it says is its name.
"""

import http.server
import signal
import sys
import time

SLOW_S = 2.0
state = {"status": 200, "wait": 0.0}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self):
        time.sleep(state["wait"])
        body = sys.argv[2].encode()
        self.send_response(state["status"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def behave(number, status, wait):
    signal.signal(number, lambda *_: state.update(status=status, wait=wait))


behave(signal.SIGUSR1, 200, SLOW_S)
behave(signal.SIGUSR2, 503, 0.0)
behave(signal.SIGHUP, 200, 0.0)
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
