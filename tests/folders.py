"""Folders with a Debian in them, in which commands run as on a machine of their own. Needs root, and Linux."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cannot_be_tried():
    """Why nothing of this works here; empty when it does."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux may do it"
    tried = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "true"], capture_output=True, text=True)
    return tried.stderr.strip()


def on_its_own(*command, network=True, **options):
    """Runs a command so that its mounts and all processes it leaves end with it, however it ends; with `network=False` it
    has a network of its own, too, where every port is free and nobody outside is reached."""
    # Even a process that is killed takes them along.
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return subprocess.run([*alone, *([] if network else ["--net"]), *command], **options)


def make_debian(release, folder, packages=()):
    """Whether the folder is there now, with no more in it than these packages and what they need."""
    told = subprocess.run([ROOT / "tests" / "debian", release, folder, *packages]).returncode
    if told not in (0, 3):
        sys.exit(f"tests/debian ended with {told}")
    return told == 0


def mount(what, at, *options):
    if not Path(at).exists():
        Path(at).mkdir(parents=True)
    subprocess.run(["mount", *options, str(what), str(at)], check=True)


def unmount(at):
    subprocess.run(["umount", "--recursive", str(at)], check=True)


def mount_layers(layers, at, changes=None):
    """Shows folders as one, the last ones above the first; what changes goes into `changes`, without which nothing can."""
    options = f"lowerdir={':'.join(str(layer) for layer in reversed(layers))}"
    if changes:
        # Where the file system keeps what it is about to rename.
        work = changes.with_name(changes.name + ".work")
        for folder in (changes, work):
            folder.mkdir(parents=True, exist_ok=True)
        options += f",upperdir={changes},workdir={work}"
    mount("overlay", at, "-t", "overlay", "-o", options)


def mount_system(at, devices=("null", "zero", "urandom", "random", "tty")):
    """What every process finds beside its files: /proc, a few devices, /tmp."""
    mount("proc", at / "proc", "-t", "proc")
    mount("tmpfs", at / "tmp", "-t", "tmpfs", "-o", "mode=1777")
    mount("tmpfs", at / "dev", "-t", "tmpfs", "-o", "mode=755")
    for name in devices:
        (at / "dev" / name).touch()
        mount(f"/dev/{name}", at / "dev" / name, "--bind")
    (at / "dev" / "fd").symlink_to("/proc/self/fd")
