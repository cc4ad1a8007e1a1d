/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/command.h"

#include "sentinel/v1/control.pb-c.h"
#include "test/unit/t.h"

typedef Sentinel__V1__ControlCommand message_t;

#define ID "0123456789abcdef0123456789abcdef"

enum { MAX_BYTES = 1 << 20, MAX_RULES = 1000 };

/* A command to start from; protobuf-c has no const strings. */
static message_t make(void)
{
	static char command_id[] = "c1", id[] = ID;
	message_t message;

	sentinel__v1__control_command__init(&message);
	message.command_id = command_id;
	message.id = id;
	message.revision = 7;
	return message;
}

static int read_message(const message_t *message,
			struct cp_control_command *ret, struct sn_diag *diag)
{
	uint8_t *data =
		malloc(protobuf_c_message_get_packed_size(&message->base));
	size_t n = protobuf_c_message_pack(&message->base, data);
	int r;

	*diag = (struct sn_diag){ 0 };
	r = cp_control_command_read(data, n, MAX_BYTES, MAX_RULES, ret, diag);
	free(data);
	return r;
}

static void refuses(const message_t *message, const char *field,
		    const char *text)
{
	struct cp_control_command command;
	struct sn_diag diag;

	t_eq(read_message(message, &command, &diag),
	     CP_CONTROL_COMMAND_E_REFUSED);
	t_str_eq(diag.field, field);
	if (!strstr(diag.text, text))
		t_fail("'%s' does not say '%s'", diag.text, text);
	t_str_eq(command.command_id, message->command_id);
	t_null(command.change.policy);
}

static void set_update(message_t *message, Sentinel__V1__BulkUpdate *update,
		       Sentinel__V1__DnsPolicy *dns)
{
	sentinel__v1__bulk_update__init(update);
	sentinel__v1__dns_policy__init(dns);
	update->mode = SENTINEL__V1__MODE__MODE_ALLOWLIST;
	update->dns = dns;
	message->command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_BULK_UPDATE;
	message->bulk_update = update;
}

static void sync_ack_is_about_no_attachment(void)
{
	Sentinel__V1__SyncAck ack;
	struct cp_control_command command;
	message_t message = make();
	struct sn_diag diag;
	char none[] = "";

	sentinel__v1__sync_ack__init(&ack);
	message.command_case = SENTINEL__V1__CONTROL_COMMAND__COMMAND_SYNC_ACK;
	message.sync_ack = &ack;
	refuses(&message, "id", "empty");
	message.id = none;
	refuses(&message, "revision", "0");
	message.revision = 0;
	t_eq(read_message(&message, &command, &diag), 0);
	t_true(command.is_sync_ack);
	t_str_eq(command.command_id, "c1");
}

static void heads_are_checked(void)
{
	Sentinel__V1__Detach detach;
	struct cp_control_command command;
	char upper[] = "0123456789ABCDEF0123456789abcdef", none[] = "";
	char long_id[130];
	struct sn_diag diag;
	message_t message = make();

	sentinel__v1__detach__init(&detach);
	refuses(&message, "command", "none that is known");
	message.command_case = SENTINEL__V1__CONTROL_COMMAND__COMMAND_DETACH;
	message.detach = &detach;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.kind, CP_ATTACH_REMOTE_DETACH);
	t_eq(command.change.revision, 7);
	t_str_eq(command.change.id, ID);

	message.revision = 0;
	refuses(&message, "revision", "above 0");
	message = make();
	message.command_case = SENTINEL__V1__CONTROL_COMMAND__COMMAND_DETACH;
	message.detach = &detach;
	message.id = upper;
	refuses(&message, "id", "hex");
	message.id = none;
	refuses(&message, "id", "hex");
	message.command_id = none;
	refuses(&message, "command_id", "1 to 128");

	memset(long_id, 'x', 129);
	long_id[129] = '\0';
	message.command_id = long_id;
	t_eq(read_message(&message, &command, &diag),
	     CP_CONTROL_COMMAND_E_REFUSED);
	t_str_eq(command.command_id, "");
}

static void an_update_is_the_whole_state(void)
{
	Sentinel__V1__BulkUpdate update;
	Sentinel__V1__DnsPolicy dns;
	struct cp_control_command command;
	struct sn_diag diag;
	message_t message = make();

	set_update(&message, &update, &dns);
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.kind, CP_ATTACH_REMOTE_UPDATE);
	t_true(command.is_first_word);
	t_eq(cp_policy_count(command.change.policy), 0);
	t_eq(cp_policy_get_settings(command.change.policy).mode,
	     SN_MODE_ALLOWLIST);
	cp_control_command_done(&command);

	update.dns = NULL;
	refuses(&message, "bulk_update.dns", "must be stated");
	update.dns = &dns;
	update.mode = SENTINEL__V1__MODE__MODE_UNSPECIFIED;
	refuses(&message, "bulk_update.mode", "must be stated");
	update.mode = SENTINEL__V1__MODE__MODE_DENYLIST;
	refuses(&message, "bulk_update.cidrs", "open everything");
	update.mode = (Sentinel__V1__Mode)99;
	refuses(&message, "bulk_update.mode", "not known");
}

static void one_bad_prefix_refuses_a_whole_update(void)
{
	static Sentinel__V1__Rule rules[500];
	static Sentinel__V1__Rule *pointers[500];
	static char texts[500][24];
	Sentinel__V1__BulkUpdate update;
	Sentinel__V1__SubscribedAck ack;
	Sentinel__V1__DnsPolicy dns;
	struct cp_control_command command;
	struct sn_diag diag;
	message_t message = make();

	sentinel__v1__subscribed_ack__init(&ack);
	set_update(&message, &update, &dns);
	for (size_t i = 0; i < SN_ARRAY_SIZE(rules); i++) {
		sentinel__v1__rule__init(&rules[i]);
		(void)snprintf(texts[i], sizeof(texts[i]), "10.0.%zu.%zu",
			       i / 256, i % 256);
		rules[i].verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
		rules[i].cidr = texts[i];
		pointers[i] = &rules[i];
	}
	update.cidrs = pointers;
	update.n_cidrs = SN_ARRAY_SIZE(rules);
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(cp_policy_count(command.change.policy), 500);
	t_eq(cp_policy_next_rule(command.change.policy, 0)->owner,
	     CP_POLICY_OWNER_REMOTE);
	cp_control_command_done(&command);

	(void)strcpy(texts[250], "10.0.0.300");
	refuses(&message, "bulk_update.cidrs[250].cidr", "10.0.0.300");
	ack.policy = &update;
	message.command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_SUBSCRIBED_ACK;
	message.subscribed_ack = &ack;
	refuses(&message, "subscribed_ack.policy.cidrs[250].cidr",
		"10.0.0.300");
	(void)strcpy(texts[250], "10.0.0.0");
	rules[250].verdict = SENTINEL__V1__VERDICT__VERDICT_DENY;
	refuses(&message, "subscribed_ack.policy.cidrs[250]", "opposite");
}

static void an_ack_without_policy_says_nothing(void)
{
	Sentinel__V1__SubscribedAck ack;
	struct cp_control_command command;
	struct sn_diag diag;
	message_t message = make();

	sentinel__v1__subscribed_ack__init(&ack);
	message.command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_SUBSCRIBED_ACK;
	message.subscribed_ack = &ack;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.kind, CP_ATTACH_REMOTE_ACK);
	t_true(command.is_first_word);
}

static void rules_are_read(void)
{
	Sentinel__V1__AllowCIDR allow;
	Sentinel__V1__SetMode mode;
	struct cp_control_command command;
	char cidr[] = "10.0.0.0/8", port[] = "443/tcp", *ports[] = { port };
	struct sn_diag diag;
	message_t message = make();

	sentinel__v1__allow_cidr__init(&allow);
	sentinel__v1__set_mode__init(&mode);
	message.command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_ALLOW_CIDR;
	message.allow_cidr = &allow;
	refuses(&message, "allow_cidr.cidr", "must be given");
	allow.cidr = cidr;
	allow.ports = ports;
	allow.n_ports = 1;
	allow.ttl_seconds = 60;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.kind, CP_ATTACH_REMOTE_ADD_RULE);
	t_eq(command.change.rule.owner, CP_POLICY_OWNER_REMOTE);
	t_eq(command.change.rule.ttl_s, 60);
	t_eq(command.change.rule.n_ports, 1);
	allow.ttl_seconds = UINT64_MAX;
	refuses(&message, "allow_cidr.ttl_seconds", "more than");

	message.command_case = SENTINEL__V1__CONTROL_COMMAND__COMMAND_SET_MODE;
	message.set_mode = &mode;
	refuses(&message, "set_mode.mode", "must be stated");
	mode.mode = SENTINEL__V1__MODE__MODE_DISABLED;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.mode, SN_MODE_DISABLED);
}

static void names_are_read(void)
{
	Sentinel__V1__AllowDomain allow;
	Sentinel__V1__DenyDomain deny;
	Sentinel__V1__SetDnsMode mode;
	struct cp_control_command command;
	char domain[] = "Example.COM", port[] = "443/tcp", *ports[] = { port };
	struct sn_diag diag;
	message_t message = make();

	sentinel__v1__allow_domain__init(&allow);
	sentinel__v1__deny_domain__init(&deny);
	sentinel__v1__set_dns_mode__init(&mode);
	message.command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_ALLOW_DOMAIN;
	message.allow_domain = &allow;
	refuses(&message, "allow_domain.domain", "");
	allow.domain = domain;
	allow.subdomains = true;
	allow.ports = ports;
	allow.n_ports = 1;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.kind, CP_ATTACH_REMOTE_ADD_DOMAIN);
	t_eq(command.change.domain.owner, CP_POLICY_OWNER_REMOTE);
	t_eq(command.change.domain.verdict, SN_VERDICT_ALLOW);
	t_true(command.change.domain.subdomains);
	t_eq(command.change.domain.n_ports, 1);

	message.command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_DENY_DOMAIN;
	message.deny_domain = &deny;
	deny.domain = domain;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.domain.verdict, SN_VERDICT_DENY);

	message.command_case =
		SENTINEL__V1__CONTROL_COMMAND__COMMAND_SET_DNS_MODE;
	message.set_dns_mode = &mode;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.kind, CP_ATTACH_REMOTE_DNS_MODE);
	t_eq(command.change.dns_mode, CP_DNS_MODE_NONE);
	mode.mode = SENTINEL__V1__DNS_MODE__DNS_MODE_PROXY;
	t_eq(read_message(&message, &command, &diag), 0);
	t_eq(command.change.dns_mode, CP_DNS_MODE_PROXY);
}

static int read_bytes(const char *bytes, size_t n,
		      struct cp_control_command *ret, struct sn_diag *diag)
{
	*diag = (struct sn_diag){ 0 };
	return cp_control_command_read(bytes, n, MAX_BYTES, MAX_RULES, ret,
				       diag);
}

/* What no library makes: the ids are answered as far as they can be read. */
static void broken_bytes_are_refused_with_their_ids(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *command_id;
		const char *id;
	} cases[] = {
		{ "", 0, "", "" },
		{ "\xff", 1, "", "" },
		{ "\x0a\x02"
		  "c1\x92\x7f\x00",
		  7, "c1", "" }, /* unknown field 2034 */
		{ "\x0a\x02"
		  "c1\x12\x03"
		  "abc\x0a\x02"
		  "c2",
		  13, "c2", "abc" }, /* twice */
		{ "\x0a\x02\x00\x01", 4, "", "" }, /* NUL in a string */
		{ "\x0a\x02"
		  "c1\x12\x7f"
		  "ab",
		  8, "c1", "" }, /* cut off */
		{ "\x0a\x02"
		  "c1\x32\x02\x08\x63",
		  8, "c1", "" }, /* set_mode.mode = 99 */
	};
	struct cp_control_command command;
	struct sn_diag diag;

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		t_eq(read_bytes(cases[i].bytes, cases[i].n, &command, &diag),
		     CP_CONTROL_COMMAND_E_REFUSED);
		t_str_eq(command.command_id, cases[i].command_id);
		t_str_eq(command.id, cases[i].id);
		t_true(diag.text[0] != '\0');
	}
}

static void a_message_over_the_limit_is_not_unpacked(void)
{
	static const char head[] = "\x0a\x02"
				   "c1";
	char *bytes = calloc(1, MAX_BYTES + 64);
	struct cp_control_command command;
	struct sn_diag diag;

	t_not_null(bytes);
	memcpy(bytes, head, 4);
	t_eq(read_bytes(bytes, MAX_BYTES + 1, &command, &diag),
	     CP_CONTROL_COMMAND_E_REFUSED);
	t_str_eq(command.command_id, "c1");
	t_not_null(strstr(diag.text, "control.max_message"));
	free(bytes);
}

T_MAIN("control_command", sync_ack_is_about_no_attachment, heads_are_checked,
       an_update_is_the_whole_state, one_bad_prefix_refuses_a_whole_update,
       an_ack_without_policy_says_nothing, rules_are_read, names_are_read,
       broken_bytes_are_refused_with_their_ids,
       a_message_over_the_limit_is_not_unpacked)
