"""The journal: what a call has finished, kept on disk so that it can be resumed."""
