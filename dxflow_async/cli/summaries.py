"""The first lines of the help, and the examples at its end."""

from __future__ import annotations

__all__ = ["EXAMPLES", "HEADLINE", "SUMMARIES", "examples_of"]

HEADLINE = (
    "Move files between this machine, cloud storage, servers and compute units. A place is written aws:/bucket/key or "
    "s3://bucket/key, with the name of any remote, unit:/NAME/path, https://host/path, sftp://host/path, or ./path."
)

SUMMARIES = {
    "cp": "Copy files and directories between any two places.",
    "mv": "Move files and directories between any two places.",
    "sync": "Sync a directory: copy what is new or changed.",
    "check": "Compare two directories, and print what differs, is missing or is extra.",
    "ls": "List directories and objects.",
    "du": "Add up the sizes of everything below directories.",
    "stat": "Print what is known of objects and directories.",
    "cat": "Write the bytes of objects to standard output.",
    "tail": "Print the last lines of an object, and follow it as it grows.",
    "rm": "Delete objects. An object that does not exist is an error; the others are deleted all the same.",
    "mkdir": "Make directories, where directories are real.",
    "presign": "Print a URL that downloads an object without an account, for a limited time.",
    "jobs": "List and resume running, interrupted and partly failed transfers, and clean up after them.",
    "login": "Sign in to a hub, and store the login.",
    "logout": "Delete the stored login.",
    "whoami": "Print the account that commands use.",
    "units": "List, start, stop and register the account's compute units.",
    "providers": "The settings of providers that the account's hub keeps.",
    "remotes": "Named places to keep bytes: list, add, test and remove them.",
    "config": "Show the settings and where each is from, and change them.",
    "hub": "Run a hub of your own, and manage its accounts.",
    "unit": "Serve a directory as a compute unit's storage.",
    "demo": "Upload, list, download and compare a tree of unusual files.",
    "completion": "Print the completion script of a shell.",
}
"""The commands in the order of the help."""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "cp": (
        "cp results/ aws:/bucket/run-1/",
        "cp a.csv b.csv aws:/bucket/tables/",
        "cp 'aws:/bucket/tables/*.csv' ./tables/ --exclude 'a*'",
    ),
    "mv": ("mv aws:/bucket/tables/a.csv aws:/bucket/old/a.csv", "mv results/ aws:/bucket/moved/"),
    "sync": (
        "sync results/ aws:/bucket/results/ --dry-run",
        "sync aws:/bucket/results/ ./results-copy --delete --exclude '*.tmp'",
    ),
    "check": (
        "check results/ aws:/bucket/results/",
        "check results/ aws:/bucket/results/ --compare checksum --json",
    ),
    "ls": ("ls aws:/bucket/", "ls -r -h --total aws:/bucket/run-1/", "ls ."),
    "du": ("du -h aws:/bucket/", "du --depth 1 aws:/bucket/ ./results"),
    "stat": ("stat aws:/bucket/run-1/a.csv", "stat --json results/a.csv"),
    "cat": ("cat aws:/bucket/run-1/a.csv", "cat --start 0 --end 4 aws:/bucket/run-1/a.csv"),
    "tail": ("tail -n 1 aws:/bucket/run-1/a.csv", "tail --follow unit:/Demo/results/log.txt"),
    "rm": ("rm aws:/bucket/run-1/a.csv", "rm -r --dry-run aws:/bucket/run-1/", "rm -r -f aws:/bucket/run-1/"),
    "mkdir": ("mkdir ./new/directory", "mkdir unit:/Demo/results"),
    "presign": ("presign aws:/bucket/a.csv --expires 7d", "presign aws:/bucket/new.csv --method PUT"),
    "jobs": ("jobs list", "jobs resume JOB", "jobs clean"),
    "login": ("login you@example.com --hub https://hub.example.com",),
    "logout": ("logout",),
    "whoami": ("whoami",),
    "units": ("units list", "units status Demo"),
    "providers": ("providers list",),
    "remotes": (
        "remotes list",
        "remotes add minio --type s3 --endpoint https://minio.example.org --access-key ME",
        "remotes test minio",
    ),
    "config": ("config show", "config path", "config set part_size 16MiB"),
    "hub": ("hub serve --port 8787",),
    "unit": ("unit serve ./directory",),
    "demo": ("demo --files 30",),
    "completion": ("completion bash",),
}
"""Examples of each command, without the name of the program. The first ones run in the tests as they stand."""


def examples_of(command: str) -> str:
    """Formats the examples of a command, for its help."""
    return "\n\n".join(["For example:", *(f"dxflow-async {each}" for each in EXAMPLES[command])])
