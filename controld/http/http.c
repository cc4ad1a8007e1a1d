/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/http/http.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "controld/http/internal.h"
#include "shared/log.h"
#include "shared/util.h"

enum {
	SWEEP_MS = 100,
	/* While there is no place for a further connection: what may lie still
	 * for longer, and be under way for longer, is cut. */
	STILL_MS = 200,
	CROWDED_MS = 5000,
	BACKLOG = 128,
	IDLE_S = 600, /* the library's own limit; ours are shorter */
};

static uint64_t now_ms(const struct cp_http *http)
{
	return uv_now(http->options.loop);
}

void cp_http_cut(struct cp_http_connection *connection)
{
	/* What it does not read is not kept for it either. */
	const struct linger none = { .l_onoff = 1 };

	if (connection->is_cut)
		return;
	(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &none,
			 sizeof(none));
	connection->is_cut = true;
	connection->http->stats.n_cut++;
	(void)shutdown(connection->fd, SHUT_RDWR);
}

static void on_run_timer(uv_timer_t *timer);

void cp_http_kick(struct cp_http *http)
{
	if (!http->is_closing && http->daemon)
		(void)uv_timer_start(&http->run_timer, on_run_timer, 0, 0);
}

void cp_http_move(struct cp_http_connection *connection)
{
	struct cp_http *http = connection->http;

	connection->since_ms = now_ms(http);
	connection->moved_ms = connection->since_ms;
	TAILQ_REMOVE(&http->connections, connection, entry);
	TAILQ_INSERT_TAIL(&http->connections, connection, entry);
}

bool cp_http_is_crowded(const struct cp_http *http)
{
	return http->stats.n_connections >= http->options.connections_max;
}

static void connection_changed(void *userdata,
			       struct MHD_Connection *connection,
			       void **context,
			       enum MHD_ConnectionNotificationCode code)
{
	struct cp_http *http = userdata;
	struct cp_http_connection *ours = *context;
	const union MHD_ConnectionInfo *info;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (!ours)
			return;
		TAILQ_REMOVE(&http->connections, ours, entry);
		http->has_ended = true;
		http->stats.n_connections--;
		*context = NULL;
		free(ours);
		return;
	}
	info = MHD_get_connection_info(connection,
				       MHD_CONNECTION_INFO_CONNECTION_FD);
	ours = info ? calloc(1, sizeof(*ours)) : NULL;
	if (!ours) {
		/* What is not watched could stay for ever. */
		if (info)
			(void)shutdown(info->connect_fd, SHUT_RDWR);
		return;
	}
	ours->http = http;
	ours->fd = info->connect_fd;
	ours->since_ms = now_ms(http);
	ours->moved_ms = ours->since_ms;
	TAILQ_INSERT_TAIL(&http->connections, ours, entry);
	http->stats.n_connections++;
	*context = ours;
}

/* Before anything is done for a connection. */
static enum MHD_Result
accept_policy(void *userdata, const struct sockaddr *address, socklen_t size)
{
	struct cp_http *http = userdata;
	uint64_t n = (now_ms(http) - http->handshakes_ms) *
		     CP_HTTP_HANDSHAKES_PER_S / 1000;

	(void)address;
	(void)size;
	if (!http->options.tls)
		return MHD_YES;
	if (n >= http->n_handshakes) {
		http->n_handshakes = 0;
		http->handshakes_ms = now_ms(http);
	} else {
		http->n_handshakes -= n;
		http->handshakes_ms += n * 1000 / CP_HTTP_HANDSHAKES_PER_S;
	}
	if (http->n_handshakes >= CP_HTTP_HANDSHAKES_PER_S) {
		http->stats.n_cut++;
		return MHD_NO;
	}
	http->n_handshakes++;
	return MHD_YES;
}

/* Paths and queries stay as they were sent: what is escaped is no route. */
static size_t keep_escaped(void *userdata, struct MHD_Connection *connection,
			   char *text)
{
	(void)userdata;
	(void)connection;
	return strlen(text);
}

static void run(struct cp_http *http)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;

	if (!http->daemon)
		return;
	http->has_ended = false;
	(void)MHD_run(http->daemon);
	/* At its limit the library does not look at the listener, and begins to
	 * again in the turn behind the one in which a place became free. */
	if (http->has_ended)
		cp_http_kick(http);
	else if (MHD_get_timeout(http->daemon, &ms) == MHD_YES)
		(void)uv_timer_start(&http->run_timer, on_run_timer, ms, 0);
	else
		(void)uv_timer_stop(&http->run_timer);
}

static void on_run_timer(uv_timer_t *timer)
{
	run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run(poll->data);
}

static void put_option(struct MHD_OptionItem *options, size_t *n,
		       enum MHD_OPTION option, intptr_t value, void *pointer)
{
	options[(*n)++] = (struct MHD_OptionItem){ option, value, pointer };
}

/* The library copies what it is given and forgot the const. */
static void put_text(struct MHD_OptionItem *options, size_t *n,
		     enum MHD_OPTION option, const char *text)
{
	char *borrowed;

	(void)memcpy(&borrowed, &text, sizeof(borrowed));
	put_option(options, n, option, 0, borrowed);
}

static unsigned int put_tls(struct MHD_OptionItem *options, size_t *n,
			    const struct cp_http_tls *tls)
{
	if (!tls)
		return 0;
	put_text(options, n, MHD_OPTION_HTTPS_MEM_CERT, tls->certificate);
	put_text(options, n, MHD_OPTION_HTTPS_MEM_KEY, tls->key);
	if (tls->client_ca)
		put_text(options, n, MHD_OPTION_HTTPS_MEM_TRUST,
			 tls->client_ca);
	put_text(options, n, MHD_OPTION_HTTPS_PRIORITIES,
		 "NORMAL:-VERS-ALL:+VERS-TLS1.3");
	return MHD_USE_TLS;
}

static struct MHD_Daemon *start_daemon(struct cp_http *http, int fd)
{
	const struct cp_http_options *options = &http->options;
	struct MHD_OptionItem items[8];
	unsigned int flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
	size_t n = 0;

	if (options->address.storage.ss_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	flags |= put_tls(items, &n, options->tls);
	put_option(items, &n, MHD_OPTION_END, 0, NULL);
	return MHD_start_daemon(
		flags, 0, accept_policy, http, cp_http_call_access, http,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)options->connections_max,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CP_HTTP_HEAD_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
		cp_http_call_completed, http, MHD_OPTION_NOTIFY_CONNECTION,
		connection_changed, http, MHD_OPTION_UNESCAPE_CALLBACK,
		keep_escaped, NULL, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
}

static int watch(struct cp_http *http)
{
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int r;

	if (!info)
		return -ENOTSUP;
	r = uv_poll_init(http->options.loop, &http->poll, info->epoll_fd);
	if (r < 0)
		return r;
	http->poll.data = http;
	http->has_poll = true;
	http->n_handles++;
	return uv_poll_start(&http->poll, UV_READABLE, on_poll);
}

/* Of a daemon that could not be started; the library closes what it was given
 * where TLS fails, and else does not. Then the number may be another file's by
 * now. */
static void close_if_left(int fd, const struct stat *was)
{
	struct stat now;

	if (fstat(fd, &now) == 0 && now.st_dev == was->st_dev &&
	    now.st_ino == was->st_ino)
		(void)close(fd);
}

static int listen_now(struct cp_http *http)
{
	struct stat info = { 0 };
	int fd, r;

	if (http->options.listen)
		fd = http->options.listen(http->options.userdata);
	else
		fd = cp_http_address_listen(&http->options.address, BACKLOG);
	if (fd < 0)
		return fd;
	(void)fstat(fd, &info);
	http->daemon = start_daemon(http, fd);
	if (!http->daemon) {
		close_if_left(fd, &info);
		/* Of TLS it does not say more. */
		return http->options.tls ? -EPROTO : -ENOMEM;
	}
	r = watch(http);
	if (r < 0) {
		MHD_stop_daemon(http->daemon);
		http->daemon = NULL;
		return r;
	}
	cp_http_kick(http);
	return 0;
}

/* Until it listens. */
static void try_to_listen(struct cp_http *http)
{
	int r = listen_now(http);

	http->tried_ms = now_ms(http);
	if (r == 0)
		sn_log(SN_LOG_INFO, "http-listening name=%s",
		       http->options.name);
	else if (r != http->told)
		sn_log(SN_LOG_WARNING,
		       "http-listener name=%s error='%s': tried again",
		       http->options.name, strerror(-r));
	http->told = r;
}

static bool is_overdue(const struct cp_http_connection *connection)
{
	const struct cp_http *http = connection->http;
	uint64_t under_way_ms = now_ms(http) - connection->since_ms;

	/* Of these there are not so many that others find no place. */
	if (connection->is_stream)
		return now_ms(http) - connection->moved_ms >=
		       http->options.request_ms;
	if (under_way_ms >= http->options.request_ms)
		return true;
	return cp_http_is_crowded(http) &&
	       (under_way_ms >= CROWDED_MS ||
		now_ms(http) - connection->moved_ms >= STILL_MS);
}

/* The library does not look at those who wait for a source. */
static void look_at_streams(struct cp_http *http)
{
	struct cp_http_call *call;

	LIST_FOREACH(call, &http->streams, entry) {
		struct pollfd look = { .events = POLLRDHUP };

		if (!call->of || call->of->is_cut)
			continue;
		look.fd = call->of->fd;
		if (poll(&look, 1, 0) <= 0)
			continue;
		cp_http_cut(call->of);
		cp_http_call_wake(call);
	}
}

static void sweep(uv_timer_t *timer)
{
	struct cp_http *http = timer->data;
	struct cp_http_connection *connection;
	bool has_cut = false;

	if (!http->daemon && !http->has_poll &&
	    now_ms(http) - http->tried_ms >= CP_HTTP_RETRY_MS)
		try_to_listen(http);
	TAILQ_FOREACH(connection, &http->connections, entry) {
		if (connection->is_waiting || connection->is_cut ||
		    !is_overdue(connection))
			continue;
		cp_http_cut(connection);
		has_cut = true;
	}
	look_at_streams(http);
	if (has_cut)
		cp_http_kick(http);
}

int cp_http_new(struct cp_http **ret, const struct cp_http_options *options)
{
	struct cp_http *http = calloc(1, sizeof(*http));

	if (!http)
		return -ENOMEM;
	http->options = *options;
	if (http->options.request_ms == 0)
		http->options.request_ms = CP_HTTP_REQUEST_MS;
	TAILQ_INIT(&http->connections);
	LIST_INIT(&http->waiting);
	LIST_INIT(&http->streams);
	(void)uv_timer_init(options->loop, &http->run_timer);
	(void)uv_timer_init(options->loop, &http->sweep_timer);
	http->run_timer.data = http;
	http->sweep_timer.data = http;
	http->n_handles = 2;
	try_to_listen(http);
	(void)uv_timer_start(&http->sweep_timer, sweep, SWEEP_MS, SWEEP_MS);
	*ret = http;
	return 0;
}

static void handle_closed(uv_handle_t *handle)
{
	struct cp_http *http = handle->data;

	if (--http->n_handles > 0)
		return;
	if (http->closed)
		http->closed(http->closed_userdata);
	free(http);
}

static void let_go_of(struct cp_http_call *call)
{
	LIST_REMOVE(call, entry);
	call->http = NULL;
	if (call->is_suspended)
		MHD_resume_connection(call->connection);
	call->is_suspended = false;
}

/* The library wants nobody to be suspended when it stops. */
static void let_go(struct cp_http *http)
{
	struct cp_http_call *call;

	while ((call = LIST_FIRST(&http->waiting)))
		let_go_of(call);
	while ((call = LIST_FIRST(&http->streams)))
		let_go_of(call);
}

void cp_http_close(struct cp_http *http, void (*closed)(void *userdata),
		   void *userdata)
{
	http->is_closing = true;
	http->closed = closed;
	http->closed_userdata = userdata;
	if (http->has_poll)
		uv_close((uv_handle_t *)&http->poll, handle_closed);
	uv_close((uv_handle_t *)&http->run_timer, handle_closed);
	uv_close((uv_handle_t *)&http->sweep_timer, handle_closed);
	let_go(http);
	if (http->daemon)
		MHD_stop_daemon(http->daemon);
	http->daemon = NULL;
}

void cp_http_get_stats(const struct cp_http *http, struct cp_http_stats *ret)
{
	*ret = http->stats;
	ret->is_listening = http->daemon != NULL;
}

bool cp_http_cut_slowest(struct cp_http *http)
{
	struct cp_http_connection *connection;

	TAILQ_FOREACH(connection, &http->connections, entry) {
		if (!connection->is_answered || connection->is_cut)
			continue;
		cp_http_cut(connection);
		cp_http_kick(http);
		return true;
	}
	return false;
}
