/*
 * Runs a command as root of a user namespace that was delegated all of BPF: token DIRECTORY COMMAND [ARGUMENT]...
 * A bpffs with the delegation is mounted on DIRECTORY, in a mount namespace of its own.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of linux/mount.h, which does not go with sys/mount.h in all versions. */
#define SET_STRING 1
#define CMD_CREATE 6
#define EMPTY_PATH 4

static void fail(const char *what)
{
	perror(what);
	exit(125);
}

static void send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	if (sendmsg(socket, &message, 0) != 1)
		fail("sendmsg");
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(socket, &message, 0) != 1 || CMSG_FIRSTHDR(&message) == NULL)
		fail("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static void map_ids(int pid, const char *file)
{
	static const char all[] = "0 0 4294967294\n";
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, all, sizeof(all) - 1) < 0)
		fail(path);
	close(fd);
}

int main(int argc, char **argv)
{
	static const char *const delegated[] = { "delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs" };
	int sockets[2], status, fd;
	char byte;
	pid_t child;

	if (argc < 3) {
		fprintf(stderr, "usage: token DIRECTORY COMMAND [ARGUMENT]...\n");
		return 125;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
		fail("socketpair");
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			fail("unshare");
		if (write(sockets[1], "u", 1) != 1 || read(sockets[1], &byte, 1) != 1)
			fail("parent");
		fd = syscall(SYS_fsopen, "bpf", 0);
		if (fd < 0)
			fail("fsopen");
		send_fd(sockets[1], fd);
		fd = receive_fd(sockets[1]);
		if (syscall(SYS_move_mount, fd, "", AT_FDCWD, argv[1], EMPTY_PATH) < 0)
			fail("move_mount");
		execvp(argv[2], argv + 2);
		fail(argv[2]);
	}
	if (child < 0 || read(sockets[0], &byte, 1) != 1)
		fail("child");
	map_ids(child, "uid_map");
	map_ids(child, "gid_map");
	if (write(sockets[0], "m", 1) != 1)
		fail("child");
	fd = receive_fd(sockets[0]);
	for (int i = 0; i < 4; i++)
		if (syscall(SYS_fsconfig, fd, SET_STRING, delegated[i], "any", 0) < 0)
			fail(delegated[i]);
	if (syscall(SYS_fsconfig, fd, CMD_CREATE, NULL, NULL, 0) < 0)
		fail("fsconfig");
	fd = syscall(SYS_fsmount, fd, 0, 0);
	if (fd < 0)
		fail("fsmount");
	send_fd(sockets[0], fd);
	if (waitpid(child, &status, 0) < 0)
		fail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
