/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making the control socket. */
#include "daemon/control.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

/* Does nobody listen at @sun? 0: there is nothing, or a dead socket. */
static int check_dead(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd, err;

	if (lstat(sun->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0
		      ? EADDRINUSE
		      : errno;
	close(fd);
	if (err == ECONNREFUSED || err == ENOENT)
		return 0;
	return err == EAGAIN ? -EADDRINUSE : -err; /* EAGAIN: it is busy */
}

/* Bind, own and listen; removes a dead socket. The mode given to the socket
 * before it is bound is that of the file: it is never wider than in the end.
 * Two xctd that start in one instant may both see a dead socket; the packet
 * queue, which only one of them can have, tells them apart. */
static int bind_at(int fd, const struct sockaddr_un *sun, const char *group)
{
	const struct group *gr = group[0] ? getgrnam(group) : NULL;
	int err = check_dead(sun);

	if (err)
		return err;
	if (unlink(sun->sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0)
		return -errno;
	if ((gr && chown(sun->sun_path, (uid_t)-1, gr->gr_gid) < 0) ||
	    chmod(sun->sun_path, 0660) < 0 || listen(fd, BACKLOG) < 0) {
		err = -errno;
		unlink(sun->sun_path);
	}
	return err;
}

int xct_control_listen(const char *path, const char *group)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char parent[sizeof(sun.sun_path)];
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	strcpy(parent, path);
	if (mkdir(dirname(parent), 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = bind_at(fd, &sun, group);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
