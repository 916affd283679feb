"""What `docs/compared.md` says that is not here, as commands that people of other tools would try."""

from __future__ import annotations

__all__ = ["REFUSED"]

REFUSED: dict[str, list[tuple[str, int, str]]] = {
    "other services (Drive, Dropbox, WebDAV and some 60 more)": [
        ("ls webdav:/x", 2, "known are aws:"),
        ("remotes add drive --type drive", 2, "local, s3 or sftp"),
    ],
    "storage class of what is stored; archived objects restored": [
        ("cp aws:/{bucket}/a aws:/{bucket}/a --storage-class STANDARD_IA", 1, "the destination is the source"),
        ("restore aws:/{bucket}/a", 2, "own tools"),
        ("set-properties aws:/{bucket}/a", 2, "own tools"),
    ],
    "access lists (ACLs)": [("cp file aws:/{bucket}/b --acl public-read", 2, "a policy of the bucket")],
    "object versions listed, read and deleted": [
        ("ls aws:/{bucket}/ --versions", 2, "versions=True"),
        ("cat aws:/{bucket}/a --version-id 1", 2, "versions=True"),
        ("rm aws:/{bucket}/a --all-versions", 2, "versions=True"),
    ],
    "a copy kept of what sync replaces; a cap on deletions": [
        ("sync . aws:/{bucket}/x/ --backup-dir aws:/{bucket}/y/", 2, "--dry-run"),
        ("sync . aws:/{bucket}/x/ --delete --max-delete 10", 2, "--dry-run"),
    ],
    "sync in both directions": [("bisync . aws:/{bucket}/x/", 2, "cp --update")],
    "unfinished uploads of earlier runs removed": [("cleanup aws:/{bucket}/", 2, "jobs clean")],
    "many commands from one file": [("run commands.txt", 2, "--files-from")],
    "make and remove buckets": [
        ("mb s3://new-bucket", 2, "aws s3 mb"),
        ("mkdir aws:/new-bucket", 1, "aws s3 mb"),
        ("make https://account.blob.core.windows.net/box", 2, "own tools"),
        ("rb s3://{bucket}", 2, "own tools"),
    ],
    "mount as a file system; serve over WebDAV and the like": [
        ("mount aws:/{bucket}/ /mnt", 2, "fsspec"),
        ("serve webdav aws:/{bucket}/", 2, "unit serve"),
    ],
    "encryption on this machine": [
        ("cp file aws:/{bucket}/b --encrypt", 2, "--sse"),
        ("remotes add secret --type crypt", 2, "local, s3 or sftp"),
    ],
}
"""By the rows of the table: command lines, their exit status, and a part of the message."""
