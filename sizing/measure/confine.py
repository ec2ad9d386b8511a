"""What the measuring process gives up, in steps that cannot be taken back; used in that process only.

Limits of the kernel (memory, CPU time, files), no new rights, death with its parent, and from `shut` on a filter of system
calls: no file is opened, no process started, no socket made, no other process touched. Where the kernel has no filter
(another system, another processor) the limits alone stand, and the result says so.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct

NICENESS = 10
"""Added to the niceness of the process [1]: the pages of the dashboard go first."""
MOST_FILES = 64
"""Files open at once while libraries load [count]."""

_DENIED: dict[str, dict[str, int]] = {
    "x86_64": {
        "open": 2, "openat": 257, "openat2": 437, "creat": 85, "socket": 41, "socketpair": 53, "connect": 42,
        "bind": 49, "sendto": 44, "sendmsg": 46, "execve": 59, "execveat": 322, "fork": 57, "vfork": 58, "clone": 56,
        "clone3": 435, "ptrace": 101, "kill": 62, "tkill": 200, "tgkill": 234, "unlink": 87, "unlinkat": 263,
        "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266,
        "mkdir": 83, "mkdirat": 258, "rmdir": 84, "truncate": 76, "chmod": 90, "fchmodat": 268, "chown": 92,
        "mount": 165, "process_vm_readv": 310, "process_vm_writev": 311, "io_uring_setup": 425, "pidfd_open": 434,
        "pidfd_send_signal": 424, "pidfd_getfd": 438, "prlimit64": 302, "bpf": 321, "setns": 308, "unshare": 272,
        "memfd_create": 319, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "userfaultfd": 323,
        "perf_event_open": 298, "keyctl": 250, "shmget": 29, "shmat": 30, "msgget": 68, "semget": 64,
    },
    "aarch64": {
        "openat": 56, "openat2": 437, "socket": 198, "socketpair": 199, "connect": 203, "bind": 200, "sendto": 206,
        "sendmsg": 211, "execve": 221, "execveat": 281, "clone": 220, "clone3": 435, "ptrace": 117, "kill": 129,
        "tkill": 130, "tgkill": 131, "unlinkat": 35, "renameat": 38, "renameat2": 276, "linkat": 37, "symlinkat": 36,
        "mkdirat": 34, "truncate": 45, "fchmodat": 53, "mount": 40, "process_vm_readv": 270, "process_vm_writev": 271,
        "io_uring_setup": 425, "pidfd_open": 434, "pidfd_send_signal": 424, "pidfd_getfd": 438, "prlimit64": 261,
        "bpf": 280, "setns": 268, "unshare": 97, "memfd_create": 279, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240,
        "userfaultfd": 282, "perf_event_open": 241, "keyctl": 219, "shmget": 194, "shmat": 196, "msgget": 186,
        "semget": 190,
    },
}  # fmt: skip
"""System calls refused from `shut` on, by processor. Source: asm/unistd_64.h and asm-generic/unistd.h of Linux 6.1."""
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The processor as a filter sees it. Source: linux/audit.h."""
_X32_BIT = 0x40000000  # calls of the x32 interface have other numbers: all of them are refused

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF: LD|W|ABS, JMP|JEQ|K, JMP|JGE|K, RET|K
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050001  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO | EPERM
_NUMBER_AT, _ARCH_AT = 0, 4  # offsets in struct seccomp_data [bytes]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def begin(*, parent: int, cpu_s: int, file_bytes: int) -> None:
    """First step, before any library: die with the parent process, no new rights, lower priority, limits of CPU time [s] and
    of a file written [bytes], no core dump. `parent` is the process id of the starter; if it is gone already, so is this. The
    kernel means the thread that started it, which therefore has to wait for its end."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.nice(NICENESS)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu_s)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, MOST_FILES)


def shut(*, mapped_bytes: int, extra_bytes: int) -> bool:
    """Last step, before anything of the model is read: address space ends at what is mapped now + `extra_bytes` [bytes], no
    new thread or process, and the filter of system calls. Whether the kernel took the filter.

    The address space bounds an allocation at once; resident memory below it is watched by the parent."""
    _limit(resource.RLIMIT_AS, mapped_bytes + extra_bytes)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    return _filter()


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _filter() -> bool:
    machine = platform.machine()
    if machine not in _DENIED or os.uname().sysname != "Linux":
        return False
    program = _instructions(machine)
    buffer = ctypes.create_string_buffer(program, len(program))
    record = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(record), 0, 0) == 0


def _instructions(machine: str) -> bytes:
    """The filter in the kernel's form: another processor's calls and the denied numbers end at the last instruction."""
    numbers = sorted(_DENIED[machine].values())
    tests = [(_EQUAL, number) for number in numbers]
    refuse = 4 + len(tests) + 1  # after: load, processor, load, x32, the numbers, allow
    steps = [(_LOAD, 0, 0, _ARCH_AT)]
    steps.append((_EQUAL, 0, refuse - len(steps) - 1, _AUDIT_ARCH[machine]))
    steps.append((_LOAD, 0, 0, _NUMBER_AT))
    for code, value in ((_AT_LEAST, _X32_BIT), *tests):
        steps.append((code, refuse - len(steps) - 1, 0, value))
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
