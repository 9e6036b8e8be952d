"""The Python contenders, driven like contender.mjs: a JSON request on stdin, a JSON reply on stdout."""
import fnmatch
import json
import os
import sys
import time
import traceback


def pox_find():
    import pox

    return lambda root: pox.find("*.ts", root)


def pox_walk():
    import pox

    return lambda root: pox.walk(root, "*.ts")


def os_walk():
    def search(root):
        found = []
        for folder, _, names in os.walk(root):
            found += [os.path.join(folder, name) for name in fnmatch.filter(names, "*.ts")]
        return found

    return search


WAYS = {"pox.find": pox_find, "pox.walk": pox_walk, "os.walk": os_walk}


def main():
    # Replies go to a private copy of stdout: what libraries print must not mix with them.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    way = WAYS[sys.argv[1]]()
    for line in iter(sys.stdin.readline, ""):
        root = json.loads(line)["root"]
        try:
            begin = time.perf_counter()
            found = way(root)
            reply = {"ms": (time.perf_counter() - begin) * 1000, "items": len(found)}
        except Exception:
            reply = {"error": traceback.format_exc()}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
