/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/dns/tcp.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "controld/dns/identity.h"
#include "controld/dns/message.h"
#include "shared/util.h"

enum {
	LENGTH_BYTES = 2, /* before each message (RFC 1035 4.2.2) */
	BUFFER_BYTES = 4096, /* of a connection at first */
	BUFFER_MAX = LENGTH_BYTES + CP_DNS_MESSAGE_MAX,
	SWEEP_MS = 1000,
	BACKLOG = 1024,
	NS_PER_MS = 1000000,
};

struct connection {
	uv_tcp_t handle;
	struct cp_dns_tcp *tcp;
	TAILQ_ENTRY(connection) lru; /* least recently active first */
	TAILQ_ENTRY(connection) resume;
	uint32_t slot;
	uint32_t n_under_way;
	uint64_t owner; /* who had the slot when it was accepted */
	uint64_t active_ms;
	uint8_t *buffer;
	size_t size; /* of buffer */
	size_t begin; /* of what is not parsed yet */
	size_t end;
	bool is_reading;
	bool is_parsing;
	bool is_resuming; /* in the list */
	bool has_ended; /* the client sends nothing more */
	bool is_closing;
	bool is_closed;
};

struct listener {
	uv_tcp_t handle;
	struct cp_dns_tcp *tcp;
	enum cp_dns_listen_kind kind;
	struct sn_dns dns;
	bool is_waiting; /* a connection that was accepted, for memory */
};

struct cp_dns_tcp {
	struct cp_dns_tcp_options options;
	struct listener *listeners[CP_DNS_LISTEN_COUNT];
	TAILQ_HEAD(, connection) connections;
	TAILQ_HEAD(, connection) resumed;
	size_t n_resumed;
	uint16_t *n_slot;
	uv_timer_t sweep;
	uv_idle_t go_on; /* keeps the loop from waiting, too */
	struct cp_dns_tcp_stats stats;
	unsigned int n_handles;
	bool is_closing;
	void (*closed)(void *userdata);
	void *closed_userdata;
};

struct outgoing {
	uv_write_t request;
	struct connection *connection;
	uint8_t data[];
};

static void end_if_done(struct cp_dns_tcp *tcp)
{
	void (*closed)(void *userdata) = tcp->closed;
	void *userdata = tcp->closed_userdata;

	if (!tcp->is_closing || tcp->n_handles ||
	    !TAILQ_EMPTY(&tcp->connections))
		return;
	free(tcp->n_slot);
	free(tcp);
	if (closed)
		closed(userdata);
}

/* It waits for no turn any more. */
static void unresume(struct connection *connection)
{
	struct cp_dns_tcp *tcp = connection->tcp;

	if (!connection->is_resuming)
		return;
	connection->is_resuming = false;
	TAILQ_REMOVE(&tcp->resumed, connection, resume);
	tcp->n_resumed--;
}

/* Once its handle is closed and its queries are answered. */
static void free_if_done(struct connection *connection)
{
	struct cp_dns_tcp *tcp = connection->tcp;

	if (!connection->is_closed || connection->n_under_way)
		return;
	TAILQ_REMOVE(&tcp->connections, connection, lru);
	unresume(connection);
	free(connection->buffer);
	free(connection);
	end_if_done(tcp);
}

static void connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	connection->is_closed = true;
	free_if_done(connection);
}

static void close_connection(struct connection *connection)
{
	struct cp_dns_tcp *tcp = connection->tcp;

	if (connection->is_closing)
		return;
	connection->is_closing = true;
	if (connection->slot) {
		tcp->n_slot[connection->slot]--;
		tcp->stats.n_connections--;
	}
	uv_close((uv_handle_t *)&connection->handle, connection_closed);
}

static void touch(struct connection *connection)
{
	struct cp_dns_tcp *tcp = connection->tcp;

	connection->active_ms = uv_now(tcp->options.loop);
	TAILQ_REMOVE(&tcp->connections, connection, lru);
	TAILQ_INSERT_TAIL(&tcp->connections, connection, lru);
}

static bool is_held_back(const struct connection *connection)
{
	return connection->n_under_way >= CP_DNS_TCP_QUERIES_MAX ||
	       uv_stream_get_write_queue_size(
		       (const uv_stream_t *)&connection->handle) >=
		       CP_DNS_TCP_WRITE_MAX;
}

static void on_go_on(uv_idle_t *handle);

/* Goes on with what is buffered, not from within a reply, and not before all
 * others had their turn. */
static void resume(struct connection *connection)
{
	struct cp_dns_tcp *tcp = connection->tcp;

	if (connection->is_closing || connection->is_resuming ||
	    connection->is_parsing)
		return;
	connection->is_resuming = true;
	TAILQ_INSERT_TAIL(&tcp->resumed, connection, resume);
	tcp->n_resumed++;
	(void)uv_idle_start(&tcp->go_on, on_go_on);
}

static void written(uv_write_t *request, int status)
{
	struct outgoing *out = request->data;
	struct connection *connection = out->connection;

	free(out);
	if (status < 0) {
		close_connection(connection);
		return;
	}
	touch(connection);
	resume(connection);
}

static void send_message(struct connection *connection, const uint8_t *message,
			 size_t size)
{
	struct outgoing *out = malloc(sizeof(*out) + LENGTH_BYTES + size);
	uv_buf_t part;

	if (!out) {
		close_connection(connection);
		return;
	}
	out->connection = connection;
	out->request.data = out;
	out->data[0] = (uint8_t)(size >> 8);
	out->data[1] = (uint8_t)size;
	(void)memcpy(out->data + LENGTH_BYTES, message, size);
	part = uv_buf_init((char *)out->data,
			   (unsigned int)(LENGTH_BYTES + size));
	if (uv_write(&out->request, (uv_stream_t *)&connection->handle, &part,
		     1, written) < 0) {
		free(out);
		close_connection(connection);
	}
}

static void reply(const struct cp_dns_origin *origin, const uint8_t *message,
		  size_t size)
{
	struct connection *connection = origin->owner;

	connection->n_under_way--;
	if (!connection->is_closing && size > 0 && size <= CP_DNS_MESSAGE_MAX)
		send_message(connection, message, size);
	if (!connection->is_closing)
		resume(connection);
	else if (!connection->is_parsing)
		free_if_done(connection);
}

static const struct cp_dns_origin_ops ops = { .reply = reply };

/* Bytes of the first whole message in the buffer with its length; 0: it is not
 * there yet. */
static size_t get_frame(const struct connection *connection)
{
	size_t there = connection->end - connection->begin;
	const uint8_t *at;
	size_t size;

	if (there < LENGTH_BYTES)
		return 0;
	at = connection->buffer + connection->begin;
	size = LENGTH_BYTES + ((size_t)at[0] << 8 | at[1]);
	return there >= size ? size : 0;
}

static uint64_t owner_of(const struct cp_dns_tcp *tcp, uint32_t slot)
{
	return tcp->options.owner(tcp->options.userdata, slot);
}

/* Queries out of the buffer, as long as there is room for their answers and
 * the turn lasts. */
static void parse(struct connection *connection)
{
	struct cp_dns_tcp *tcp = connection->tcp;
	size_t frame;

	if (connection->owner != owner_of(tcp, connection->slot)) {
		tcp->stats.n_expired++;
		close_connection(connection);
		return;
	}
	connection->is_parsing = true;
	for (int i = 0; i < CP_DNS_TCP_TURN_MAX && !connection->is_closing &&
			!is_held_back(connection);
	     i++) {
		struct cp_dns_origin origin = {
			.ops = &ops,
			.owner = connection,
			.slot = connection->slot,
		};

		frame = get_frame(connection);
		if (!frame)
			break;
		connection->n_under_way++;
		tcp->options.query(tcp->options.userdata, &origin,
				   connection->buffer + connection->begin +
					   LENGTH_BYTES,
				   frame - LENGTH_BYTES);
		connection->begin += frame;
	}
	connection->is_parsing = false;
	if (!is_held_back(connection) && get_frame(connection))
		resume(connection);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct connection *connection = handle->data;

	(void)suggested;
	*ret = uv_buf_init((char *)connection->buffer + connection->end,
			   (unsigned int)(connection->size - connection->end));
}

/* Room for the message that has begun, which moves to the front; false: no
 * memory. */
static bool make_room(struct connection *connection)
{
	size_t wanted = BUFFER_BYTES;
	uint8_t *buffer = connection->buffer;

	if (connection->begin > 0) {
		connection->end -= connection->begin;
		(void)memmove(buffer, buffer + connection->begin,
			      connection->end);
		connection->begin = 0;
	}
	if (connection->end >= LENGTH_BYTES)
		wanted = LENGTH_BYTES + ((size_t)buffer[0] << 8 | buffer[1]);
	if (connection->end < connection->size && wanted <= connection->size)
		return true;
	wanted = SN_MIN(SN_MAX(wanted, 2 * connection->size),
			(size_t)BUFFER_MAX);
	buffer = realloc(buffer, wanted);
	if (!buffer)
		return false;
	connection->buffer = buffer;
	connection->size = wanted;
	return true;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer);

/* Parses what is there, then reads on, waits, or ends. */
static void advance(struct connection *connection)
{
	uv_stream_t *stream = (uv_stream_t *)&connection->handle;
	bool wants_to_read;

	parse(connection);
	if (connection->is_closing) {
		free_if_done(connection);
		return;
	}
	if (connection->has_ended) {
		if (!connection->n_under_way && !get_frame(connection) &&
		    uv_stream_get_write_queue_size(stream) == 0)
			close_connection(connection);
		return;
	}
	wants_to_read = !is_held_back(connection) && !connection->is_resuming;
	if (wants_to_read && !make_room(connection)) {
		close_connection(connection);
		return;
	}
	if (wants_to_read == connection->is_reading)
		return;
	connection->is_reading = wants_to_read;
	if (!wants_to_read)
		(void)uv_read_stop(stream);
	else if (uv_read_start(stream, allocate, on_read) < 0)
		close_connection(connection);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct connection *connection = stream->data;

	(void)buffer;
	if (n == 0)
		return;
	if (n < 0 && n != UV_EOF) {
		close_connection(connection);
		return;
	}
	if (n == UV_EOF) {
		connection->has_ended = true;
		connection->is_reading = false;
		(void)uv_read_stop(stream);
	} else {
		connection->end += (size_t)n;
		touch(connection);
	}
	advance(connection);
}

static void on_go_on(uv_idle_t *handle)
{
	struct cp_dns_tcp *tcp = handle->data;
	struct connection *connection;
	size_t n = tcp->n_resumed;

	/* Those that are resumed meanwhile have to wait for the next turn. */
	while (n-- > 0 && (connection = TAILQ_FIRST(&tcp->resumed))) {
		unresume(connection);
		if (!connection->is_closing)
			advance(connection);
	}
	if (TAILQ_EMPTY(&tcp->resumed))
		(void)uv_idle_stop(handle);
}

/* The connection that was idle longest makes room; of a slot, or of any. */
static void evict(struct cp_dns_tcp *tcp, uint32_t slot)
{
	struct connection *connection;

	TAILQ_FOREACH(connection, &tcp->connections, lru) {
		if (connection->is_closing || !connection->slot ||
		    (slot && connection->slot != slot))
			continue;
		tcp->stats.n_evicted++;
		close_connection(connection);
		return;
	}
}

/* The address that the kernel vouches for: the peer's on the TC path, ours on
 * the cgroup path. */
static uint32_t identify(const struct listener *listener,
			 const uv_tcp_t *handle)
{
	struct sockaddr_storage address;
	const struct sockaddr_in *in4 = (const void *)&address;
	const struct sockaddr_in6 *in6 = (const void *)&address;
	bool is_cgroup = cp_dns_listen_is_cgroup(listener->kind);
	int n = sizeof(address), r;

	if (is_cgroup)
		r = uv_tcp_getsockname(handle, (struct sockaddr *)&address, &n);
	else
		r = uv_tcp_getpeername(handle, (struct sockaddr *)&address, &n);
	if (r < 0)
		return 0;
	if (!cp_dns_listen_is_ipv6(listener->kind))
		return is_cgroup ?
			       cp_dns_identity_of_loopback4(&in4->sin_addr) :
			       cp_dns_identity_of_source4(&listener->dns,
							  &in4->sin_addr);
	return is_cgroup ? cp_dns_identity_of_loopback6(&listener->dns,
							&in6->sin6_addr) :
			   cp_dns_identity_of_source6(&listener->dns,
						      &in6->sin6_addr);
}

/* False: it is closed again. */
static bool admit(struct listener *listener, struct connection *connection)
{
	struct cp_dns_tcp *tcp = listener->tcp;
	uint32_t slot = identify(listener, &connection->handle);

	if (!slot || slot >= tcp->options.n_slots) {
		tcp->stats.n_refused++;
		return false;
	}
	if (tcp->n_slot[slot] >= CP_DNS_TCP_SLOT_MAX)
		evict(tcp, slot);
	else if (tcp->stats.n_connections >= tcp->options.connections_max)
		evict(tcp, 0);
	connection->slot = slot;
	connection->owner = owner_of(tcp, slot);
	tcp->n_slot[slot]++;
	tcp->stats.n_connections++;
	tcp->stats.n_accepted++;
	(void)uv_tcp_nodelay(&connection->handle, 1);
	return true;
}

/* libuv hears of no other connection before it has given this one away. */
static void take_connection(struct listener *listener)
{
	uv_stream_t *server = (uv_stream_t *)&listener->handle;
	struct cp_dns_tcp *tcp = listener->tcp;
	struct connection *connection;

	connection = calloc(1, sizeof(*connection));
	listener->is_waiting = !connection;
	if (!connection)
		return;
	connection->tcp = tcp;
	/* It only notes the loop. */
	(void)uv_tcp_init(tcp->options.loop, &connection->handle);
	connection->handle.data = connection;
	TAILQ_INSERT_TAIL(&tcp->connections, connection, lru);
	connection->active_ms = uv_now(tcp->options.loop);
	if (uv_accept(server, (uv_stream_t *)&connection->handle) < 0 ||
	    !admit(listener, connection))
		close_connection(connection);
	else
		advance(connection);
}

static void on_connection(uv_stream_t *server, int status)
{
	if (status == 0)
		take_connection(server->data);
}

static void on_sweep(uv_timer_t *timer)
{
	struct cp_dns_tcp *tcp = timer->data;
	uint64_t now_ms = uv_now(tcp->options.loop);
	struct connection *connection;

	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++) {
		if (tcp->listeners[i] && tcp->listeners[i]->is_waiting)
			take_connection(tcp->listeners[i]);
	}
	TAILQ_FOREACH(connection, &tcp->connections, lru) {
		if (now_ms - connection->active_ms < tcp->options.idle_ms)
			break;
		/* What waits for its answer is not idle, unless the client
		 * does not read what it got. */
		if (connection->is_closing ||
		    (connection->n_under_way &&
		     uv_stream_get_write_queue_size(
			     (uv_stream_t *)&connection->handle) == 0))
			continue;
		tcp->stats.n_expired++;
		close_connection(connection);
	}
}

int cp_dns_tcp_new(struct cp_dns_tcp **ret,
		   const struct cp_dns_tcp_options *options)
{
	struct cp_dns_tcp *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return -ENOMEM;
	tcp->options = *options;
	if (!tcp->options.idle_ms)
		tcp->options.idle_ms = CP_DNS_TCP_IDLE_MS;
	tcp->n_slot = calloc(options->n_slots, sizeof(*tcp->n_slot));
	if (!tcp->n_slot) {
		free(tcp);
		return -ENOMEM;
	}
	TAILQ_INIT(&tcp->connections);
	TAILQ_INIT(&tcp->resumed);
	(void)uv_timer_init(options->loop, &tcp->sweep);
	(void)uv_idle_init(options->loop, &tcp->go_on);
	tcp->n_handles = 2;
	tcp->sweep.data = tcp;
	tcp->go_on.data = tcp;
	(void)uv_timer_start(&tcp->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	*ret = tcp;
	return 0;
}

static void listener_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;
	struct cp_dns_tcp *tcp = listener->tcp;

	free(listener);
	tcp->n_handles--;
	end_if_done(tcp);
}

void cp_dns_tcp_unlisten(struct cp_dns_tcp *tcp, enum cp_dns_listen_kind kind)
{
	struct listener *listener = tcp->listeners[kind];

	tcp->listeners[kind] = NULL;
	if (listener)
		uv_close((uv_handle_t *)&listener->handle, listener_closed);
}

int cp_dns_tcp_listen(struct cp_dns_tcp *tcp, enum cp_dns_listen_kind kind,
		      const struct sn_dns *dns, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int r;

	if (!listener) {
		(void)close(fd);
		return -ENOMEM;
	}
	cp_dns_tcp_unlisten(tcp, kind);
	listener->tcp = tcp;
	listener->kind = kind;
	listener->dns = *dns;
	r = uv_tcp_init(tcp->options.loop, &listener->handle);
	if (r < 0) {
		free(listener);
		(void)close(fd);
		return r;
	}
	listener->handle.data = listener;
	tcp->n_handles++;
	tcp->listeners[kind] = listener;
	r = uv_tcp_open(&listener->handle, fd);
	if (r < 0)
		(void)close(fd);
	else
		r = uv_listen((uv_stream_t *)&listener->handle, BACKLOG,
			      on_connection);
	if (r < 0)
		cp_dns_tcp_unlisten(tcp, kind);
	return r;
}

static void handle_closed(uv_handle_t *handle)
{
	struct cp_dns_tcp *tcp = handle->data;

	tcp->n_handles--;
	end_if_done(tcp);
}

void cp_dns_tcp_close(struct cp_dns_tcp *tcp, void (*closed)(void *userdata),
		      void *userdata)
{
	struct connection *connection;

	tcp->is_closing = true;
	tcp->closed = closed;
	tcp->closed_userdata = userdata;
	for (int i = 0; i < CP_DNS_LISTEN_COUNT; i++)
		cp_dns_tcp_unlisten(tcp, (enum cp_dns_listen_kind)i);
	TAILQ_FOREACH(connection, &tcp->connections, lru)
		close_connection(connection);
	uv_close((uv_handle_t *)&tcp->sweep, handle_closed);
	uv_close((uv_handle_t *)&tcp->go_on, handle_closed);
}

void cp_dns_tcp_get_stats(const struct cp_dns_tcp *tcp,
			  struct cp_dns_tcp_stats *ret)
{
	*ret = tcp->stats;
}
