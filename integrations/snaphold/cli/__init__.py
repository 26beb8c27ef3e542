"""The command line: parser, output, one file per command under commands/."""
