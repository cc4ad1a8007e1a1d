/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/api/api.h"

#include <grpc/status.h>
#include <stdatomic.h>

#include "controld/api/pending.h"
#include "controld/api/validate.h"
#include "controld/rpc/client.h"
#include "controld/rpc/core.h"
#include "controld/rpc/message.h"
#include "test/unit/test_attach_rig.h"

#define SERVICE "/sentinel.v1.DaemonService/"

static Sentinel__V1__AttachRequest attach_request(char *iface, char *cgroup)
{
	Sentinel__V1__AttachRequest ret;

	sentinel__v1__attach_request__init(&ret);
	ret.interface_name = iface;
	ret.cgroup_path = cgroup;
	return ret;
}

/* 255 bytes, as many as a directory's name may have. */
#define X5	  "xxxxx"
#define X85	  X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5 X5
#define LONG_NAME X85 X85 X85

static void targets_are_checked_by_field(void)
{
	static const struct {
		const char *iface, *cgroup;
		Sentinel__V1__Role role;
		const char *field; /* NULL: accepted */
	} cases[] = {
		{ "eth0", "", 0, NULL },
		{ "eth0", "", 1, NULL },
		{ "", "/sys/fs/cgroup/a", 0, NULL },
		{ "", "", 0, "interface_name" },
		{ "eth0", "/a", 0, "cgroup_path" },
		{ "sixteen-bytes-xx", "", 0, "interface_name" },
		{ "a/b", "", 0, "interface_name" },
		{ "a b", "", 0, "interface_name" },
		{ "..", "", 0, "interface_name" },
		{ "", "relative", 0, "cgroup_path" },
		{ "", "/a/../b", 0, "cgroup_path" },
		{ "", "/a", 1, "role" },
		{ "", "/a/b/", 0, "cgroup_path" },
		{ "", "//a", 0, "cgroup_path" },
		{ "", "/a/.", 0, "cgroup_path" },
		{ "", "/a/..", 0, "cgroup_path" },
		{ "", "/" LONG_NAME, 0, NULL },
		{ "", "/" LONG_NAME "x", 0, "cgroup_path" },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		struct cp_attach_pair pairs[CP_ATTACH_METADATA_MAX];
		struct cp_attach_request request = { 0 };
		struct sn_diag diag = { 0 };
		char iface[64], cgroup[300];
		Sentinel__V1__AttachRequest message =
			attach_request(iface, cgroup);

		(void)snprintf(iface, sizeof(iface), "%s", cases[i].iface);
		(void)snprintf(cgroup, sizeof(cgroup), "%s", cases[i].cgroup);
		message.role = cases[i].role;
		t_eq(cp_api_validate_attach(&message, &request, pairs, &diag),
		     cases[i].field ? CP_API_VALIDATE_E_INVALID : 0);
		t_str_eq(diag.field, cases[i].field ? cases[i].field : "");
		t_eq(diag.text[0] != '\0', cases[i].field != NULL);
	}
}

static int check_pairs(char *const (*texts)[2], size_t n)
{
	static Sentinel__V1__AttachRequest__MetadataEntry
		entries[CP_ATTACH_METADATA_MAX + 1];
	Sentinel__V1__AttachRequest__MetadataEntry
		*ptrs[CP_ATTACH_METADATA_MAX + 1];
	struct cp_attach_pair pairs[CP_ATTACH_METADATA_MAX];
	struct cp_attach_request request = { 0 };
	struct sn_diag diag = { 0 };
	Sentinel__V1__AttachRequest message =
		attach_request((char[]){ "eth0" }, (char[]){ "" });
	int r;

	for (size_t i = 0; i < n; i++) {
		sentinel__v1__attach_request__metadata_entry__init(&entries[i]);
		entries[i].key = texts[i][0];
		entries[i].value = texts[i][1];
		ptrs[i] = &entries[i];
	}
	message.metadata = ptrs;
	message.n_metadata = n;
	r = cp_api_validate_attach(&message, &request, pairs, &diag);
	t_str_eq(diag.field, r ? "metadata" : "");
	return r;
}

static void metadata_is_bounded(void)
{
	static char keys[CP_ATTACH_METADATA_MAX + 1][8];
	static char empty[] = "", a[] = "a", dup[] = "a", space[] = "a b";
	char *texts[CP_ATTACH_METADATA_MAX + 1][2];
	char long_key[65], long_value[257];

	memset(long_key, 'k', sizeof(long_key));
	long_key[64] = '\0';
	memset(long_value, 'v', sizeof(long_value));
	long_value[256] = '\0';
	for (size_t i = 0; i <= CP_ATTACH_METADATA_MAX; i++) {
		(void)snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
		texts[i][0] = keys[i];
		texts[i][1] = empty;
	}
	t_eq(check_pairs(texts, CP_ATTACH_METADATA_MAX), 0);
	t_eq(check_pairs(texts, CP_ATTACH_METADATA_MAX + 1), 1);
	t_eq(check_pairs((char *[][2]){ { a, empty }, { dup, empty } }, 2), 1);
	t_eq(check_pairs((char *[][2]){ { empty, a } }, 1), 1);
	t_eq(check_pairs((char *[][2]){ { space, a } }, 1), 1);
	t_eq(check_pairs((char *[][2]){ { long_key, a } }, 1), 1);
	t_eq(check_pairs((char *[][2]){ { long_key + 1, a } }, 1), 0);
	t_eq(check_pairs((char *[][2]){ { a, long_value } }, 1), 1);
	t_eq(check_pairs((char *[][2]){ { a, long_value + 1 } }, 1), 0);
}

static void ids_pages_and_tokens_are_checked(void)
{
	static const char *const bad_ids[] = {
		"",
		"0",
		"0123456789ABCDEF0123456789abcdef",
		"0123456789abcdef0123456789abcdef0",
		"0123456789abcdef0123456789abcde",
		"../../etc/passwd",
	};
	static const char *const bad_tokens[] = { "x", "-1", "4294967296",
						  "99999999999", "1 " };
	struct sn_diag diag = { 0 };
	uint32_t value;

	t_eq(cp_api_validate_id("0123456789abcdef0123456789abcdef", &diag), 0);
	for (size_t i = 0; i < SN_ARRAY_SIZE(bad_ids); i++)
		t_eq(cp_api_validate_id(bad_ids[i], &diag), 1);
	t_str_eq(diag.field, "id");
	t_eq(cp_api_validate_prefix("", &diag), 0);
	t_eq(cp_api_validate_prefix("0a", &diag), 0);
	t_eq(cp_api_validate_prefix("0g", &diag), 1);
	t_eq(cp_api_validate_page(0, 100, 1000, &value, &diag), 0);
	t_eq(value, 100);
	t_eq(cp_api_validate_page(1000, 100, 1000, &value, &diag), 0);
	t_eq(value, 1000);
	t_eq(cp_api_validate_page(1001, 100, 1000, &value, &diag), 1);
	t_eq(cp_api_validate_rule_token("", &value, &diag), 0);
	t_eq(value, 0);
	t_eq(cp_api_validate_rule_token("4294967295", &value, &diag), 0);
	t_eq(value, UINT32_MAX);
	for (size_t i = 0; i < SN_ARRAY_SIZE(bad_tokens); i++)
		t_eq(cp_api_validate_rule_token(bad_tokens[i], &value, &diag),
		     1);
}

static void a_mode_must_not_contradict_the_policy(void)
{
	static const struct {
		Sentinel__V1__Mode own, in_policy;
		int r;
		enum sn_mode mode;
	} cases[] = {
		{ 0, 0, 0, SN_MODE_ALLOWLIST },
		{ 3, 0, 0, SN_MODE_DENYLIST },
		{ 0, 4, 0, SN_MODE_BLOCK_ALL },
		{ 3, 3, 0, SN_MODE_DENYLIST },
		{ 3, 2, CP_API_VALIDATE_E_INVALID, SN_MODE_ALLOWLIST },
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		Sentinel__V1__AttachRequest message =
			attach_request((char[]){ "eth0" }, (char[]){ "" });
		Sentinel__V1__Policy inner;
		struct cp_policy *model = NULL;
		struct sn_diag diag = { 0 };

		sentinel__v1__policy__init(&inner);
		inner.mode = cases[i].in_policy;
		message.mode = cases[i].own;
		message.audit = i == 0;
		message.policy = &inner;
		t_eq(cp_policy_convert_policy(&inner, 10, CP_POLICY_OWNER_LOCAL,
					      "policy", &model, &diag),
		     0);
		t_eq(cp_api_validate_mode(&message, model, &diag), cases[i].r);
		t_str_eq(diag.field, cases[i].r ? "mode" : "");
		t_eq(cp_policy_get_settings(model).mode, cases[i].mode);
		t_eq(cp_policy_get_settings(model).audit, i == 0);
		cp_policy_free(model);
	}
}

/* The client's thread. It records instead of asserting. */
struct script {
	char path[96];
	struct cp_rpc_client *client;
	uv_async_t done;
	bool is_done;
	char failed[2048];
	struct cp_rpc_status status;
	char id[CP_ATTACH_ID_CHARS + 1];
};

#define EXPECT(script, condition)                                           \
	do {                                                                \
		if (!(condition) && !(script)->failed[0])                   \
			(void)snprintf((script)->failed,                    \
				       sizeof((script)->failed),            \
				       "%d: %s (%s)", __LINE__, #condition, \
				       (script)->status.text);              \
	} while (0)

/* NULL: script->status says why. */
static ProtobufCMessage *call(struct script *script, const char *method,
			      const ProtobufCMessage *request,
			      const ProtobufCMessageDescriptor *response)
{
	ProtobufCMessage *answer = NULL;

	script->status = (struct cp_rpc_status){ 0 };
	if (cp_rpc_client_call(script->client, method, request, response,
			       &answer, &script->status) != 0)
		return NULL;
	return answer;
}

static void call_attach(struct script *script)
{
	static char lo[] = "lo", empty[] = "";
	Sentinel__V1__AttachRequest request = attach_request(lo, empty);
	Sentinel__V1__AttachResponse *answer;

	answer = (void *)call(script, SERVICE "Attach", &request.base,
			      &sentinel__v1__attach_response__descriptor);
	EXPECT(script, answer && answer->n_notes > 0);
	if (answer)
		(void)snprintf(script->id, sizeof(script->id), "%s",
			       answer->id);
	cp_rpc_message_free((void *)answer);
	EXPECT(script, !call(script, SERVICE "Attach", &request.base,
			     &sentinel__v1__attach_response__descriptor));
	EXPECT(script, script->status.code == GRPC_STATUS_ALREADY_EXISTS);
	request.mode = SENTINEL__V1__MODE__MODE_DENYLIST;
	request.interface_name = empty;
	EXPECT(script, !call(script, SERVICE "Attach", &request.base,
			     &sentinel__v1__attach_response__descriptor));
	EXPECT(script, script->status.code == GRPC_STATUS_INVALID_ARGUMENT);
	EXPECT(script, strstr(script->status.text, "interface_name:"));
}

static void call_allow(struct script *script, const char *cidr, int code)
{
	Sentinel__V1__AllowCIDRRequest request;
	Sentinel__V1__AllowCIDRResponse *answer;
	char text[64];

	(void)snprintf(text, sizeof(text), "%s", cidr);
	sentinel__v1__allow_cidrrequest__init(&request);
	request.id = script->id;
	request.cidr = text;
	request.ttl_seconds = 60;
	answer = (void *)call(script, SERVICE "AllowCIDR", &request.base,
			      &sentinel__v1__allow_cidrresponse__descriptor);
	EXPECT(script, script->status.code == code);
	EXPECT(script, !answer || answer->rule_id > 0);
	if (code)
		EXPECT(script, strstr(script->status.text, "cidr:"));
	cp_rpc_message_free((void *)answer);
}

/* Refused before it reaches the manager. */
static void call_deny(struct script *script)
{
	static char cidr[] = "192.0.2.1/24", tcp[] = "443/tcp",
		    udp[] = "8000-8100/udp";
	char *ports[] = { tcp, udp };
	Sentinel__V1__DenyCIDRRequest request;

	sentinel__v1__deny_cidrrequest__init(&request);
	request.id = script->id;
	request.cidr = cidr;
	request.ports = ports;
	request.n_ports = 2;
	EXPECT(script, !call(script, SERVICE "DenyCIDR", &request.base,
			     &sentinel__v1__deny_cidrresponse__descriptor));
	EXPECT(script, script->status.code == GRPC_STATUS_INVALID_ARGUMENT);
	cidr[8] = '0';
	request.cidr = cidr;
	cp_rpc_message_free(call(script, SERVICE "DenyCIDR", &request.base,
				 &sentinel__v1__deny_cidrresponse__descriptor));
	EXPECT(script, script->status.code == 0);
}

static void call_remove(struct script *script, int code)
{
	Sentinel__V1__RemoveCIDRRequest request;

	sentinel__v1__remove_cidrrequest__init(&request);
	request.id = script->id;
	request.cidr = (char[]){ "192.0.2.0/24" };
	cp_rpc_message_free(
		call(script, SERVICE "RemoveCIDR", &request.base,
		     &sentinel__v1__remove_cidrresponse__descriptor));
	EXPECT(script, script->status.code == code);
}

static void call_mode(struct script *script)
{
	Sentinel__V1__SetModeRequest request;

	sentinel__v1__set_mode_request__init(&request);
	request.id = script->id;
	request.mode = SENTINEL__V1__MODE__MODE_BLOCK_ALL;
	request.audit = 1;
	cp_rpc_message_free(call(script, SERVICE "SetMode", &request.base,
				 &sentinel__v1__set_mode_response__descriptor));
	EXPECT(script, script->status.code == 0);
}

static void call_reads(struct script *script)
{
	Sentinel__V1__ListRequest list;
	Sentinel__V1__ListResponse *listed;
	Sentinel__V1__GetRulesRequest rules;
	Sentinel__V1__GetRulesResponse *ruled;
	Sentinel__V1__GetStatusRequest status;
	Sentinel__V1__GetStatusResponse *stated;

	sentinel__v1__list_request__init(&list);
	listed = (void *)call(script, SERVICE "List", &list.base,
			      &sentinel__v1__list_response__descriptor);
	EXPECT(script, listed && listed->n_attachments == 1);
	EXPECT(script, listed && listed->attachments[0]->rules == 3);
	EXPECT(script, listed && !listed->next_page_token[0]);
	cp_rpc_message_free((void *)listed);

	sentinel__v1__get_rules_request__init(&rules);
	rules.id = script->id;
	rules.page_size = 2;
	ruled = (void *)call(script, SERVICE "GetRules", &rules.base,
			     &sentinel__v1__get_rules_response__descriptor);
	EXPECT(script, ruled && ruled->n_rules == 2);
	EXPECT(script, ruled && strcmp(ruled->next_page_token, "3") == 0);
	EXPECT(script, ruled && ruled->rules[0]->ttl_seconds == 60);
	cp_rpc_message_free((void *)ruled);
	rules.page_token = (char[]){ "3" };
	ruled = (void *)call(script, SERVICE "GetRules", &rules.base,
			     &sentinel__v1__get_rules_response__descriptor);
	EXPECT(script, ruled && ruled->n_rules == 1);
	EXPECT(script, ruled && !ruled->next_page_token[0]);
	cp_rpc_message_free((void *)ruled);

	sentinel__v1__get_status_request__init(&status);
	stated = (void *)call(script, SERVICE "GetStatus", &status.base,
			      &sentinel__v1__get_status_response__descriptor);
	EXPECT(script, stated && stated->attachments == 1);
	EXPECT(script, stated && stated->dataplane->connected);
	EXPECT(script, stated && stated->n_features == SN_FEATURE_COUNT);
	cp_rpc_message_free((void *)stated);
}

/* Sends so many rules in messages of a hundred; n_bad: a later message says
 * what only the first one may. */
static void call_stream(struct script *script, unsigned int n, bool is_bad,
			bool is_dropped, int code)
{
	Sentinel__V1__ApplyStreamRequest request;
	Sentinel__V1__ApplyStreamResponse *answer = NULL;
	Sentinel__V1__Policy policy;
	Sentinel__V1__Rule rules[100], *ptrs[100];
	struct cp_rpc_client_stream *stream = NULL;
	char cidrs[100][32];

	EXPECT(script, cp_rpc_client_stream_new(
			       &stream, script->client, SERVICE "ApplyStream",
			       &sentinel__v1__apply_stream_response__descriptor,
			       20000) == 0);
	sentinel__v1__policy__init(&policy);
	for (unsigned int i = 0; stream && i < n; i += 100) {
		sentinel__v1__apply_stream_request__init(&request);
		if (i == 0 || is_bad) {
			request.id = script->id;
			request.policy = &policy;
		}
		for (unsigned int j = 0; j < 100; j++) {
			sentinel__v1__rule__init(&rules[j]);
			(void)snprintf(cidrs[j], sizeof(cidrs[j]), "10.0.%u.%u",
				       (i + j) / 250, (i + j) % 250);
			rules[j].cidr = cidrs[j];
			rules[j].verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
			ptrs[j] = &rules[j];
		}
		request.rules = ptrs;
		request.n_rules = 100;
		if (cp_rpc_client_stream_send(stream, &request.base,
					      &script->status) != 0)
			break;
	}
	if (!is_dropped && stream) {
		script->status = (struct cp_rpc_status){ 0 };
		cp_rpc_client_stream_close(stream);
		(void)cp_rpc_client_stream_finish(stream, (void *)&answer,
						  &script->status);
		EXPECT(script, script->status.code == code);
		EXPECT(script, code || (answer && answer->result->added == n));
		cp_rpc_message_free((void *)answer);
	}
	cp_rpc_client_stream_free(stream);
}

/* As many silent streams as there may be, without or with a first message, end
 * by themselves and leave room for others. */
static void call_silent_streams(struct script *script)
{
	struct cp_rpc_client_stream *streams[CP_API_STREAMS_MAX] = { NULL };
	Sentinel__V1__ApplyStreamRequest request;
	Sentinel__V1__Policy policy;
	ProtobufCMessage *answer = NULL;

	sentinel__v1__policy__init(&policy);
	sentinel__v1__apply_stream_request__init(&request);
	request.id = script->id;
	request.policy = &policy;
	for (size_t i = 0; i < SN_ARRAY_SIZE(streams); i++) {
		EXPECT(script,
		       cp_rpc_client_stream_new(
			       &streams[i], script->client,
			       SERVICE "ApplyStream",
			       &sentinel__v1__apply_stream_response__descriptor,
			       20000) == 0);
		if (i % 2)
			EXPECT(script, cp_rpc_client_stream_send(
					       streams[i], &request.base,
					       &script->status) == 0);
	}
	for (size_t i = 0; i < SN_ARRAY_SIZE(streams); i++) {
		script->status = (struct cp_rpc_status){ 0 };
		(void)cp_rpc_client_stream_finish(streams[i], &answer,
						  &script->status);
		EXPECT(script,
		       script->status.code == GRPC_STATUS_DEADLINE_EXCEEDED);
		EXPECT(script, strstr(script->status.text, "no message"));
		cp_rpc_client_stream_free(streams[i]);
	}
	script->status = (struct cp_rpc_status){ 0 };
}

static void call_all(void *userdata)
{
	struct script *script = userdata;

	EXPECT(script, cp_rpc_client_new(&script->client, script->path, 20000,
					 &script->status) == 0);
	call_attach(script);
	call_deny(script);
	call_remove(script, 0);
	call_remove(script, GRPC_STATUS_NOT_FOUND);
	call_mode(script);
	call_allow(script, "192.0.2.1", 0);
	call_allow(script, "192.0.2.0/24", 0);
	call_allow(script, "2001:db8::1", 0);
	call_allow(script, "192.0.2.1/24", GRPC_STATUS_INVALID_ARGUMENT);
	call_reads(script);
	call_stream(script, 900, false, true, 0);
	call_stream(script, 900, true, false, GRPC_STATUS_INVALID_ARGUMENT);
	call_stream(script, 1100, false, false, GRPC_STATUS_RESOURCE_EXHAUSTED);
	call_reads(script);
	call_silent_streams(script);
	call_stream(script, 900, false, false, 0);
	cp_rpc_client_free(script->client);
	(void)uv_async_send(&script->done);
}

static void script_done(uv_async_t *handle)
{
	struct script *script = handle->data;

	script->is_done = true;
	uv_close((uv_handle_t *)handle, NULL);
}

/* What is logged between the two goes to a file. */
static int log_to_file(const struct rig *rig, char path[128])
{
	int before = dup(STDERR_FILENO), fd;

	(void)snprintf(path, 128, "%s/log", rig->folder);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	t_true(before >= 0 && fd >= 0);
	t_true(dup2(fd, STDERR_FILENO) >= 0);
	(void)close(fd);
	return before;
}

static void log_has(const char *path, const char *const *texts, size_t n_texts)
{
	static char bytes[256 * 1024];
	FILE *file = fopen(path, "re");
	size_t n;

	t_not_null(file);
	n = fread(bytes, 1, sizeof(bytes) - 1, file);
	(void)fclose(file);
	bytes[n] = '\0';
	for (size_t i = 0; i < n_texts; i++) {
		if (!strstr(bytes, texts[i]))
			t_fail("'%s' is not in the log:\n%s", texts[i], bytes);
	}
}

static const char *const logged[] = {
	"audit method=Attach pid=",
	" result=INVALID_ARGUMENT reason='interface_name: ",
	" cidr=192.0.2.0/24 ports=443/tcp,8000-8100/udp ttl=0 result=OK\n",
	" result=INVALID_ARGUMENT reason='cidr: ",
	" cidr=192.0.2.0/24 ports=any ttl=0 result=NOT_FOUND reason='",
	" mode=block-all audit=1 result=OK\n",
	"audit method=ApplyStream pid=",
	" result=INVALID_ARGUMENT reason='id: belongs into the first",
};

static void calls_do_what_they_say_and_streams_apply_as_one(void)
{
	struct rig *rig = rig_new();
	struct script script = { 0 };
	struct sn_diag diag = { 0 };
	struct cp_api *api = NULL;
	uv_thread_t thread;
	char log[128];
	int before;
	struct cp_api_options options = {
		.loop = &rig->loop,
		.manager = rig->manager,
		.path = script.path,
		.gid = (gid_t)-1,
		.version = "1",
		.daemon_id = "2",
		.max_message_bytes = 1 << 20,
		.max_connections = 4,
		.max_policy_bytes = 1 << 20,
		.max_rules = 1000,
		.stream_idle_ms = 1000,
	};

	(void)snprintf(script.path, sizeof(script.path), "%s/api.sock",
		       rig->folder);
	cp_rpc_core_init();
	t_eq(cp_api_new(&api, &options, &diag), 0);
	script.done.data = &script;
	before = log_to_file(rig, log);
	t_eq(uv_async_init(&rig->loop, &script.done, script_done), 0);
	t_eq(uv_thread_create(&thread, call_all, &script), 0);
	TURN_UNTIL(rig, script.is_done);
	t_eq(uv_thread_join(&thread), 0);
	t_true(dup2(before, STDERR_FILENO) >= 0);
	(void)close(before);
	t_str_eq(script.failed, "");
	log_has(log, logged, SN_ARRAY_SIZE(logged));
	t_eq(get_info(rig, script.id).n_rules, 900);
	agrees(rig, script.id);
	rig->is_closed = false;
	cp_api_stop(api, 1000, note_closed, rig);
	TURN_UNTIL(rig, rig->is_closed);
	close_daemon(rig);
	cp_api_free(api);
	rig_free(rig);
	cp_rpc_core_done();
}

static void learnt_tokens_lead_back_to_their_row(void)
{
	static const struct {
		const char *name;
		uint8_t family;
	} cases[] = {
		{ "www.example.com", SN_FAMILY_IPV4 },
		{ ".", SN_FAMILY_IPV6 },
		{ "a\\032b\\.c.example", SN_FAMILY_IPV6 },
	};
	char token[CP_API_VALIDATE_LEARNT_TOKEN_BYTES];
	struct cp_dns_learnt_row row, again;
	struct sn_diag diag = { 0 };
	bool is_set;

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		(void)memset(&row, 0, sizeof(row));
		t_eq(cp_dns_name_parse(cases[i].name, &row.name, &diag), 0);
		row.address.family = cases[i].family;
		row.address.bytes[0] = 203;
		row.address.bytes[3] = (uint8_t)i;
		cp_api_validate_make_learnt_token(&row, token);
		t_eq(cp_api_validate_learnt_token(token, &is_set, &again,
						  &diag),
		     0);
		t_true(is_set);
		t_true(cp_dns_name_is_equal(&again.name, &row.name));
		t_eq(memcmp(&again.address, &row.address, sizeof(row.address)),
		     0);
	}
	t_eq(cp_api_validate_learnt_token("", &is_set, &again, &diag), 0);
	t_false(is_set);
}

T_MAIN("api", learnt_tokens_lead_back_to_their_row,
       a_mode_must_not_contradict_the_policy, targets_are_checked_by_field,
       metadata_is_bounded, ids_pages_and_tokens_are_checked,
       calls_do_what_they_say_and_streams_apply_as_one)
