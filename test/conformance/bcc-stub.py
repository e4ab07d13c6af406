"""Runs one of BCC's tools with a stand-in for its module: what the tool hands to BPF() and how it attaches is printed as JSON; nothing is compiled.

python3 bcc-stub.py PYTHON_PACKAGES BTF TOOL [ARGUMENT...]

PYTHON_PACKAGES holds Debian's bcc package, of which the parts in plain Python are used. BTF answers kernel_struct_has_field.
Options for the stand-in come by the environment: BCC_STUB_KFUNC=1 says that the kernel has fentry; BCC_STUB_KALLSYMS and BCC_STUB_EVENTS are
the symbols and the tracepoints of the kernel that the tool is to run on; BCC_STUB_SOURCES holds C files that the package leaves out.
"""
import json
import os
import re
import runpy
import signal
import struct
import sys
import types

packages, btf_path, tool, *arguments = sys.argv[1:]
units = []
KALLSYMS = os.environ.get("BCC_STUB_KALLSYMS", "/proc/kallsyms")
SOURCES = os.environ.get("BCC_STUB_SOURCES", "")
EVENTS = os.environ.get("BCC_STUB_EVENTS", "/sys/kernel/tracing/events")


def done(*_, **__):
    """Where the tool would wait for events."""
    print("\n" + json.dumps({"units": units}))
    sys.stdout.flush()
    os._exit(0)


def text_of(value):
    if isinstance(value, bytes):
        return value.decode("utf8", "surrogateescape")
    return str(value)


class Btf:
    """Names of structs and of their members."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        header, = struct.unpack_from("<I", data, 4)
        types_at, types_size, strings_at, _ = struct.unpack_from("<IIII", data, 8)
        strings = data[header + strings_at:]
        self.members = {}

        def name(offset):
            return strings[offset:strings.index(b"\0", offset)].decode()

        at, end = header + types_at, header + types_at + types_size
        extra = {1: lambda n: 4, 3: lambda n: 12, 4: lambda n: 12 * n, 5: lambda n: 12 * n, 6: lambda n: 8 * n,
                 13: lambda n: 8 * n, 14: lambda n: 4, 15: lambda n: 12 * n, 17: lambda n: 4, 19: lambda n: 12 * n}
        while at < end:
            name_at, info, _ = struct.unpack_from("<III", data, at)
            kind, count = info >> 24 & 31, info & 0xffff
            if kind in (4, 5):
                members = [name(struct.unpack_from("<I", data, at + 12 + 12 * i)[0]) for i in range(count)]
                self.members.setdefault(name(name_at), set()).update(members)
            at += 12 + extra.get(kind, lambda n: 0)(count)


btf = Btf(btf_path)


class Anything:
    """Tables and whatever else a tool looks into: calls, members and items without end."""

    def __getattr__(self, _):
        return Anything()

    def __call__(self, *_, **__):
        return Anything()

    def __getitem__(self, _):
        return Anything()

    def __setitem__(self, *_):
        pass

    def __len__(self):
        return 0

    def __iter__(self):
        return iter(())

    def __int__(self):
        return 0

    __index__ = __int__


class Constants(type):
    def __getattr__(cls, name):
        return name


class BPF(metaclass=Constants):
    _auto_includes = {}

    def __init__(self, src_file=b"", hdr_file=b"", text=None, debug=0, cflags=[], usdt_contexts=[], **_):
        if text is None:
            with open(text_of(src_file)) as file:
                text = file.read()
        self.unit = {"text": text_of(text), "cflags": [text_of(flag) for flag in cflags], "attach": [],
                     "usdt": [probe for context in usdt_contexts for probe in context.probes]}
        units.append(self.unit)
        self.opened = 0

    def _attached(self, kind, function, event=""):
        self.opened += 1
        self.unit["attach"].append({"kind": kind, "func": text_of(function), "event": text_of(event)})

    def attach_kprobe(self, event=b"", event_off=0, fn_name=b"", event_re=b""):
        self._attached("kprobe", fn_name, event or event_re)

    def attach_kretprobe(self, event=b"", fn_name=b"", event_re=b"", maxactive=0):
        self._attached("kretprobe", fn_name, event or event_re)

    def attach_tracepoint(self, tp=b"", tp_re=b"", fn_name=b""):
        self._attached("tracepoint", fn_name, tp or tp_re)

    def attach_raw_tracepoint(self, tp=b"", fn_name=b""):
        self._attached("raw_tracepoint", fn_name, tp)

    def attach_uprobe(self, name=b"", sym=b"", sym_re=b"", addr=None, fn_name=b"", pid=-1, sym_off=0):
        self._attached("uprobe", fn_name, sym or sym_re)

    def attach_uretprobe(self, name=b"", sym=b"", sym_re=b"", addr=None, fn_name=b"", pid=-1):
        self._attached("uretprobe", fn_name, sym or sym_re)

    def attach_perf_event(self, ev_type=-1, ev_config=-1, fn_name=b"", *_, **__):
        self._attached("perf_event", fn_name)

    def attach_perf_event_raw(self, attr=-1, fn_name=b"", *_, **__):
        self._attached("perf_event", fn_name)

    def load_func(self, func_name, prog_type, *_, **__):
        self._attached("load", func_name, prog_type)
        function = Anything()
        return function

    def attach_xdp(self, dev, fn, flags=0):
        pass

    def num_open_kprobes(self):
        return self.opened

    num_open_uprobes = num_open_tracepoints = num_open_kprobes

    perf_buffer_poll = perf_buffer_consume = ring_buffer_poll = kprobe_poll = done
    trace_fields = trace_print = trace_readline = trace_open = done

    def get_table(self, *_, **__):
        return Anything()

    def __getitem__(self, _):
        return Anything()

    def __getattr__(self, _):
        return Anything()

    def cleanup(self):
        done()

    def get_syscall_prefix(self):
        return b"__x64_sys_"

    def get_syscall_fnname(self, name):
        return b"__x64_sys_" + (name if isinstance(name, bytes) else name.encode())

    @staticmethod
    def get_kprobe_functions(event_re):
        pattern = re.compile(text_of(event_re))
        found = []
        with open(KALLSYMS) as file:
            for line in file:
                _, kind, name = line.split()[:3]
                if kind in "tTwW" and pattern.fullmatch(name):
                    found.append(name.encode())
        return found

    @staticmethod
    def get_tracepoints(tp_re):
        pattern = re.compile(text_of(tp_re))
        root = EVENTS
        return [("%s:%s" % (category, event)).encode() for category in sorted(os.listdir(root))
                if os.path.isdir(os.path.join(root, category)) for event in sorted(os.listdir(os.path.join(root, category)))
                if pattern.match("%s:%s" % (category, event))]

    @staticmethod
    def tracepoint_exists(category, event):
        return os.path.isdir("%s/%s/%s" % (EVENTS, text_of(category), text_of(event)))

    @staticmethod
    def get_user_functions_and_addresses(name, sym_re):
        return [(text_of(sym_re).encode(), 0x1000)]

    @staticmethod
    def get_user_functions(name, sym_re):
        return [text_of(sym_re).encode()]

    @staticmethod
    def get_user_addresses(name, sym_re):
        return [0x1000]

    @staticmethod
    def kernel_struct_has_field(record, field):
        members = btf.members.get(text_of(record))
        return -1 if members is None else int(text_of(field) in members)

    @staticmethod
    def support_kfunc():
        return os.environ.get("BCC_STUB_KFUNC") == "1"

    support_lsm = support_kfunc

    @staticmethod
    def support_raw_tracepoint():
        return True

    support_raw_tracepoint_in_module = support_raw_tracepoint

    @staticmethod
    def ksymname(name):
        with open(KALLSYMS) as file:
            for line in file:
                words = line.split()
                if words[2] == text_of(name):
                    return int(words[0], 16)
        return -1

    @staticmethod
    def find_library(name):
        return ("/usr/lib/x86_64-linux-gnu/lib%s.so" % text_of(name)).encode()

    @staticmethod
    def find_exe(name):
        return ("/usr/bin/%s" % text_of(name)).encode()

    @staticmethod
    def get_probe_limit():
        return 1000

    @staticmethod
    def add_module(name):
        pass

    @staticmethod
    def sym(*_, **__):
        return b"symbol"

    ksym = sym

    @staticmethod
    def monotonic_time():
        return 1

    @staticmethod
    def generate_auto_includes(words):
        includes = {"time": "linux/time.h", "fs": "linux/fs.h", "blkdev": "linux/blkdev.h", "slab": "linux/slab.h",
                    "netdevice": "linux/netdevice.h", "sock": "net/sock.h"}
        words = {text_of(word) for word in words}
        wanted = [(r"kernel_stat", "linux/kernel_stat.h")]
        return "".join("#include <%s>\n" % header for word, header in [*includes.items(), *wanted] if word in words)


class UsdtProbe:
    short_name = "probe"

    def __init__(self, name):
        self.name = text_of(name).encode()


class USDT:
    def __init__(self, pid=None, path=None):
        self.pid, self.path, self.probes = pid, path, []

    def enable_probe(self, probe, fn_name):
        self.probes.append({"probe": text_of(probe), "func": text_of(fn_name)})

    enable_probe_or_bail = enable_probe

    def get_text(self):
        return ""

    def get_context(self):
        return None

    def get_probe_arg_ctype(self, *_):
        return "unsigned long"

    def enumerate_probes(self):
        return []


class USDTException(Exception):
    pass


class Lib:
    def __getattr__(self, _):
        return lambda *_, **__: 0


bcc = types.ModuleType("bcc")
bcc.__path__ = [os.path.join(packages, "bcc")]
sys.modules["bcc"] = bcc
libbcc = types.ModuleType("bcc.libbcc")
libbcc.lib = Lib()
libbcc.__getattr__ = lambda name: Anything()
sys.modules["bcc.libbcc"] = libbcc
import importlib  # noqa: E402
import io  # noqa: E402

utils = importlib.import_module("bcc.utils")
utils.detect_language = lambda candidates, pid: next(iter(candidates), None)
bcc.utils = utils
bcc.BPF, bcc.USDT, bcc.USDTException = BPF, USDT, USDTException
bcc.ArgString, bcc.StrcmpRewrite = utils.ArgString, utils.StrcmpRewrite
bcc.DEBUG_PREPROCESSOR = bcc.DEBUG_SOURCE = bcc.DEBUG_BPF = 0


class Numbers(type):
    def __getattr__(cls, name):
        return 0


bcc.PerfType, bcc.PerfHWConfig, bcc.PerfSWConfig = (Numbers(name, (), {}) for name in ("PerfType", "PerfHWConfig", "PerfSWConfig"))
bcc.PerfEventSampleFormat = Numbers("PerfEventSampleFormat", (), {})

import time  # noqa: E402

time.sleep = done


class Process:
    """What tools ask other programs for: where debugfs is, what the machine is."""
    pid = 1
    returncode = 0

    def __init__(self, *_, **__):
        self.stdout = io.BytesIO(b"/sys/kernel/debug\n")

    def communicate(self, *_):
        return b"/sys/kernel/debug\n", b""

    def wait(self, *_):
        return 0

    poll = wait


subprocess = importlib.import_module("subprocess")
subprocess.Popen = Process
subprocess.check_output = lambda *_, **__: b"vendor_id : GenuineIntel\n"
subprocess.call = subprocess.check_call = lambda *_, **__: 0
curses = importlib.import_module("curses")
curses.wrapper = lambda function, *rest: function(Anything(), *rest)
os.access = lambda *_, **__: True

# Symbols of parts that the kernel here may have been built without.
EXTRA_SYMBOLS = ["ext4_file_operations", "btrfs_file_operations", "vm_zone_stat", "trace_irq_handler_entry"]
plain_open, plain_exists, plain_isdir = open, os.path.exists, os.path.isdir


def open_with_symbols(path, *rest, **more):
    if path == "/proc/kallsyms":
        with plain_open(KALLSYMS) as file:
            return io.StringIO(file.read() + "".join("ffffffff81000000 T %s\n" % name for name in EXTRA_SYMBOLS))
    if str(path).endswith(".c") and not plain_exists(path):
        path = os.path.join(SOURCES, os.path.basename(path))
    return plain_open(path, *rest, **more)


def exists_or_traced(path):
    """Events of kernels that are built for tracing of latencies."""
    return "preemptirq" in text_of(path) or plain_exists(path)


os.path.exists = exists_or_traced
builtins = importlib.import_module("builtins")
builtins.open = open_with_symbols
os.geteuid = lambda: 0
signal.alarm(20)
sys.argv = [tool, *arguments]
try:
    runpy.run_path(tool, run_name="__main__")
except SystemExit as error:
    if not units:
        sys.stderr.write("the tool ended: %s\n" % (error.code,))
except BaseException as error:  # noqa: BLE001
    if not units:
        raise
    sys.stderr.write("behind BPF(): %r\n" % (error,))
done()
