"""The ends that cases play with programs of their own on bench/end.c."""

import json
import os

from lab.bridge import BUILD

PATIENCE = 120.0


class Player:
    """One process; a command that is answered by a line of JSON is asked: ask("open 100")."""

    def __init__(self, lab, name, program, **options):
        words = [os.path.join(BUILD, "bench", program)]
        for option, value in options.items():
            words += ["--" + option] + ([] if value is True else [value])
        self.process = lab.run(name, words, on_line=lambda line: None)
        self.process.wait_line("^ready$")

    def ask(self, command, timeout=PATIENCE):
        mark = self.process.mark()
        self.process.write(command)
        return json.loads(self.process.wait_line(r"^\{.*\}$", timeout, mark).group(0))

    def close(self):
        self.process.write("quit")
        status = self.process.wait()
        if status != 0:
            raise AssertionError(f"{self.process.name} ended with {status}\n{self.process.tail()}")
