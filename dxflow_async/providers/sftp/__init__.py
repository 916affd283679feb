"""Files at an SSH server as a provider, over SFTP."""
