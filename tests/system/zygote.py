"""Runs commands of sessiond on terminals, each in a fork of a process that has imported everything once.

Takes one JSON list of arguments a line, and answers with one JSON object: the exit code and what the terminal showed.
"""

import json
import os
import pty
import sys

from daemon import cli


def shown_by(arguments):
    child, master = pty.fork()
    if child == 0:
        sys.argv = ["sessiond", *arguments]
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, 1) for number, mode in enumerate("rww"))
        sys.stderr.reconfigure(errors="backslashreplace")
        code = 70
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException as error:  # noqa: BLE001  # Python itself would print it
            sys.stderr.write(f"Traceback {error!r}\n")
        finally:
            sys.stdout.flush()
            os._exit(code)
    shown = bytearray()
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # the other side is closed
        pass
    os.close(master)
    return {"code": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "shown": shown.decode("utf-8", "replace")}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(shown_by(json.loads(line))), flush=True)
