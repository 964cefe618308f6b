"""Runs a program whose wall clock can be set: clock.py SETTING PROGRAM [ARGUMENT …]

SETTING is a file of two signed little-endian numbers of eight bytes, which may be written at any time: the nanoseconds to add to
CLOCK_REALTIME, and, if it is not 0, the instant in nanoseconds since 1970 at which it stands still instead. Clocks that only go on (CLOCK_MONOTONIC) stay as they are, as they do when somebody sets the clock of a machine.

A Go program reads the clock through the vDSO, without the system, so neither LD_PRELOAD nor a filter of system calls gets
between. At the program's start, therefore, the entry of the auxiliary vector that says where the vDSO is is struck out, and the
program falls back to system calls; of these a seccomp filter hands on the ones that ask for CLOCK_REALTIME. They are answered by
a process beside the program, its child, which ends with it. The program keeps the process id of this script.
"""

import ctypes
import fcntl
import mmap
import os
import platform
import select
import signal
import struct
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
LIBC.ptrace.restype = ctypes.c_long
LIBC.ptrace.argtypes = [ctypes.c_long] * 4

# Per architecture: its number for audits, and those of the calls seccomp and clock_gettime.
ARCHITECTURES = {"x86_64": (0xC000003E, 317, 228), "aarch64": (0xC00000B7, 277, 113)}
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438

PR_SET_NO_NEW_PRIVS, PR_SET_PTRACER = 38, 0x59616D61
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER = 1, 8
# Since Linux 5.19: who waits for an answer is interrupted by nothing but its end. Go interrupts its threads all the time.
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32
SECCOMP_RET_USER_NOTIF, SECCOMP_RET_ALLOW = 0x7FC00000, 0x7FFF0000
# Received: id, pid, flags, call, architecture, place, six arguments. Sent: id, value, error, flags.
NOTIFICATION, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101

PTRACE_CONT, PTRACE_DETACH, PTRACE_SEIZE = 7, 17, 0x4206
PTRACE_O_TRACEEXEC, PTRACE_EVENT_EXEC = 0x10, 4
WALL = 0x40000000
AT_NULL, AT_IGNORE, AT_SYSINFO_EHDR = 0, 1, 33

CLOCK_REALTIME = 0


def checked(result, what):
    if result < 0:
        sys.exit(f"clock.py: {what}: {os.strerror(ctypes.get_errno())}")
    return result


def filter_clock():
    """Every later call of this process for the wall clock waits for an answer on the descriptor that is returned."""
    audit, seccomp, clock_gettime = ARCHITECTURES[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    program = [
        (load, 0, 0, 4), (equal, 0, 5, audit),
        (load, 0, 0, 0), (equal, 0, 3, clock_gettime),
        (load, 0, 0, 16), (equal, 0, 1, CLOCK_REALTIME),
        (give, 0, 0, SECCOMP_RET_USER_NOTIF),
        (give, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    checked(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER
    listener = LIBC.syscall(
        seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, header
    )
    if listener < 0:
        listener = LIBC.syscall(seccomp, SECCOMP_SET_MODE_FILTER, flags, header)
    return checked(listener, "the filter")


def hide_vdso(pid):
    """Strikes the vDSO out of the auxiliary vector of a process that stands before its first instruction."""
    with open(f"/proc/{pid}/syscall") as told:
        stack = int(told.read().split()[-2], 16)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:

        def word(at):
            return struct.unpack("=Q", os.pread(memory.fileno(), 8, at))[0]

        at = stack + 8 * (word(stack) + 2)  # behind argc, the arguments and their end
        while word(at):
            at += 8
        at += 8  # behind the environment
        while word(at) not in (AT_NULL, AT_SYSINFO_EHDR):
            at += 16
        if word(at) == AT_SYSINFO_EHDR:
            os.pwrite(memory.fileno(), struct.pack("=Q", AT_IGNORE), at)


def answer(listener, pid, setting):
    """Answers until the program ends."""
    try:
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    except ProcessLookupError:
        return  # it was a short one
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while True:
        if poll.poll()[0][1] & select.POLLHUP:
            return
        asked = bytearray(NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, asked)
        except (FileNotFoundError, InterruptedError):
            continue  # who asked has been interrupted meanwhile
        number, *_, place = NOTIFICATION.unpack(asked)[:8]
        offset, instant = struct.unpack("<qq", setting[:16])
        now = instant or time.time_ns() + offset
        try:
            os.pwrite(memory, struct.pack("=qq", *divmod(now, 1_000_000_000)), place)
            fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, bytearray(ANSWER.pack(number, 0, 0, 0)))
        except OSError:
            continue


def supervise(pid, ready, go, setting):
    """The process beside the program."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    there = int(os.read(ready, 16))
    listener = checked(
        LIBC.syscall(SYS_PIDFD_GETFD, checked(LIBC.syscall(SYS_PIDFD_OPEN, pid, 0), "its pidfd"), there, 0),
        "its descriptor",
    )
    checked(LIBC.ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXEC), "ptrace")
    os.write(go, b"go")
    while True:
        _, status = os.waitpid(pid, WALL)
        if not os.WIFSTOPPED(status):
            sys.exit("clock.py: the program did not start")
        if status >> 8 == signal.SIGTRAP | PTRACE_EVENT_EXEC << 8:
            break
        checked(LIBC.ptrace(PTRACE_CONT, pid, 0, os.WSTOPSIG(status)), "going on")
    hide_vdso(pid)
    checked(LIBC.ptrace(PTRACE_DETACH, pid, 0, 0), "letting go")
    answer(listener, pid, setting)


def main():
    with open(sys.argv[1], "r+b") as file:
        setting = mmap.mmap(file.fileno(), 16)
    ready, tell_ready = os.pipe()
    go, tell_go = os.pipe()
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(tell_ready)
        os.close(go)
        os.setsid()
        supervise(pid, ready, tell_go, setting)
        os._exit(0)
    os.close(tell_go)
    LIBC.prctl(PR_SET_PTRACER, child, 0, 0, 0)
    os.write(tell_ready, str(filter_clock()).encode())
    os.close(tell_ready)
    if os.read(go, 2) != b"go":
        sys.exit("clock.py: nobody answers for the clock")
    os.execvp(sys.argv[2], sys.argv[2:])


main()
