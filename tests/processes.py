"""What the scripts share that try a program of ours with programs of others."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def from_pypi(packages, folder, python=sys.executable, options=()):
    """The folder of the programs of a virtual environment that holds these packages alone, made once; None when they cannot
    be had."""
    installed = folder / "installed"
    wanted = "\n".join(packages)
    if not installed.exists() or installed.read_text() != wanted:
        print(f"Installing {', '.join(packages)} into {folder} (once)", flush=True)
        try:
            subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, *options, *packages], check=True)
        except subprocess.CalledProcessError as error:
            print(f"{', '.join(packages)} cannot be installed: {error}", file=sys.stderr)
            return None
        installed.write_text(wanted)
    return folder / "bin"


class Running:
    """A process that ends with the block."""

    def __init__(self, command, **options):
        self.process = subprocess.Popen(command, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def told_settings(process, last):
    """The settings that a starting simulator prints, a line each, up to this one."""
    settings = {}
    while last not in settings:
        line = process.stdout.readline()
        assert line, "the simulator has ended"
        name, value = line.rstrip("\n").split("=", 1)
        settings[name] = value
    return settings


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def ask(url, data=None, headers=None, timeout=10):
    """Status and text of one answer; no status while nobody listens."""
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return None, ""


def eventually(condition, patience):
    """What the condition gives once it gives something; nothing when so many seconds have passed in vain."""
    deadline = time.monotonic() + patience
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
