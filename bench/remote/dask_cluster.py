"""dask's SSHCluster with a scheduler and one worker, driven like clients.ts: a JSON request on stdin, a JSON reply on
stdout. Calls take it so long that it makes fewer of them than asked for. The argument says in JSON how to reach the sshd.
"""
import json
import logging
import os
import sys
import time
import traceback
import warnings

warnings.filterwarnings("ignore")
REPLIES = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # whatever libraries print is no reply


def same(value):
    return value


def trivial(x):
    return x * 2 + 1


def percentile(sorted_times, share):
    return sorted_times[min(len(sorted_times) - 1, int(len(sorted_times) * share))]


class Contender:
    def __init__(self, where):
        self.where = where
        self.client = None

    def open(self):
        if self.client:
            return self.client
        from distributed import Client, SSHCluster

        where = self.where
        connect = {
            "port": where["port"],
            "username": where["user"],
            "client_keys": [where["identity"]],
            "known_hosts": where["knownHosts"],
        }
        logging.getLogger("asyncssh").setLevel(logging.ERROR)
        self.cluster = SSHCluster(
            ["127.0.0.1", "127.0.0.1"],
            connect_options=connect,
            worker_options={"nthreads": 1, "host": "127.0.0.1"},
            scheduler_options={"host": "127.0.0.1", "port": 0, "dashboard": False},
            remote_python="/usr/bin/python3",
        )
        self.client = Client(self.cluster)
        return self.client

    def start(self, request):
        begin = time.perf_counter()
        assert self.open().submit(trivial, 1).result() == 3
        return {"ms": (time.perf_counter() - begin) * 1000}

    def calls(self, request):
        client = self.open()
        n, text = min(request["n"], 100), "x" * request["bytes"]
        times = []
        begin = time.perf_counter()
        for _ in range(n):
            started = time.perf_counter()
            client.submit(same, text, pure=False).result()
            times.append((time.perf_counter() - started) * 1000)
        seconds = time.perf_counter() - begin
        times.sort()
        return {"rate": n / seconds, "p50": percentile(times, 0.5), "p99": percentile(times, 0.99)}

    def deep(self, request):
        client = self.open()
        texts = ["x" * request["bytes"]] * min(request["n"], 300)
        begin = time.perf_counter()
        results = client.gather(client.map(same, texts, pure=False))
        assert results == texts
        return {"rate": len(texts) / (time.perf_counter() - begin)}

    def trivial(self, request):
        client = self.open()
        xs = range(request["n"])
        begin = time.perf_counter()
        results = client.gather(client.map(trivial, xs, pure=False))
        seconds = time.perf_counter() - begin
        assert results == [x * 2 + 1 for x in xs]
        return {"rate": len(results) / seconds}

    def close(self, request=None):
        if self.client:
            self.client.close()
            self.cluster.close()
            self.client = None
        return {}


def main():
    contender = Contender(json.loads(sys.argv[1]))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = getattr(contender, request["command"])(request)
        except BaseException:
            reply = {"error": traceback.format_exc()[-2000:]}
        print(json.dumps(reply), file=REPLIES, flush=True)
    contender.close()


if __name__ == "__main__":
    main()
