"""Commands and options that rclone, s5cmd, azcopy and aws-cli have, and what does the same here.

People type them from habit. The message for an unknown name says then what to write, or how to do without.
"""

from __future__ import annotations

__all__ = ["COMMANDS", "OPTIONS"]

_BUCKETS = "buckets are made and removed with their cloud's own tools, such as aws s3 mb"
_CHECKSUMS = "check PLACE --manifest FILE --write makes a list of checksums"
_LIST = "ls lists a directory, and ls -r everything below it"
_CLASSES = (
    "storage classes of stored objects are changed with their cloud's own tools, such as aws s3api restore-object"
)
_REMOTES = "remotes add names another account or service, and config set changes a setting"
_SIZES = "du adds up sizes"

COMMANDS = {
    "bisync": "sync has one direction; cp --update A/ B/ and then cp --update B/ A/ update both and delete nothing",
    "cleanup": "jobs clean removes what interrupted jobs have left",
    "configure": _REMOTES,
    "copy": "cp copies",
    "copyto": "cp copies",
    "copyurl": "cp takes a URL as its source",
    "cryptcheck": "nothing is encrypted on this machine; check compares two places",
    "delete": "rm deletes",
    "deletefile": "rm deletes",
    "hashsum": _CHECKSUMS,
    "head": "cat --end N prints the first N bytes, and stat what is known of an object",
    "list": _LIST,
    "lsd": _LIST,
    "lsf": _LIST,
    "lsjson": "ls --json lists in JSON",
    "lsl": _LIST,
    "make": _BUCKETS,
    "mb": _BUCKETS,
    "md5sum": _CHECKSUMS,
    "mount": "the file system of dxflow_async.doors.fsspec opens files in place, and ui shows them in a browser",
    "move": "mv moves",
    "moveto": "mv moves",
    "ncdu": _SIZES,
    "pipe": "cp - DESTINATION stores standard input",
    "purge": "rm -r deletes everything below a directory",
    "rb": _BUCKETS,
    "rcat": "cp - DESTINATION stores standard input",
    "remove": "rm deletes",
    "restore": _CLASSES,
    "rmdir": "rm -r deletes a directory with everything below it",
    "run": "cp takes several sources and --files-from; a shell runs several commands",
    "serve": "unit serve serves a directory to other machines, and ui or hub serve a page in the browser",
    "set-properties": _CLASSES,
    "settier": _CLASSES,
    "sha1sum": _CHECKSUMS,
    "sha256sum": _CHECKSUMS,
    "size": _SIZES,
    "tree": _LIST,
}
"""What to do instead of a command, by its name."""

_ENCRYPTED = "nothing is encrypted on this machine; --sse has the service encrypt, and age or gpg encrypt files before"
_NEWER, _OLDER = "--newer takes an age or a date", "--older takes an age or a date"
_NO_OVERWRITE = "--no-overwrite skips what exists"
_VERSIONS = "the library lists, reads and deletes versions: storage.list(path, versions=True)"

OPTIONS = {
    "--acl": "access lists are not written; grant access with a policy of the bucket",
    "--all-versions": _VERSIONS,
    "--backup-dir": "nothing is kept of what is replaced; --dry-run shows it before, and a bucket can keep versions",
    "--bwlimit": "--bandwidth limits the bytes a second",
    "--cap-mbps": "--bandwidth limits the bytes a second",
    "--checkers": "--concurrency limits the requests in flight",
    "--checksum": "sync --compare checksum compares checksums, as check does",
    "--dryrun": "--dry-run only shows what would be done",
    "--encrypt": _ENCRYPTED,
    "--endpoint-url": "--endpoint names the service",
    "--exclude-pattern": "--exclude leaves out names that match a pattern",
    "--exclude-regex": "--exclude takes a regular expression, too: --exclude 're:.*[.]tmp'",
    "--filter": "--include and --exclude take patterns and regular expressions",
    "--ignore-existing": _NO_OVERWRITE,
    "--include-after": _NEWER,
    "--include-before": _OLDER,
    "--include-pattern": "--include takes names that match a pattern",
    "--include-regex": "--include takes a regular expression, too: --include 're:.*[.]csv'",
    "--list-of-files": "--files-from takes the names in a file",
    "--max-age": _NEWER,
    "--max-delete": "sync --delete deletes nothing after a failed listing or copy; --dry-run shows its deletions",
    "--max-size": "--smaller takes objects of less than a size",
    "--metadata": "--meta stores metadata, written name=value",
    "--min-age": _OLDER,
    "--min-size": "--larger takes objects of at least a size",
    "--no-clobber": _NO_OVERWRITE,
    "--no-sign-request": "--anonymous sends unsigned requests",
    "--numworkers": "--concurrency limits the requests in flight",
    "--regex": "--include and --exclude take regular expressions: --include 're:.*[.]csv'",
    "--request-payer": "the setting aws.requester_pays = true (DXFLOW_AWS_REQUESTER_PAYS) has the account pay",
    "--size-only": "sync --compare size compares sizes",
    "--transfers": "--concurrency limits the requests in flight",
    "--version-id": _VERSIONS,
    "--versions": _VERSIONS,
}
"""What to do instead of an option, by its name."""
