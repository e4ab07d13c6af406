/*
 * PID 1 of the test VM. Loads the modules that the root file system needs, mounts the host's / (virtiofs, read-only) under a
 * tmpfs overlay, mounts what BPF programs need, runs one command and reports how it ended.
 *
 * Output leaves by three ISA debug consoles: PORT_STDOUT, PORT_STDERR and PORT_CONTROL (lines "ready", "warn ...", "fail ...",
 * "exit N"). A byte written there is in QEMU's hands when the instruction ends, so nothing is lost when the VM is switched off.
 *
 * The command is in the host file that the kernel parameter skep.record names. Strings, each ended by NUL: working directory;
 * kernel package tree; number of modules, their paths; number of arguments, the arguments; then the environment.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  PORT_STDOUT = 0x5c0,
  PORT_STDERR = 0x5c1,
  PORT_CONTROL = 0x5c2,
  PORT_POWER = 0x5c8,
  RECORD_LIMIT = 1 << 22,
  STRING_LIMIT = 1 << 16,
};

/* glibc's outsb() tells the compiler nothing of the memory it reads. */
static void send_bytes(unsigned short port, const void *bytes, size_t size) {
  __asm__ volatile("cld\n\trep outsb" : "+S"(bytes), "+c"(size) : "d"(port) : "memory");
}

static void tell(const char *format, ...) {
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (size >= (int)sizeof line) size = sizeof line - 1;
  send_bytes(PORT_CONTROL, line, size);
}

static void power_off(void) {
  outl(0, PORT_POWER);
  reboot(RB_AUTOBOOT);
  for (;;) pause();
}

static void fail(const char *what) {
  tell("fail %s: %s\n", what, strerror(errno));
  power_off();
}

static void load_module(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) tell("warn module %s: %s\n", path, strerror(errno));
  if (fd >= 0) close(fd);
}

static void load_boot_modules(void) {
  FILE *list = fopen("/modules/order", "re");
  char path[512];
  if (!list) fail("/modules/order");
  while (fgets(path, sizeof path, list)) {
    path[strcspn(path, "\n")] = 0;
    load_module(path);
  }
  fclose(list);
}

static int mount_at(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
  mkdir(target, 0755);
  return mount(source, target, type, flags, data);
}

/* Value of a kernel parameter, up to the next space. */
static int parameter(const char *name, char *value, size_t size) {
  char line[4096] = "";
  int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, line, sizeof line - 1) < 0) fail("/proc/cmdline");
  close(fd);
  for (char *save, *word = strtok_r(line, " \n", &save); word; word = strtok_r(NULL, " \n", &save)) {
    size_t length = strlen(name);
    if (strncmp(word, name, length) == 0 && word[length] == '=') {
      snprintf(value, size, "%s", word + length + 1);
      return 1;
    }
  }
  return 0;
}

static void enter_root(void) {
  if (mount_at("root", "/lower", "virtiofs", MS_RDONLY, NULL)) fail("mount the host's / by virtiofs");
  if (mount_at("upper", "/upper", "tmpfs", 0, "size=75%,mode=755")) fail("mount tmpfs");
  mkdir("/upper/files", 0755);
  mkdir("/upper/work", 0755);
  if (mount_at("overlay", "/root", "overlay", 0, "lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work")) fail("mount overlay");

  static const char *const moved[] = {"dev", "proc", "sys"};
  for (size_t i = 0; i < sizeof moved / sizeof *moved; i++) {
    char from[16], to[32];
    snprintf(from, sizeof from, "/%s", moved[i]);
    snprintf(to, sizeof to, "/root/%s", moved[i]);
    mkdir(to, 0755);
    if (mount(from, to, NULL, MS_MOVE, NULL)) fail(to);
  }
  if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) fail("change root");
}

static void mount_kernel_file_systems(void) {
  static const struct {
    const char *type, *target, *data;
    /* A kernel may be built without it. */
    int optional;
  } table[] = {
      {"tmpfs", "/run", "mode=755", 0},
      {"tracefs", "/sys/kernel/tracing", NULL, 0},
      {"debugfs", "/sys/kernel/debug", NULL, 0},
      {"bpf", "/sys/fs/bpf", "mode=700", 0},
      {"cgroup2", "/sys/fs/cgroup", NULL, 0},
      {"securityfs", "/sys/kernel/security", NULL, 1},
      {"devpts", "/dev/pts", NULL, 1},
      {"tmpfs", "/dev/shm", NULL, 1},
  };
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (mount_at(table[i].type, table[i].target, table[i].type, 0, table[i].data) && !table[i].optional) fail(table[i].target);
  static const char *const links[][2] = {
      {"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++)
    if (symlink(links[i][0], links[i][1]) && errno != EEXIST) tell("warn %s: %s\n", links[i][1], strerror(errno));
}

static void loopback_up(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request)) tell("warn lo: %s\n", strerror(errno));
  if (fd >= 0) close(fd);
}

/* bpftool and bpftrace read /boot/config-RELEASE, modprobe reads /lib/modules/RELEASE: those of the guest's kernel, not of the host's. */
static void bind_kernel_package(const char *tree) {
  struct utsname name;
  char from[4096], to[256];
  uname(&name);
  mkdir("/boot", 0755);
  snprintf(from, sizeof from, "%s/boot/config-%s", tree, name.release);
  snprintf(to, sizeof to, "/boot/config-%s", name.release);
  if (access(from, R_OK) == 0) {
    int fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
    if (mount(from, to, NULL, MS_BIND, NULL)) tell("warn %s: %s\n", to, strerror(errno));
  }
  mkdir("/lib/modules", 0755);
  snprintf(from, sizeof from, "%s/lib/modules/%s", tree, name.release);
  snprintf(to, sizeof to, "/lib/modules/%s", name.release);
  mkdir(to, 0755);
  if (mount(from, to, NULL, MS_BIND, NULL)) tell("warn %s: %s\n", to, strerror(errno));
}

/* The record's strings, closed by NULL. */
static char **read_record(const char *path) {
  char *bytes = malloc(RECORD_LIMIT + 1);
  char **strings = calloc(STRING_LIMIT + 1, sizeof *strings);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t size = 0, count = 0;
  if (!bytes || !strings || fd < 0) fail(path);
  for (ssize_t got; size < RECORD_LIMIT && (got = read(fd, bytes + size, RECORD_LIMIT - size)) != 0; size += got)
    if (got < 0) fail(path);
  close(fd);
  bytes[size] = 0;
  for (size_t at = 0; at < size && count < STRING_LIMIT; at += strlen(bytes + at) + 1) strings[count++] = bytes + at;
  if (size == RECORD_LIMIT || count == STRING_LIMIT || count < 5) {
    errno = EINVAL;
    fail("record: size");
  }
  return strings;
}

static void run_child(const char *directory, char **arguments, char **environment, int out, int err) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  iopl(0);
  setsid();
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  dup2(out, 1);
  dup2(err, 2);
  if (null > 2) close(null);
  environ = environment;
  if (chdir(directory)) {
    dprintf(2, "test VM: cannot change to %s: %s\n", directory, strerror(errno));
    _exit(126);
  }
  execvp(arguments[0], arguments);
  int status = errno == ENOENT ? 127 : 126;
  dprintf(2, "test VM: cannot run %s: %s\n", arguments[0], strerror(errno));
  _exit(status);
}

/* Runs the command, forwards its output, reaps orphans. Does not wait for orphans that still hold the pipes when it has ended. */
static int run(const char *directory, char **arguments, char **environment) {
  int out[2], err[2], status = -1;
  static char buffer[1 << 16];
  sigset_t child_signal;
  sigemptyset(&child_signal);
  sigaddset(&child_signal, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child_signal, NULL);
  int signals = signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0 || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) fail("pipes");
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) run_child(directory, arguments, environment, out[1], err[1]);
  close(out[1]);
  close(err[1]);

  struct pollfd polled[] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}, {signals, POLLIN, 0}};
  static const unsigned short ports[] = {PORT_STDOUT, PORT_STDERR};
  for (;;) {
    int forwarded = 0;
    if (poll(polled, 3, status < 0 ? -1 : 0) < 0 && errno != EINTR) fail("poll");
    for (int i = 0; i < 2; i++) {
      if (polled[i].fd < 0 || !polled[i].revents) continue;
      ssize_t got = read(polled[i].fd, buffer, sizeof buffer);
      if (got > 0) {
        send_bytes(ports[i], buffer, got);
        forwarded = 1;
      } else {
        polled[i].fd = -1;
      }
    }
    if (status >= 0 && !forwarded) return status;
    if (polled[2].revents) {
      struct signalfd_siginfo info;
      int how;
      pid_t ended;
      while (read(signals, &info, sizeof info) > 0) continue;
      while ((ended = waitpid(-1, &how, WNOHANG)) > 0)
        if (ended == child) status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    }
  }
}

int main(void) {
  char record[4096];
  if (iopl(3)) return 1;
  if (mount_at("dev", "/dev", "devtmpfs", 0, NULL) && errno != EBUSY) fail("/dev");
  if (mount_at("proc", "/proc", "proc", 0, NULL)) fail("/proc");
  if (mount_at("sys", "/sys", "sysfs", 0, NULL)) fail("/sys");
  if (!parameter("skep.record", record, sizeof record)) fail("kernel parameter skep.record");
  load_boot_modules();
  enter_root();
  mount_kernel_file_systems();
  loopback_up();
  sethostname("skep-vm", 7);

  char **next = read_record(record);
  const char *directory = *next++;
  bind_kernel_package(*next++);
  for (int modules = atoi(*next++); modules > 0 && *next; modules--) load_module(*next++);
  int count = *next ? atoi(*next++) : 0;
  char **arguments = calloc(count + 1, sizeof *arguments);
  for (int i = 0; i < count && *next; i++) arguments[i] = *next++;
  if (count < 1 || !arguments[0]) {
    errno = EINVAL;
    fail("record: no command");
  }
  tell("ready\n");
  tell("exit %d\n", run(directory, arguments, next));
  power_off();
}
