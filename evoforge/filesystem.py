"""What kind of file system a folder lies on."""

from pathlib import Path

# Where SQLite's shared-memory log is not safe.
NETWORK = ("nfs", "cifs", "smb", "lustre", "gpfs", "fuse.sshfs", "ceph", "beegfs", "9p")


def on_network(folder: Path) -> bool:
    """Whether a folder lies on a network file system, as far as Linux tells."""
    mounts = Path("/proc/mounts")
    if not mounts.is_file():
        return False
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        point, name = line.split()[1:3]
        if folder.resolve().is_relative_to(point) and len(point) > len(best):
            best, kind = point, name
    return kind.startswith(NETWORK)
