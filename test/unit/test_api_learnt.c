// SPDX-License-Identifier: Apache-2.0
#include "controld/api/api.h"

#include "controld/rpc/client.h"
#include "controld/rpc/core.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/daemon.pb-c.h"
#include "test/unit/test_attach_learn.h"

#define SERVICE "/sentinel.v1.DaemonService/"

enum { ROWS_MAX = 16 };

/* What a client's thread read; it records instead of asserting. */
struct reader {
	char path[96];
	char id[CP_ATTACH_ID_CHARS + 1];
	uint32_t page_size;
	uv_async_t done;
	bool is_done;
	size_t n_pages;
	size_t n_rows;
	char rows[ROWS_MAX][128]; /* "name address ports rule" */
	uint64_t remaining_s[ROWS_MAX];
	uint32_t n_names, n_addresses;
	char failed[512];
};

static void *call(struct reader *reader, struct cp_rpc_client *client,
		  const char *method, const ProtobufCMessage *request,
		  const ProtobufCMessageDescriptor *response)
{
	struct cp_rpc_status status = { .code = 0 };
	ProtobufCMessage *answer = NULL;

	if (cp_rpc_client_call(client, method, request, response, &answer,
			       &status) == 0)
		return answer;
	(void)snprintf(reader->failed, sizeof(reader->failed), "%s: %.400s",
		       method, status.text);
	return NULL;
}

static void note_page(struct reader *reader,
		      const Sentinel__V1__ListLearntResponse *page)
{
	reader->n_pages++;
	for (size_t i = 0; i < page->n_learnt && reader->n_rows < ROWS_MAX;
	     i++) {
		const Sentinel__V1__Learnt *one = page->learnt[i];

		(void)snprintf(reader->rows[reader->n_rows],
			       sizeof(reader->rows[0]), "%s %s %s %u",
			       one->name, one->address,
			       one->n_ports ? one->ports[0] : "any",
			       one->rule_id);
		reader->remaining_s[reader->n_rows++] = one->remaining_seconds;
	}
}

static void read_pages(struct reader *reader, struct cp_rpc_client *client)
{
	Sentinel__V1__ListLearntRequest request;
	Sentinel__V1__ListLearntResponse *page;
	char token[CP_DNS_NAME_TEXT_BYTES + 64] = "";

	do {
		sentinel__v1__list_learnt_request__init(&request);
		request.id = reader->id;
		request.page_size = reader->page_size;
		request.page_token = token;
		page = call(reader, client, SERVICE "ListLearnt", &request.base,
			    &sentinel__v1__list_learnt_response__descriptor);
		if (!page)
			return;
		note_page(reader, page);
		(void)snprintf(token, sizeof(token), "%s",
			       page->next_page_token);
		cp_rpc_message_free(&page->base);
	} while (token[0] && reader->n_pages < ROWS_MAX);
}

static void read_all(void *userdata)
{
	struct reader *reader = userdata;
	struct cp_rpc_status status = { .code = 0 };
	struct cp_rpc_client *client = NULL;
	Sentinel__V1__GetRequest request;
	Sentinel__V1__GetResponse *got;

	sentinel__v1__get_request__init(&request);
	request.id = reader->id;
	if (cp_rpc_client_new(&client, reader->path, 20000, &status) == 0) {
		read_pages(reader, client);
		got = call(reader, client, SERVICE "Get", &request.base,
			   &sentinel__v1__get_response__descriptor);
		if (got) {
			reader->n_names = got->attachment->learnt_names;
			reader->n_addresses = got->attachment->learnt_addresses;
			cp_rpc_message_free(&got->base);
		}
	}
	cp_rpc_client_free(client);
	(void)uv_async_send(&reader->done);
}

static void reader_done(uv_async_t *handle)
{
	struct reader *reader = handle->data;

	reader->is_done = true;
	uv_close((uv_handle_t *)handle, NULL);
}

static void run_reader(struct rig *rig, struct reader *reader)
{
	struct sn_diag diag = { 0 };
	struct cp_api *api = NULL;
	uv_thread_t thread;
	const struct cp_api_options options = {
		.loop = &rig->loop,
		.manager = rig->manager,
		.path = reader->path,
		.gid = (gid_t)-1,
		.version = "1",
		.daemon_id = "2",
		.max_message_bytes = 1 << 20,
		.max_connections = 4,
		.max_policy_bytes = 1 << 20,
		.max_rules = 1000,
	};

	(void)snprintf(reader->path, sizeof(reader->path), "%s/api.sock",
		       rig->folder);
	cp_rpc_core_init();
	t_eq(cp_api_new(&api, &options, &diag), 0);
	reader->done.data = reader;
	t_eq(uv_async_init(&rig->loop, &reader->done, reader_done), 0);
	t_eq(uv_thread_create(&thread, read_all, reader), 0);
	TURN_UNTIL(rig, reader->is_done);
	t_eq(uv_thread_join(&thread), 0);
	rig->is_closed = false;
	cp_api_stop(api, 1000, note_closed, rig);
	TURN_UNTIL(rig, rig->is_closed);
	close_daemon(rig);
	cp_api_free(api);
	rig_free(rig);
	cp_rpc_core_done();
	t_str_eq(reader->failed, "");
}

static struct rig *teach(struct reader *reader)
{
	struct rig *rig = rig_new();
	struct cp_policy *with = policy("10.0.0.0/8", NULL, NULL);
	struct cp_dns_rule rule =
		domain_port(SN_VERDICT_ALLOW, "b.example", 443);
	struct outcome outcome;

	with_domain(with, SN_VERDICT_ALLOW, "a.example");
	t_eq(cp_policy_add_domain(with, &rule, NULL, NULL), 0);
	outcome = attach_workload(rig, with);
	(void)memcpy(reader->id, outcome.result.id, sizeof(reader->id));
	t_eq(learn(rig, "b.example", 2, 2, 60), CP_ATTACH_DNS_LEARN_OK);
	t_eq(learn(rig, "a.example", 1, 3, 30), CP_ATTACH_DNS_LEARN_OK);
	return rig;
}

/* The order is that of names and then addresses, whatever was learnt first. */
static void is_all_of_it(const struct reader *reader)
{
	static const char *const rows[] = {
		"a.example 198.51.0.1 any 2",
		"a.example 198.51.0.2 any 2",
		"a.example 198.51.0.3 any 2",
		"b.example 198.51.0.2 443/tcp 3",
		"b.example 198.51.0.3 443/tcp 3",
	};

	t_eq(reader->n_rows, SN_ARRAY_SIZE(rows));
	for (size_t i = 0; i < SN_ARRAY_SIZE(rows); i++) {
		t_str_eq(reader->rows[i], rows[i]);
		t_eq(reader->remaining_s[i], i < 3 ? 30 : 60);
	}
	t_eq(reader->n_names, 2);
	t_eq(reader->n_addresses, 3);
}

static void what_was_learnt_is_listed_in_order(void)
{
	struct reader reader = { .page_size = 0 };

	run_reader(teach(&reader), &reader);
	t_eq(reader.n_pages, 1);
	is_all_of_it(&reader);
}

static void pages_go_on_where_the_last_one_ended(void)
{
	struct reader reader = { .page_size = 2 };

	run_reader(teach(&reader), &reader);
	t_eq(reader.n_pages, 3);
	is_all_of_it(&reader);
}

T_MAIN("api_learnt", what_was_learnt_is_listed_in_order,
       pages_go_on_where_the_last_one_ended)
