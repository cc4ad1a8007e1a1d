/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/rpc/server.h"

#include <sys/resource.h>

#include "test/unit/rpc_fixture.h"

/* Attaches over a new connection until the server has a place for it. */
static void t_attach_at_last(struct fixture *fixture)
{
	struct cp_rpc_client *client;
	struct cp_rpc_status status;
	unsigned int tries = 0;
	char id[64];
	int code;

	do {
		client = fixture_connect(fixture);
		code = attach(client, "x", id, sizeof(id), &status);
		(void)cp_rpc_client_free(client);
	} while (code && ++tries < 10000);
	t_eq(code, 0);
}

static void two_hundred_connections_meet_a_limit_of_64(void)
{
	enum { N = 200, LIMIT = 64 };
	struct fixture fixture = { .options.max_connections = LIMIT };
	unsigned int n_served = 0;
	int fds[N];
	char byte;

	fixture_start(&fixture);
	for (unsigned int i = 0; i < N; i++)
		fds[i] = raw_connect(&fixture);
	/* Who is served hears the server's settings, who is not is hung up. */
	for (unsigned int i = 0; i < N; i++)
		n_served += read(fds[i], &byte, 1) == 1;
	t_eq(n_served, LIMIT);
	t_eq(fixture_count(&fixture)->n_connections, LIMIT);
	t_eq(fixture.stats.n_connections_refused, N - LIMIT);
	for (unsigned int i = 0; i < N; i++)
		t_eq(close(fds[i]), 0);
	t_attach_at_last(&fixture);
	fixture_stop(&fixture);
}

static void a_connection_that_has_ended_frees_its_place(void)
{
	struct fixture fixture = { .options.max_connections = 4 };

	fixture_start(&fixture);
	for (unsigned int i = 0; i < 300; i++)
		t_attach_at_last(&fixture);
	fixture_stop(&fixture);
	t_true(fixture.stats.n_connections <= 4);
	t_true(fixture.stats.n_accepted >= 300);
}

static void calls_are_limited_per_connection(void)
{
	struct fixture fixture = { .options.max_calls_per_connection = 2 };
	struct cp_rpc_client_stream *streams[2];
	struct cp_rpc_client *client;
	struct cp_rpc_client *other;
	struct cp_rpc_status status;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	other = fixture_connect(&fixture);
	for (unsigned int i = 0; i < 2; i++) {
		streams[i] = start_attach(client, "hold");
		uv_sem_wait(&fixture.held);
	}
	t_eq(attach(client, "x", id, sizeof(id), &status),
	     GRPC_STATUS_RESOURCE_EXHAUSTED);
	t_eq(attach(other, "x", id, sizeof(id), &status), 0);
	(void)cp_rpc_client_stream_free(streams[0]);
	uv_sem_wait(&fixture.cancelled);
	t_eq(attach(client, "x", id, sizeof(id), &status), 0);
	(void)cp_rpc_client_stream_free(streams[1]);
	(void)cp_rpc_client_free(client);
	(void)cp_rpc_client_free(other);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_calls_refused, 1);
}

static void calls_are_limited_in_total(void)
{
	struct fixture fixture = { .options.max_calls = 3 };
	struct cp_rpc_client_stream *streams[3];
	struct cp_rpc_client *clients[3];
	struct cp_rpc_client *other;
	struct cp_rpc_status status;
	char id[64];

	fixture_start(&fixture);
	other = fixture_connect(&fixture);
	for (unsigned int i = 0; i < 3; i++) {
		clients[i] = fixture_connect(&fixture);
		streams[i] = start_attach(clients[i], "hold");
		uv_sem_wait(&fixture.held);
	}
	t_eq(attach(other, "x", id, sizeof(id), &status),
	     GRPC_STATUS_RESOURCE_EXHAUSTED);
	for (unsigned int i = 0; i < 3; i++) {
		(void)cp_rpc_client_stream_free(streams[i]);
		(void)cp_rpc_client_free(clients[i]);
	}
	(void)cp_rpc_client_free(other);
	fixture_stop(&fixture);
}

static void an_oversized_request_is_refused(void)
{
	enum { LIMIT = 64 * 1024 };
	struct fixture fixture = { .options.max_message_bytes = LIMIT };
	static char name[LIMIT + 1];
	struct cp_rpc_client *client;
	struct cp_rpc_status status;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	(void)memset(name, 'x', LIMIT - 100);
	t_eq(attach(client, name, id, sizeof(id), &status), 0);
	(void)memset(name, 'x', LIMIT);
	t_eq(attach(client, name, id, sizeof(id), &status),
	     GRPC_STATUS_RESOURCE_EXHAUSTED);
	t_eq(attach(client, "x", id, sizeof(id), &status), 0);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

/* Collected in full, it would take this much of the server's memory before
 * it is found to be over the limit. */
static void a_huge_request_is_cut_off_on_the_way(void)
{
	enum { LIMIT = 16 << 20, HUGE = 96 << 20 };
	struct fixture fixture = { .options.max_memory_bytes = LIMIT };
	char *name = malloc(HUGE + 1);
	struct cp_rpc_client *client;
	struct cp_rpc_status status;
	char id[64];

	t_true(name != NULL);
	(void)memset(name, 'x', HUGE);
	name[HUGE] = '\0';
	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	t_true(attach(client, name, id, sizeof(id), &status) != GRPC_STATUS_OK);
	t_true(!strstr(status.text, "larger than max"));
	(void)cp_rpc_client_free(client);
	free(name);
	t_attach_at_last(&fixture);
	fixture_stop(&fixture);
}

static void an_oversized_answer_is_a_status(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client *client;
	struct cp_rpc_status status;
	char id[64];

	fixture_start(&fixture);
	client = fixture_connect(&fixture);
	t_eq(attach(client, "large", id, sizeof(id), &status),
	     GRPC_STATUS_RESOURCE_EXHAUSTED);
	t_str_eq(status.text, "the answer is over the message limit");
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static int call_attach(struct cp_rpc_client *client,
		       const Sentinel__V1__AttachRequest *request,
		       struct cp_rpc_status *status)
{
	ProtobufCMessage *message = NULL;

	t_eq(cp_rpc_client_call(client, ATTACH, &request->base,
				&sentinel__v1__attach_response__descriptor,
				&message, status),
	     CP_RPC_CLIENT_E_STATUS);
	return status->code;
}

static void bad_requests_are_refused_with_the_field(void)
{
	struct fixture fixture = { 0 };
	uint8_t value[] = { 1 };
	ProtobufCMessageUnknownField unknown = {
		.tag = 99,
		.wire_type = PROTOBUF_C_WIRE_TYPE_VARINT,
		.len = 1,
		.data = value,
	};
	Sentinel__V1__AttachRequest request;
	char name[] = "\xff";
	struct cp_rpc_client *client;
	struct cp_rpc_status status;

	fixture_start(&fixture);
	client = fixture_connect(&fixture);

	sentinel__v1__attach_request__init(&request);
	request.mode = (Sentinel__V1__Mode)77;
	t_eq(call_attach(client, &request, &status),
	     GRPC_STATUS_INVALID_ARGUMENT);
	t_str_eq(status.text, "mode: has a value that is not known");

	sentinel__v1__attach_request__init(&request);
	request.base.n_unknown_fields = 1;
	request.base.unknown_fields = &unknown;
	t_eq(call_attach(client, &request, &status),
	     GRPC_STATUS_INVALID_ARGUMENT);
	t_str_eq(status.text, "unknown field 99 of AttachRequest");

	sentinel__v1__attach_request__init(&request);
	request.cgroup_path = name;
	t_eq(call_attach(client, &request, &status),
	     GRPC_STATUS_INVALID_ARGUMENT);
	t_str_eq(status.text, "cgroup_path: is not valid UTF-8");

	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_messages_refused, 3);
	t_eq(fixture.stats.n_calls_started, 0);
}

static void garbage_ends_the_connection(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client *client;
	struct cp_rpc_status status;
	char bytes[4096];
	ssize_t n;
	char id[64];
	int fd;

	fixture_start(&fixture);
	fd = raw_connect(&fixture);
	(void)memset(bytes, 'G', sizeof(bytes));
	t_eq(send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
	do {
		n = read(fd, bytes, sizeof(bytes));
	} while (n > 0);
	(void)close(fd);
	client = fixture_connect(&fixture);
	t_eq(attach(client, "x", id, sizeof(id), &status), 0);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static void an_idle_connection_is_closed(void)
{
	struct fixture fixture = { .options.idle_ms = 50 };
	/* Preface and empty settings, then silence. */
	static const char hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				    "\0\0\0\4\0\0\0\0\0";
	char bytes[4096];
	ssize_t n;
	int fd;

	fixture_start(&fixture);
	fd = raw_connect(&fixture);
	t_eq(send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL),
	     sizeof(hello) - 1);
	do {
		n = read(fd, bytes, sizeof(bytes));
	} while (n > 0);
	t_eq(n, 0);
	(void)close(fd);
	fixture_stop(&fixture);
}

static void running_out_of_descriptors_is_survived(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct fixture fixture = { 0 };
	struct rlimit before;
	struct rlimit full;
	char byte;
	int lowest;
	int fd;

	fixture_start(&fixture);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		       fixture.path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_true(fd >= 0);
	lowest = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	t_eq(close(lowest), 0);
	t_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	full = before;
	full.rlim_cur = (rlim_t)lowest;
	t_eq(setrlimit(RLIMIT_NOFILE, &full), 0);
	t_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	/* The server cannot keep it, and hangs up rather than let it wait. */
	t_eq(read(fd, &byte, 1), 0);
	t_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	t_eq(close(fd), 0);
	t_attach_at_last(&fixture);
	fixture_stop(&fixture);
	t_eq(fixture.stats.n_connections_refused, 1);
}

static int try_server(struct fixture *fixture, const char *path,
		      struct sn_diag *diag)
{
	struct cp_rpc_server_options options = fixture->options;
	struct cp_rpc_server *server = NULL;
	uv_loop_t loop;
	int r;

	options.path = path;
	t_eq(uv_loop_init(&loop), 0);
	r = cp_rpc_server_new(&server, &loop, &options, diag);
	if (!r)
		cp_rpc_server_stop(server, 0, NULL, NULL);
	t_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	t_eq(uv_loop_close(&loop), 0);
	return r;
}

static void a_second_server_on_the_path_is_refused(void)
{
	struct fixture fixture = { 0 };
	struct cp_rpc_client *client;
	struct cp_rpc_status status;
	struct sn_diag diag = { 0 };
	char text[128];
	char id[64];

	fixture_start(&fixture);
	t_eq(try_server(&fixture, fixture.path, &diag), CP_RPC_SERVER_E_BUSY);
	(void)snprintf(text, sizeof(text), "another server holds %s",
		       fixture.path);
	t_str_eq(diag.text, text);
	client = fixture_connect(&fixture);
	t_eq(attach(client, "x", id, sizeof(id), &status), 0);
	(void)cp_rpc_client_free(client);
	fixture_stop(&fixture);
}

static void a_stale_socket_is_replaced_and_a_file_is_not(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct fixture fixture = { .options.gid = (gid_t)-1 };
	char directory[] = "/tmp/sn-rpc-XXXXXX";
	struct sn_diag diag = { 0 };
	struct stat st;
	char path[64];
	char lock[80];
	int fd;

	t_true(mkdtemp(directory) != NULL);
	(void)snprintf(path, sizeof(path), "%s/s", directory);
	(void)snprintf(lock, sizeof(lock), "%s.lock", path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	t_eq(close(fd), 0);
	t_eq(try_server(&fixture, path, &diag), 0);
	t_true(stat(path, &st) < 0);

	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	t_true(fd >= 0);
	t_eq(close(fd), 0);
	t_eq(try_server(&fixture, path, &diag), CP_RPC_SERVER_E_PATH);
	t_eq(stat(path, &st), 0);
	t_true(S_ISREG(st.st_mode));
	t_eq(unlink(path), 0);
	t_eq(unlink(lock), 0);
	t_eq(rmdir(directory), 0);
	t_eq(try_server(&fixture, "", &diag), CP_RPC_SERVER_E_PATH);
	t_eq(try_server(&fixture, "/nonexistent/s", &diag), -ENOENT);
}

static void the_socket_is_for_owner_and_group(void)
{
	struct fixture fixture = { .options.gid = getegid() };
	struct stat st;

	if (!geteuid())
		fixture.options.gid = 65534;
	fixture_start(&fixture);
	t_eq(stat(fixture.path, &st), 0);
	t_eq(st.st_mode & 07777, 0660);
	t_eq(st.st_gid, fixture.options.gid);
	fixture_stop(&fixture);
}

static void t_unreachable(const char *path, int code, const char *reason)
{
	struct cp_rpc_client *client = NULL;
	struct cp_rpc_status status;
	char text[256];

	t_eq(cp_rpc_client_new(&client, path, 1000, &status),
	     CP_RPC_CLIENT_E_STATUS);
	t_true(!client);
	t_eq(status.code, code);
	(void)snprintf(text, sizeof(text), "cannot connect to %s: %s", path,
		       reason);
	t_str_eq(status.text, text);
}

static void a_client_says_why_it_cannot_connect(void)
{
	struct fixture fixture = { 0 };
	char path[80];
	int fd;

	fixture_start(&fixture);
	(void)snprintf(path, sizeof(path), "%s/none", fixture.directory);
	t_unreachable(path, GRPC_STATUS_UNAVAILABLE,
		      "No such file or directory");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	t_unreachable(path, GRPC_STATUS_UNAVAILABLE, "Connection refused");
	t_eq(unlink(path), 0);
	if (!geteuid()) {
		t_eq(seteuid(65534), 0);
		t_unreachable(fixture.path, GRPC_STATUS_PERMISSION_DENIED,
			      "Permission denied");
		t_eq(seteuid(0), 0);
	}
	fixture_stop(&fixture);
}

static void a_client_gives_up_on_a_server_that_does_not_accept(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[] = "/tmp/sn-rpc-XXXXXX";
	struct cp_rpc_client *client = NULL;
	struct cp_rpc_status status;
	char text[256];
	char id[64];
	int fd;

	t_true(mkdtemp(directory) != NULL);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s",
		       directory);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	t_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	t_eq(listen(fd, 0), 0);
	/* The backlog holds one, whose call meets its deadline. */
	t_eq(cp_rpc_client_new(&client, address.sun_path, 50, &status), 0);
	t_eq(attach(client, "x", id, sizeof(id), &status),
	     GRPC_STATUS_DEADLINE_EXCEEDED);
	(void)snprintf(text, sizeof(text), "cannot connect to %s: timed out",
		       address.sun_path);
	{
		struct cp_rpc_client *second = NULL;

		t_eq(cp_rpc_client_new(&second, address.sun_path, 50, &status),
		     CP_RPC_CLIENT_E_STATUS);
		t_str_eq(status.text, text);
	}
	(void)cp_rpc_client_free(client);
	(void)close(fd);
	t_eq(unlink(address.sun_path), 0);
	t_eq(rmdir(directory), 0);
}

T_MAIN("rpc_limits", two_hundred_connections_meet_a_limit_of_64,
       a_connection_that_has_ended_frees_its_place,
       calls_are_limited_per_connection, calls_are_limited_in_total,
       an_oversized_request_is_refused, a_huge_request_is_cut_off_on_the_way,
       an_oversized_answer_is_a_status, bad_requests_are_refused_with_the_field,
       garbage_ends_the_connection, an_idle_connection_is_closed,
       running_out_of_descriptors_is_survived,
       a_second_server_on_the_path_is_refused,
       a_stale_socket_is_replaced_and_a_file_is_not,
       the_socket_is_for_owner_and_group, a_client_says_why_it_cannot_connect,
       a_client_gives_up_on_a_server_that_does_not_accept)
