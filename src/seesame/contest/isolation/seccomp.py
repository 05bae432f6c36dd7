"""The system calls that a script in the sandbox is refused (seccomp, as a classic BPF program).

They would give it memory that no limit counts: System V and POSIX queues, kernel rings and keys,
or, with a user namespace of its own, file systems in memory. Decoders need none of them.
"""

import errno
import os
import platform
import struct

# Linux: include/uapi/linux/{bpf_common,filter,seccomp,audit,sched}.h
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
"""Places in ``struct seccomp_data``; of an argument, the low half."""
_NEW_USER = 0x10000000
"""The flag of clone and unshare for a user namespace."""
_X32 = 0x40000000
"""The first number of x86's calls with short pointers."""

_ABSENT = (
    *("shmget", "semget", "msgget", "mq_open", "io_uring_setup", "memfd_secret"),
    *("add_key", "request_key", "keyctl", "bpf", "perf_event_open", "clone3"),
)
"""Calls that answer as a kernel without them does; for clone3 the C library then takes clone."""
_FLAGGED = ("clone", "unshare")
"""Calls that are refused a user namespace."""

# arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h
_NUMBERS = {
    "x86_64": {
        "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "io_uring_setup": 425,
        "memfd_secret": 447, "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321,
        "perf_event_open": 298, "clone3": 435, "clone": 56, "unshare": 272,
    },
    "aarch64": {
        "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180, "io_uring_setup": 425,
        "memfd_secret": 447, "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280,
        "perf_event_open": 241, "clone3": 435, "clone": 220, "unshare": 97,
    },
}  # fmt: skip
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The kernel's names of the machines."""


def has_filter() -> bool:
    """Return whether the system calls of this machine are known."""
    return platform.machine() in _NUMBERS


def filter_program(machine: str) -> bytes:
    """Return the program for a machine that ``platform.machine`` names, as bubblewrap reads it."""
    numbers = _NUMBERS[machine]
    absent, refused = (_ERRNO | code for code in (errno.ENOSYS, errno.EPERM))
    words = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, absent),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        words += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, absent)]
    for name in _ABSENT:
        words += [(_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, absent)]
    for name in _FLAGGED:
        words += [
            (_EQUAL, 0, 4, numbers[name]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_ANY_BIT, 0, 1, _NEW_USER),
            (_RETURN, 0, 0, refused),
            (_RETURN, 0, 0, _ALLOW),
        ]
    words.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *word) for word in words)


def open_filter() -> int:
    """Return a handle from which the program for this machine can be read; the caller closes it."""
    handle = os.memfd_create("seccomp")
    os.write(handle, filter_program(platform.machine()))
    os.lseek(handle, 0, os.SEEK_SET)
    return handle
