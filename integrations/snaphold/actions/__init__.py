"""What playbooks call: one file per subject, one function per action."""
