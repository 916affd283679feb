"""The first lines of the help, and the examples at its end."""

from __future__ import annotations

__all__ = ["EXAMPLES", "HEADLINE", "SUMMARIES"]

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
    "wait": "Wait until an object, or all of a directory, has not changed for a time.",
    "cat": "Write the bytes of objects to standard output.",
    "tail": "Print the last lines of an object, and follow it as it grows.",
    "rm": "Delete objects. An object that does not exist is an error; the others are deleted all the same.",
    "mkdir": "Make directories, where directories are real.",
    "presign": "Print a URL that downloads an object without an account, for a limited time.",
    "jobs": "List and resume running, interrupted and partly failed transfers, and clean up after them.",
    "login": "Sign in to a hub, and store the login.",
    "logout": "Delete the stored login.",
    "whoami": "Print the account that commands use.",
    "units": "List, start, stop and register compute units, and add engines as units.",
    "providers": "The settings of providers that the account's hub keeps.",
    "remotes": "Named places to keep bytes: list, add, test and remove them.",
    "config": "Show the settings and where each is from, and change them.",
    "ui": "Open a page that shows this machine, its remotes and the account's units.",
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
    "mv": ("mv aws:/bucket/tables/a.csv aws:/bucket/old/a.csv", "mv results/ aws:/bucket/moved/ --report report.html"),
    "sync": (
        "sync results/ aws:/bucket/results/ --dry-run",
        "sync aws:/bucket/results/ ./results-copy --delete --exclude '*.tmp'",
        "sync results/ aws:/bucket/results/ --watch",
    ),
    "check": (
        "check results/ aws:/bucket/results/",
        "check results/ aws:/bucket/results/ --compare size+mtime --json",
        "check aws:/bucket/results/ --manifest SHA256SUMS",
    ),
    "ls": ("ls aws:/bucket/", "ls -r -h --total aws:/bucket/run-1/", "ls ."),
    "du": ("du -h aws:/bucket/", "du --depth 1 aws:/bucket/ ./results"),
    "wait": (
        "wait unit:/Demo/results/ --stable 30s --timeout 1h",
        "wait lab:/run-1/done.csv && dxflow-async cp lab:/run-1/ ./run-1/",
    ),
    "stat": ("stat aws:/bucket/run-1/a.csv", "stat --json results/a.csv"),
    "cat": ("cat aws:/bucket/run-1/a.csv", "cat --start 0 --end 4 aws:/bucket/run-1/a.csv"),
    "tail": ("tail -n 1 aws:/bucket/run-1/a.csv", "tail --follow unit:/Demo/results/log.txt"),
    "rm": ("rm aws:/bucket/run-1/a.csv", "rm -r --dry-run aws:/bucket/run-1/", "rm -r -f aws:/bucket/run-1/"),
    "mkdir": ("mkdir ./new/directory", "mkdir unit:/Demo/results"),
    "presign": ("presign aws:/bucket/a.csv --expires 7d", "presign aws:/bucket/new.csv --method PUT"),
    "jobs": ("jobs list", "jobs resume JOB", "jobs clean"),
    "jobs list": ("jobs list", "jobs list --json"),
    "jobs show": ("jobs show JOB", "jobs show JOB --json"),
    "jobs resume": ("jobs resume JOB", "jobs resume JOB --json --quiet"),
    "jobs clean": ("jobs clean", "jobs clean --yes", "jobs clean JOB --yes"),
    "login": ("login you@example.com --hub https://hub.example.com", "login you@example.com < password.txt"),
    "logout": ("logout", "logout --json"),
    "whoami": ("whoami", "whoami --json"),
    "units": ("units list", "units status Demo"),
    "units list": ("units list", "units list --json"),
    "units status": ("units status", "units status Demo --json"),
    "units start": ("units start Demo", "units start Demo --ip 10.0.0.7"),
    "units stop": ("units stop Demo", "units stop Demo --ip 10.0.0.7"),
    "units troubleshoot": ("units troubleshoot Demo", "units troubleshoot Demo --ip 10.0.0.7"),
    "units terminate": ("units terminate Demo", "units terminate Demo --ip 10.0.0.7"),
    "units register": (
        "units register Mine https://host:8790 --secrets unit-secrets.json",
        "units register Mine https://host:8790 --secrets unit-secrets.json --cpu 8",
    ),
    "units add": (
        "units add lab --engine https://lab.example.org --key lab.pem",
        "units add lab --profile default --replace",
    ),
    "units remove": ("units remove lab", "units remove lab --json"),
    "providers": ("providers list", "providers keep AWS"),
    "providers list": ("providers list", "providers list --json"),
    "providers keep": ("providers keep AWS", "providers keep AZURE"),
    "providers forget": ("providers forget AWS", "providers forget AZURE"),
    "remotes": (
        "remotes list",
        "remotes add minio --type s3 --endpoint https://minio.example.org --access-key ME",
        "remotes test minio",
    ),
    "remotes list": ("remotes list", "remotes list --json"),
    "remotes add": (
        "remotes add minio --type s3 --endpoint https://minio.example.org --access-key ME",
        "remotes add nas --type local --root /mnt/nas",
    ),
    "remotes test": ("remotes test aws", "remotes test minio /bucket/"),
    "remotes remove": ("remotes remove minio", "remotes remove minio --json"),
    "config": ("config show", "config path", "config set part_size 16MiB"),
    "config show": ("config show", "config show --json"),
    "config path": ("config path", "config path --json"),
    "config set": ("config set part_size 16MiB", "config set max_bandwidth 50MiB"),
    "config unset": ("config unset part_size", "config unset max_bandwidth"),
    "config test": ("config test", "config test aws:/bucket/", "config test ./results --json"),
    "ui": ("ui", "ui --port 8788 --no-browser"),
    "hub": ("hub serve --port 8787", "hub user list"),
    "hub serve": ("hub serve --port 8787", "hub serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem"),
    "hub user": ("hub user list", "hub user add you@example.com"),
    "hub user add": ("hub user add you@example.com", "hub user add you@example.com --data ./hub"),
    "hub user password": ("hub user password you@example.com", "hub user password you@example.com --data ./hub"),
    "hub user disable": ("hub user disable you@example.com", "hub user disable you@example.com --data ./hub"),
    "hub user enable": ("hub user enable you@example.com", "hub user enable you@example.com --data ./hub"),
    "hub user list": ("hub user list", "hub user list --json"),
    "unit": ("unit serve --root ./directory", "unit serve --root ./directory --port 0"),
    "unit serve": ("unit serve --root ./directory", "unit serve --root ./directory --port 0"),
    "demo": ("demo --files 30", "demo --files 30 --bucket project"),
    "completion": ("completion bash", "completion zsh > _dxflow-async"),
}
"""Examples of each command, without the name of the program."""
