"""What a process takes, looked at from outside while it runs, and whether that stays flat."""

import contextlib
import os
import re


def _numbers(path, names):
    with open(path, encoding="ascii") as file:
        found = dict(re.findall(r"^(\w+):\s+(\d+) kB", file.read(), re.MULTILINE))
    return [int(found[name]) for name in names]


def _mapped(pid):
    """Resident KiB of malloc()'s heap, and of other anonymous memory, such as the arenas of threads."""
    heap = anonymous = 0
    name = ""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                name = words[5] if len(words) > 5 else ""
            elif words[0] == "Rss:" and name == "[heap]":
                heap += int(words[1])
            elif words[0] == "Rss:" and name == "":
                anonymous += int(words[1])
    return heap, anonymous


def sample(pid):
    """KiB, but for the number of descriptors."""
    rss, = _numbers(f"/proc/{pid}/status", ["VmRSS"])
    heap, anonymous = _mapped(pid)
    return {"rss": rss, "heap": heap, "anonymous": anonymous, "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}


def numbers_open(pid):
    return [int(name) for name in os.listdir(f"/proc/{pid}/fd")]


def _address(text):
    host, port = text.split(":")
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(host))) + f":{int(port, 16)}"


def descriptors(pid):
    """What is open, in words; of TCP connections both ends and the state's number in the kernel."""
    connections = {}
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as file:
        for line in list(file)[1:]:
            words = line.split()
            connections[words[9]] = f"{_address(words[1])} {_address(words[2])} {words[3]}"
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed since
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return sorted(connections.get(name[8:-1], name) if name.startswith("socket:") else name for name in names)


def rise(times, values):
    """By how much the straight line of least squares rises over the second half; and the mean there."""
    half = len(values) // 2
    times, values = times[half:], values[half:]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - middle) ** 2 for time in times)
    slope = sum((time - middle) * (value - mean) for time, value in zip(times, values)) / spread
    return slope * (times[-1] - times[0]), mean
