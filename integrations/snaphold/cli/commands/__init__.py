"""One file per command. Each has `add_arguments(parser)` and `run(arguments, writer) -> exit code`.

The table stands here so that `snaphold --help` imports none of them; a test keeps it equal to the files.
"""

COMMANDS: dict[str, str] = {
    "actions": "List the actions, or show one with its inputs and outputs",
    "approvals": "List approval requests; approve or deny one",
    "audit": "Verify or export the audit trail",
    "completion": "Print the completion script for bash, zsh or fish",
    "config": "Check snaphold.yaml, print a sample or the JSON Schema",
    "db": "Show or upgrade the schema of the ledger's database",
    "demo": "Show one incident from trigger to sealed evidence on throw-away data",
    "do": "Run one action by hand",
    "doctor": "Test every integration, pool and key; show who answers for each",
    "evidence": "Verify an evidence package, or compare two inventories",
    "failover-drill": "Kill workers on a throw-away database; show that nothing is lost or starts twice",
    "key": "Make a signing key and the trust folder for verifiers",
    "playbook": "Check or show a playbook",
    "report": "Measures of a period for those who decide: times, success, SLA, storage, holds",
    "run": "Run a playbook for an incident",
    "runs": "List, show, cancel or resume runs",
    "serve": "Serve every action over HTTP, for SOARs and other programs",
    "simulate": "Start a stand-in for a vendor system to practise on",
    "token": "Make, list or revoke API tokens of the service",
    "worker": "Drive runs from PostgreSQL beside workers on other machines",
}


def module_of(command: str) -> str:
    """Return the name of a command's module here."""
    return command.replace("-", "_")
