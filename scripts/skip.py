"""What a check says, and ends with, where a program or module that it asks is not there."""

import os

SKIPPED = 77


def required():
    """Whether MACLIP_REQUIRE turns skipped checks into failures."""
    return os.environ.get("MACLIP_REQUIRE", "") not in ("", "0")


def skip(missing, get):
    """Says what is missing and how to get it. The exit status: 77, and 1 where no check may be skipped."""
    if required():
        print(f"FAILED: {missing}; {get}. MACLIP_REQUIRE is set, and turns this into a failure")
        return 1
    print(f"skipped: {missing}; {get}")
    return SKIPPED
