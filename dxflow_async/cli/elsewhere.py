"""Commands and options that rclone, s5cmd, azcopy, aws-cli, gsutil, rsync and the shell's own commands have.

People type them from habit. The message for an unknown name says then what does the same here, or how to do without.
"""

from __future__ import annotations

__all__ = ["COMMANDS", "OPTIONS", "OPTIONS_OF"]

_BUCKETS = "buckets are made and removed with their cloud's own tools, such as aws s3 mb"
_COPY = "cp copies in every direction: cp SOURCE... DESTINATION"
_CHECKSUMS = "check PLACE --manifest FILE --write makes a list of checksums"
_LIST = "ls lists a directory, and ls -r everything below it"
_CLASSES = (
    "storage classes of stored objects are changed with their cloud's own tools, such as aws s3api restore-object"
)
_REMOTES = "remotes add names another account or service, and config set changes a setting"
_SIGNED = "presign prints a URL that works for a limited time"
_SIZES = "du adds up sizes"

COMMANDS = {
    "bisync": "sync has one direction; cp --update A/ B/ and then cp --update B/ A/ update both and delete nothing",
    "checksum": _CHECKSUMS,
    "cleanup": "jobs clean removes what interrupted jobs have left",
    "cmp": "check compares two places",
    "configure": _REMOTES,
    "copy": "cp copies",
    "copyto": "cp copies",
    "copyurl": "cp takes a URL as its source",
    "cryptcheck": "nothing is encrypted on this machine; check compares two places",
    "del": "rm deletes",
    "delete": "rm deletes",
    "deletefile": "rm deletes",
    "diff": "check compares two places",
    "dir": _LIST,
    "download": _COPY,
    "find": "ls -r lists everything below a directory, with --include, --newer, --larger and the like",
    "get": _COPY,
    "gs": "leave it out: dxflow-async ls gs://bucket/",
    "gui": "ui opens a page in the browser",
    "hashsum": _CHECKSUMS,
    "head": "cat --end N prints the first N bytes, and stat what is known of an object",
    "info": "stat prints what is known of an object",
    "link": _SIGNED,
    "list": _LIST,
    "listremotes": "remotes list lists them",
    "ll": _LIST,
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
    "pull": _COPY,
    "purge": "rm -r deletes everything below a directory",
    "push": _COPY,
    "put": _COPY,
    "rb": _BUCKETS,
    "rcat": "cp - DESTINATION stores standard input",
    "remove": "rm deletes",
    "rename": "mv moves and renames",
    "restore": _CLASSES,
    "resume": "jobs resume JOB resumes a transfer, and jobs list lists them",
    "rmdir": "rm -r deletes a directory with everything below it",
    "rsync": "sync copies what is new or changed, and cp copies",
    "run": "cp takes several sources and --files-from; a shell runs several commands",
    "s3": "leave it out: dxflow-async ls s3://bucket/",
    "serve": "unit serve serves a directory to other machines, and ui or hub serve a page in the browser",
    "set-properties": _CLASSES,
    "settier": _CLASSES,
    "sha1sum": _CHECKSUMS,
    "sha256sum": _CHECKSUMS,
    "sign": _SIGNED,
    "signurl": _SIGNED,
    "size": _SIZES,
    "status": "jobs list lists transfers that are not finished",
    "storage": "leave it out: dxflow-async ls gs://bucket/",
    "test": "remotes test asks a remote, and config test checks the settings",
    "touch": "cp /dev/null PLACE stores an empty object",
    "tree": _LIST,
    "upload": _COPY,
    "version": "dxflow-async --version prints the version",
}
"""What to do instead of a command, by its name."""

_ENCRYPTED = "nothing is encrypted on this machine; --sse has the service encrypt, and age or gpg encrypt files before"
_ARCHIVE = (
    "directories are copied with everything in them, and times are kept, between disks and units permissions, too; "
    "--symlinks preserve keeps links"
)
_ASKS = "nothing is asked; --dry-run shows what would be done, and --no-overwrite skips what exists"
_CERTIFICATES = "certificates are always verified; the setting ca_bundle names an authority of your own"
_COMPRESS = "nothing is compressed on the way; compress files before"
_DELETE = "sync --delete deletes what only the destination has, at the end"
_EXPIRES = "--expires says how long the URL works, such as 1h or 7d"
_FOLLOWED = "links below a directory are followed anyway; --symlinks skip leaves them out"
_LINKS = "--symlinks skip leaves links out, and --symlinks preserve keeps them"
_LISTS = "--include and --exclude may be given several times, and --files-from takes the names in a file"
_LOGS = "-v logs a line for each item, -vv also what is tried again, and -vvv everything"
_NEWER, _OLDER = "--newer takes an age or a date", "--older takes an age or a date"
_NO_OVERWRITE = "--no-overwrite skips what exists"
_VERSIONS = "the library lists, reads and deletes versions: storage.list(path, versions=True)"

OPTIONS = {
    "-h": "--help explains the command",
    "--acl": "access lists are not written; grant access with a policy of the bucket",
    "--all-versions": _VERSIONS,
    "--archive": _ARCHIVE,
    "--backup-dir": "nothing is kept of what is replaced; --dry-run shows it before, and a bucket can keep versions",
    "--bwlimit": "--bandwidth limits the bytes a second",
    "--cap-mbps": "--bandwidth limits the bytes a second",
    "--checkers": "--concurrency limits the requests in flight",
    "--checksum": "sync --compare checksum compares checksums, as check does",
    "--compress": _COMPRESS,
    "--copy-links": _FOLLOWED,
    "--delete-after": _DELETE,
    "--delete-before": _DELETE,
    "--delete-during": _DELETE,
    "--delete-excluded": "sync --delete never deletes what a condition leaves out; rm -r with --include does",
    "--delete-removed": _DELETE,
    "--dereference": _FOLLOWED,
    "--dryrun": "--dry-run only shows what would be done",
    "--duration": _EXPIRES,
    "--encrypt": _ENCRYPTED,
    "--endpoint-url": "--endpoint names the service",
    "--exact-timestamps": "sync compares size and time, and with --compare checksum the bytes",
    "--exclude-from": _LISTS,
    "--exclude-pattern": "--exclude leaves out names that match a pattern",
    "--exclude-regex": "--exclude takes a regular expression, too: --exclude 're:.*[.]tmp'",
    "--expire": _EXPIRES,
    "--expires-in": _EXPIRES,
    "--fast-list": "long listings are requested in several places at once anyway",
    "--filter": "--include and --exclude take patterns and regular expressions",
    "--filter-from": _LISTS,
    "--follow-symlinks": _FOLLOWED,
    "--human-readable": "--human, or -h, prints sizes for people",
    "--if-size-differ": "sync --compare size copies what differs in size",
    "--if-source-newer": "--update replaces only what is older than its source",
    "--ignore-existing": _NO_OVERWRITE,
    "--include-after": _NEWER,
    "--include-before": _OLDER,
    "--include-from": _LISTS,
    "--include-pattern": "--include takes names that match a pattern",
    "--include-regex": "--include takes a regular expression, too: --include 're:.*[.]csv'",
    "--interactive": _ASKS,
    "--links": "--symlinks preserve keeps symbolic links",
    "--list-of-files": "--files-from takes the names in a file",
    "--log": _LOGS,
    "--log-level": _LOGS,
    "--max-age": _NEWER,
    "--max-delete": "sync --delete deletes nothing after a failed listing or copy; --dry-run shows its deletions",
    "--max-depth": "du --depth N prints the sums down to a depth, and ls without -r lists one directory",
    "--max-size": "--smaller takes objects of less than a size",
    "--metadata": "--meta stores metadata, written name=value",
    "--min-age": _OLDER,
    "--min-size": "--larger takes objects of at least a size",
    "--multi-thread-streams": "large files are sent in parts anyway; --concurrency limits the requests in flight",
    "--no-check-certificate": _CERTIFICATES,
    "--no-clobber": _NO_OVERWRITE,
    "--no-dereference": _LINKS,
    "--no-follow-symlinks": _LINKS,
    "--no-progress": "--progress none shows none",
    "--no-sign-request": "--anonymous sends no credentials",
    "--no-verify-ssl": _CERTIFICATES,
    "--numworkers": "--concurrency limits the requests in flight",
    "--only-show-errors": "--quiet prints nothing but errors",
    "--output": "--json prints JSON lines",
    "--parallel": "--concurrency limits the requests in flight, and --processes N uses several processors",
    "--preserve": _ARCHIVE,
    "--raw": "a backslash before each *, ? and [ makes it part of a name",
    "--regex": "--include and --exclude take regular expressions: --include 're:.*[.]csv'",
    "--region": "the setting aws.region (AWS_REGION) names the region, and region that of another remote",
    "--request-payer": "--requester-pays has the account pay",
    "--retries": "failures that may pass are tried again anyway; the setting max_attempts limits how often",
    "--show-progress": "--progress bar shows a bar",
    "--size-only": "sync --compare size compares sizes",
    "--sse-kms-key-id": "--sse aws:kms:KEY encrypts with a key",
    "--stats": "--progress lines prints a line every 30 seconds",
    "--summarize": "ls --total prints the sums, and du adds up sizes",
    "--summary": "ls --total prints the sums, and du adds up sizes",
    "--transfers": "--concurrency limits the requests in flight",
    "--version-id": _VERSIONS,
    "--versions": _VERSIONS,
}
"""What to do instead of an option, by its name."""

_COPYING = {
    "--delete": _DELETE,
    "--force": "what exists is replaced anyway; --no-overwrite skips it",
    "-L": _FOLLOWED,
    "-P": "--progress bar shows a bar, as a terminal has it anyway; --symlinks skip leaves links out",
    "-a": _ARCHIVE,
    "-c": "--concurrency limits the requests in flight",
    "-d": _LINKS,
    "-f": "what exists is replaced anyway; --no-overwrite skips it",
    "-i": _ASKS,
    "-l": "--symlinks preserve keeps symbolic links",
    "-m": "everything is transferred in parallel anyway",
    "-p": _ARCHIVE,
    "-t": "times are kept anyway",
    "-u": "--update replaces only what is older than its source",
    "-z": _COMPRESS,
}
_ORDER = "lists are in the order of the names; sort the lines of --json"
_HIDDEN = "names that begin with a dot are listed anyway"

OPTIONS_OF = {
    "cat": {
        "-n": "lines are not numbered; pipe them into cat -n",
        "-r": "cat writes objects; ls -r shows what there is",
    },
    "cp": _COPYING,
    "du": {
        "--all": "--depth N prints the sums down to a depth",
        "-a": "--depth N prints the sums down to a depth",
        "-c": "each place has its sum; du of a directory above has that of all",
        "-d": "--depth N prints the sums down to a depth",
        "-s": "one sum is printed for each place anyway",
    },
    "ls": {
        "--all": _HIDDEN,
        "-1": "each entry has a line of its own anyway",
        "-A": _HIDDEN,
        "-S": _ORDER,
        "-a": _HIDDEN,
        "-d": "stat prints what is known of a directory itself",
        "-s": "sizes are listed anyway",
        "-t": _ORDER,
    },
    "mkdir": {
        "--parents": "the directories above it are made anyway",
        "-p": "the directories above it are made anyway",
    },
    "mv": _COPYING,
    "rm": {
        "--interactive": "--dry-run shows what would be deleted; at a terminal, rm asks before more than 1,000 objects",
        "-i": "--dry-run shows what would be deleted; at a terminal, rm asks before more than 1,000 objects",
    },
    "stat": {"-c": "--json prints the fields in JSON", "-f": "--json prints the fields in JSON"},
    "sync": {
        "--force": "nothing is asked",
        **{name: advice for name, advice in _COPYING.items() if name not in ("--delete", "--force", "-c", "-f", "-u")},
        "--recursive": "everything below the directory is synced anyway",
        "-R": "everything below the directory is synced anyway",
        "-c": "--compare checksum compares checksums",
        "-d": _DELETE,
        "-r": "everything below the directory is synced anyway",
        "-u": "cp --update copies only what is newer; sync copies what differs",
    },
    "tail": {
        "-1": "-n {number} prints so many lines",
        "-c": "cat --start N prints what follows byte N",
        "-F": "--follow goes on when a file is replaced, too",
    },
}
"""What to do instead of an option of one command. These come before those of all commands."""
