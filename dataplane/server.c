/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/server.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "dataplane/attach_host.h"
#include "shared/log.h"
#include "shared/util.h"

enum { BACKLOG = 8 };

static int refuse(struct sn_diag *diag, const char *what, const char *why,
		  int r)
{
	sn_diag_set(diag, NULL, "%s: %s", what, why);
	return sn_trace(r);
}

/* Everything made in between belongs to the peer's group from its first
 * moment, so that no path is looked up a second time to change it. */
static int become_group(gid_t gid, gid_t *before)
{
	*before = getegid();
	return *before == gid || setegid(gid) == 0 ? 0 : -errno;
}

static int make_run_dir(const char *run_dir)
{
	mode_t mask = umask(0);
	int r = 0;

	/* Sticky: the peer cannot remove or replace what is ours. */
	if (mkdir(run_dir, 01775) < 0 && errno != EEXIST)
		r = -errno;
	(void)umask(mask);
	return r;
}

static int lock_run_dir(struct dp_server *server, const char *run_dir,
			struct sn_diag *diag)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/dp.lock", run_dir);
	server->lock =
		open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (server->lock < 0)
		return refuse(diag, path, strerror(errno), -errno);
	if (flock(server->lock, LOCK_EX | LOCK_NB) < 0)
		return refuse(diag, path, "another sentinel-dp runs", -errno);
	return 0;
}

static int bind_socket(struct dp_server *server, const char *run_dir,
		       struct sn_diag *diag)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int n, r;

	n = snprintf(address.sun_path, sizeof(address.sun_path), "%s/dp.sock",
		     run_dir);
	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return refuse(diag, run_dir, "path is too long", -ENAMETOOLONG);
	(void)unlink(address.sun_path);
	server->listener = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->listener < 0)
		return refuse(diag, "socket", strerror(errno), -errno);
	mask = umask(0117);
	r = bind(server->listener, (struct sockaddr *)&address,
		 sizeof(address)) < 0 ?
		    -errno :
		    0;
	(void)umask(mask);
	return r < 0 ? refuse(diag, address.sun_path, strerror(-r), r) : 0;
}

static int open_signals(struct dp_server *server)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	server->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return server->signals < 0 ? -errno : 0;
}

int dp_server_open(struct dp_server *server, const char *run_dir,
		   const char *peer_user, struct sn_diag *diag)
{
	const struct passwd *user;
	gid_t before;
	int r;

	(void)memset(server, 0, sizeof(*server));
	server->listener = -1;
	server->signals = -1;
	server->peer = -1;
	server->lock = -1;
	user = getpwnam(peer_user);
	if (!user)
		return refuse(diag, peer_user, "no such user (--peer-user)",
			      -ENOENT);
	server->peer_uid = user->pw_uid;
	r = become_group(user->pw_gid, &before);
	if (r < 0)
		return refuse(diag, peer_user,
			      "cannot take on the user's group", r);
	r = make_run_dir(run_dir);
	if (r < 0)
		(void)refuse(diag, run_dir, strerror(-r), r);
	if (r >= 0)
		r = lock_run_dir(server, run_dir, diag);
	if (r >= 0)
		r = bind_socket(server, run_dir, diag);
	if (before != getegid() && setegid(before) < 0)
		r = refuse(diag, peer_user, "cannot leave the user's group",
			   -errno);
	if (r < 0)
		return r;
	r = open_signals(server);
	return r < 0 ? refuse(diag, "signals", strerror(-r), r) : 0;
}

int dp_server_start(struct dp_server *server, struct dp_handlers *handlers)
{
	server->handlers = handlers;
	return listen(server->listener, BACKLOG) < 0 ? sn_trace(-errno) : 0;
}

static void drop_peer(struct dp_server *server, const char *why)
{
	sn_log(SN_LOG_INFO, "peer-gone pid=%d: %s; enforcement goes on",
	       server->handlers->peer, why);
	sn_closep(&server->peer);
	server->has_answer = false;
	server->handlers->state = SN_IPC_STATE_NEW;
}

static void refuse_peer(struct dp_server *server, const struct ucred *peer,
			const char *why)
{
	server->handlers->n_peers_refused++;
	sn_log(SN_LOG_WARNING, "peer-refused pid=%d uid=%u: %s", peer->pid,
	       peer->uid, why);
}

static void accept_peer(struct dp_server *server)
{
	sn_cleanup(sn_closep) int fd = -1;
	struct ucred peer;
	socklen_t bytes = sizeof(peer);

	fd = accept4(server->listener, NULL, NULL,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) < 0)
		return;
	if (peer.uid != server->peer_uid) {
		refuse_peer(server, &peer, "not the user of sentinel-cp");
		return;
	}
	if (server->peer >= 0) {
		refuse_peer(server, &peer, "another peer is connected");
		return;
	}
	sn_log(SN_LOG_INFO, "peer-connected pid=%d", peer.pid);
	server->peer = sn_steal_fd(&fd);
	server->handlers->peer = peer.pid;
	server->handlers->state = SN_IPC_STATE_NEW;
}

static void send_answer(struct dp_server *server)
{
	int r = sn_ipc_send(server->peer, server->answer.record,
			    server->answer.size, server->answer.fds,
			    server->answer.n_fds);

	server->has_answer = r == -EAGAIN;
	if (r < 0 && r != -EAGAIN)
		drop_peer(server, strerror(-r));
}

static void refuse_record(struct dp_server *server, const char *why)
{
	server->handlers->n_records_refused++;
	sn_log(SN_LOG_ERROR, "record-refused pid=%d: %s; the link ends",
	       server->handlers->peer, why);
	drop_peer(server, "it broke the protocol");
}

static void serve_request(struct dp_server *server)
{
	int fds[SN_IPC_FDS_MAX];
	const char *why = NULL;
	size_t n_fds = 0;
	size_t size = 0;
	int r;

	r = sn_ipc_receive(server->peer, server->request, &size, fds, &n_fds);
	if (r == -EAGAIN)
		return;
	if (r == -EPROTO) {
		refuse_record(server, "record or descriptors too large");
		return;
	}
	if (r < 0 || size == 0) {
		for (size_t i = 0; r >= 0 && i < n_fds; i++)
			sn_closep(&fds[i]);
		drop_peer(server, r < 0 ? strerror(-r) : "it closed the link");
		return;
	}
	r = sn_ipc_check_request(server->request, size, n_fds,
				 server->handlers->state, &why);
	if (r >= 0)
		dp_handlers_answer(server->handlers, server->request, fds,
				   n_fds, &server->answer);
	for (size_t i = 0; i < n_fds; i++)
		sn_closep(&fds[i]);
	if (r < 0)
		refuse_record(server, why);
	else
		send_answer(server);
}

/* A peer that has died is read to its end before the next one is let in. */
static void serve(struct dp_server *server, short peer_events, bool is_waiting)
{
	if (server->peer >= 0 && server->has_answer) {
		if (peer_events & (POLLOUT | POLLHUP | POLLERR))
			send_answer(server);
	} else if (server->peer >= 0 && peer_events) {
		serve_request(server);
	}
	if (is_waiting && !(peer_events & POLLHUP))
		accept_peer(server);
}

/* -1: for ever. */
static int get_timeout_ms(const struct dp_handlers *handlers)
{
	int reap = dp_reap_get_timeout_ms(handlers->reap);
	int expire = dp_attach_host_get_timeout_ms(handlers->attach);
	int next = dp_dns_get_timeout_ms(handlers->dns);

	if (reap >= 0)
		next = SN_MIN(next, reap);
	return expire < 0 ? next : SN_MIN(next, expire);
}

static void check_dns(struct dp_server *server)
{
	if (dp_dns_check(server->handlers->dns) && server->peer >= 0)
		drop_peer(server, "the resolver's interfaces have changed");
}

int dp_server_run(struct dp_server *server)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = server->signals, .events = POLLIN },
			{ .fd = server->listener, .events = POLLIN },
			{ .fd = server->peer,
			  .events = server->has_answer ? POLLOUT : POLLIN },
		};
		int n = poll(fds, SN_ARRAY_SIZE(fds),
			     get_timeout_ms(server->handlers));

		if (n < 0 && errno != EINTR)
			return sn_trace(-errno);
		if (n < 0)
			continue;
		if (n == 0)
			dp_reap_step(server->handlers->reap);
		dp_attach_host_expire(server->handlers->attach);
		check_dns(server);
		if (fds[0].revents)
			return 0;
		serve(server, fds[2].revents, fds[1].revents & POLLIN);
	}
}

void dp_server_done(struct dp_server *server)
{
	sn_closep(&server->peer);
	sn_closep(&server->listener);
	sn_closep(&server->signals);
	sn_closep(&server->lock);
}
