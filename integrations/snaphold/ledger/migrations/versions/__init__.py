"""One script for each revision; a script is never changed once it was released."""
