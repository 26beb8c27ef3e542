"""Evidence: hashing, package, custody, signature, time stamp, verification, comparison."""
