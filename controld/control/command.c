/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/control/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controld/policy/convert_dns.h"
#include "controld/rpc/message.h"
#include "sentinel/v1/control.pb-c.h"

typedef Sentinel__V1__ControlCommand message_t;

#define refuse(diag, field, ...) \
	(sn_diag_set(diag, field, __VA_ARGS__), CP_CONTROL_COMMAND_E_REFUSED)

/* Where the two ids of a command that is refused are taken from: the outermost
 * level of the bytes, which need not be a message otherwise. */
struct cursor {
	const uint8_t *at;
	size_t left;
};

static bool take_varint(struct cursor *cursor, uint64_t *ret)
{
	*ret = 0;
	for (unsigned int shift = 0; shift < 64 && cursor->left; shift += 7) {
		uint8_t byte = *cursor->at++;

		cursor->left--;
		*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool take_bytes(struct cursor *cursor, uint64_t n, const uint8_t **ret)
{
	if (n > cursor->left)
		return false;
	*ret = cursor->at;
	cursor->at += n;
	cursor->left -= (size_t)n;
	return true;
}

static bool is_printable(const uint8_t *text, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return true;
}

/* Only what can be sent back without harm is taken. */
static void copy_id(char *ret, size_t size, const uint8_t *text, uint64_t n)
{
	if (n >= size || !is_printable(text, n))
		return;
	(void)memcpy(ret, text, (size_t)n);
	ret[n] = '\0';
}

static void read_ids(const void *data, size_t size,
		     struct cp_control_command *ret)
{
	struct cursor cursor = { .at = data, .left = size };
	const uint8_t *bytes;
	uint64_t key, value;

	while (take_varint(&cursor, &key)) {
		switch (key & 7) {
		case 0:
			if (!take_varint(&cursor, &value))
				return;
			break;
		case 1:
		case 5:
			if (!take_bytes(&cursor, (key & 7) == 1 ? 8 : 4,
					&bytes))
				return;
			break;
		case 2:
			if (!take_varint(&cursor, &value) ||
			    !take_bytes(&cursor, value, &bytes))
				return;
			if (key >> 3 == 1)
				copy_id(ret->command_id,
					sizeof(ret->command_id), bytes, value);
			else if (key >> 3 == 2)
				copy_id(ret->id, sizeof(ret->id), bytes, value);
			break;
		default:
			return;
		}
	}
}

static int check_head(const message_t *message, struct sn_diag *diag)
{
	static const char hex[] = "0123456789abcdef";
	bool is_ack = message->command_case ==
		      SENTINEL__V1__CONTROL_COMMAND__COMMAND_SYNC_ACK;
	size_t n = strlen(message->command_id);

	if (!is_printable((const uint8_t *)message->command_id, n) || n == 0 ||
	    n >= CP_CONTROL_COMMAND_ID_BYTES)
		return refuse(diag, "command_id",
			      "must be 1 to %d printable ASCII characters",
			      CP_CONTROL_COMMAND_ID_BYTES - 1);
	if (message->command_case ==
	    SENTINEL__V1__CONTROL_COMMAND__COMMAND__NOT_SET)
		return refuse(diag, "command",
			      "none that is known here is stated");
	if (is_ack && message->id[0])
		return refuse(diag, "id", "must be empty in a sync_ack");
	if (is_ack && message->revision)
		return refuse(diag, "revision", "must be 0 in a sync_ack");
	if (is_ack)
		return 0;
	if (strspn(message->id, hex) != CP_ATTACH_ID_CHARS ||
	    message->id[CP_ATTACH_ID_CHARS])
		return refuse(diag, "id", "must be %d lower-case hex digits",
			      CP_ATTACH_ID_CHARS);
	if (!message->revision)
		return refuse(diag, "revision", "must be above 0");
	return 0;
}

static int read_mode(Sentinel__V1__Mode mode, const char *field,
		     enum sn_mode *ret, struct sn_diag *diag)
{
	*ret = SN_MODE_NONE;
	if (cp_policy_convert_mode(mode, field, ret, diag))
		return CP_CONTROL_COMMAND_E_REFUSED;
	if (*ret == SN_MODE_NONE)
		return refuse(diag, field, "must be stated");
	return 0;
}

static int put_below(const char *field, struct sn_diag *diag)
{
	char inner[SN_DIAG_FILE_BYTES], text[SN_DIAG_TEXT_BYTES];
	char whole[2 * SN_DIAG_FILE_BYTES];

	(void)memcpy(inner, diag->field, sizeof(inner));
	(void)memcpy(text, diag->text, sizeof(text));
	(void)snprintf(whole, sizeof(whole), "%s%s%s", field,
		       inner[0] ? "." : "", inner);
	return refuse(diag, whole, "%s", text);
}

/* A bulk update is a policy of which everything is stated. Read as one, its
 * rules have another name. */
static int read_update(const Sentinel__V1__BulkUpdate *update, size_t max_rules,
		       struct cp_policy **ret, struct sn_diag *diag)
{
	Sentinel__V1__Policy policy;
	enum sn_mode mode;
	char *rules;
	int r;

	sentinel__v1__policy__init(&policy);
	r = read_mode(update->mode, "mode", &mode, diag);
	if (r)
		return r;
	if (!update->dns)
		return refuse(diag, "dns", "must be stated");
	if (mode == SN_MODE_DENYLIST && update->n_cidrs == 0 &&
	    update->dns->n_domains == 0)
		return refuse(diag, "cidrs",
			      "is empty, which in denylist would open "
			      "everything; mode disabled says so plainly");
	policy.mode = update->mode;
	policy.audit = update->audit;
	policy.inbound = update->inbound;
	policy.rules = update->cidrs;
	policy.n_rules = update->n_cidrs;
	policy.dns = update->dns;
	r = cp_policy_convert_policy(&policy, max_rules, CP_POLICY_OWNER_REMOTE,
				     "", ret, diag);
	if (r <= 0)
		return r;
	rules = strstr(diag->field, "rules[");
	if (rules == diag->field)
		(void)memcpy(rules, "cidrs", strlen("cidrs"));
	return CP_CONTROL_COMMAND_E_REFUSED;
}

static int read_rule(enum sn_verdict verdict, const char *cidr,
		     char *const *ports, size_t n_ports, uint64_t ttl_s,
		     struct cp_policy_rule *ret, struct sn_diag *diag)
{
	int r = cp_policy_convert_rule_parts(verdict, cidr, ports, n_ports,
					     ttl_s, CP_POLICY_OWNER_REMOTE, "",
					     ret, diag);

	return r > 0 ? CP_CONTROL_COMMAND_E_REFUSED : r;
}

static int read_domain(const struct cp_policy_convert_dns_parts *parts,
		       struct cp_dns_rule *ret, struct sn_diag *diag)
{
	int r = cp_policy_convert_dns_rule_parts(parts, CP_POLICY_OWNER_REMOTE,
						 "", ret, diag);

	return r > 0 ? CP_CONTROL_COMMAND_E_REFUSED : r;
}

static int read_allowed(const Sentinel__V1__AllowDomain *message,
			struct cp_dns_rule *ret, struct sn_diag *diag)
{
	struct cp_policy_convert_dns_parts parts = {
		.verdict = SN_VERDICT_ALLOW,
		.domain = message->domain,
		.subdomains = message->subdomains,
		.ports = message->ports,
		.n_ports = message->n_ports,
		.ttl_floor_s = message->ttl_floor_seconds,
	};

	return read_domain(&parts, ret, diag);
}

static int read_denied(const Sentinel__V1__DenyDomain *message,
		       struct cp_dns_rule *ret, struct sn_diag *diag)
{
	struct cp_policy_convert_dns_parts parts = {
		.verdict = SN_VERDICT_DENY,
		.domain = message->domain,
		.subdomains = message->subdomains,
	};

	return read_domain(&parts, ret, diag);
}

static int read_removed(const Sentinel__V1__RemoveDomain *message,
			struct cp_dns_rule *ret, struct sn_diag *diag)
{
	struct cp_policy_convert_dns_parts parts = {
		.verdict = SN_VERDICT_ALLOW,
		.domain = message->domain,
		.ports = message->ports,
		.n_ports = message->n_ports,
	};

	return read_domain(&parts, ret, diag);
}

/* The commands about name resolution. */
static int read_names(const message_t *message,
		      struct cp_attach_remote_change *change,
		      struct sn_diag *diag)
{
	switch (message->command_case) {
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_SET_DNS_MODE:
		change->kind = CP_ATTACH_REMOTE_DNS_MODE;
		if (cp_policy_convert_dns_mode(message->set_dns_mode->mode,
					       "mode", &change->dns_mode, diag))
			return CP_CONTROL_COMMAND_E_REFUSED;
		return 0;
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_ALLOW_DOMAIN:
		change->kind = CP_ATTACH_REMOTE_ADD_DOMAIN;
		return read_allowed(message->allow_domain, &change->domain,
				    diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_DENY_DOMAIN:
		change->kind = CP_ATTACH_REMOTE_ADD_DOMAIN;
		return read_denied(message->deny_domain, &change->domain, diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_REMOVE_DOMAIN:
		change->kind = CP_ATTACH_REMOTE_REMOVE_DOMAINS;
		return read_removed(message->remove_domain, &change->domain,
				    diag);
	default:
		return refuse(diag, "command",
			      "is of a kind that is not known here");
	}
}

static int read_change(const message_t *message, size_t max_rules,
		       struct cp_control_command *ret, struct sn_diag *diag)
{
	struct cp_attach_remote_change *change = &ret->change;
	int r;

	switch (message->command_case) {
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_SUBSCRIBED_ACK:
		ret->is_first_word = true;
		change->kind = CP_ATTACH_REMOTE_ACK;
		if (!message->subscribed_ack->policy)
			return 0;
		change->kind = CP_ATTACH_REMOTE_UPDATE;
		r = read_update(message->subscribed_ack->policy, max_rules,
				&change->policy, diag);
		return r > 0 ? put_below("policy", diag) : r;
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_BULK_UPDATE:
		ret->is_first_word = true;
		change->kind = CP_ATTACH_REMOTE_UPDATE;
		return read_update(message->bulk_update, max_rules,
				   &change->policy, diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_SET_MODE:
		ret->is_first_word = true;
		change->kind = CP_ATTACH_REMOTE_MODE;
		change->audit = message->set_mode->audit;
		return read_mode(message->set_mode->mode, "mode", &change->mode,
				 diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_ALLOW_CIDR:
		change->kind = CP_ATTACH_REMOTE_ADD_RULE;
		return read_rule(SN_VERDICT_ALLOW, message->allow_cidr->cidr,
				 message->allow_cidr->ports,
				 message->allow_cidr->n_ports,
				 message->allow_cidr->ttl_seconds,
				 &change->rule, diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_DENY_CIDR:
		change->kind = CP_ATTACH_REMOTE_ADD_RULE;
		return read_rule(SN_VERDICT_DENY, message->deny_cidr->cidr,
				 message->deny_cidr->ports,
				 message->deny_cidr->n_ports,
				 message->deny_cidr->ttl_seconds, &change->rule,
				 diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_REMOVE_CIDR:
		change->kind = CP_ATTACH_REMOTE_REMOVE_RULES;
		return read_rule(SN_VERDICT_ALLOW, message->remove_cidr->cidr,
				 message->remove_cidr->ports,
				 message->remove_cidr->n_ports, 0,
				 &change->rule, diag);
	case SENTINEL__V1__CONTROL_COMMAND__COMMAND_DETACH:
		change->kind = CP_ATTACH_REMOTE_DETACH;
		return 0;
	default:
		return read_names(message, change, diag);
	}
}

/* Only the text of diag is about a member of the oneof; its name is put before
 * the field. */
static const char *member_name(const message_t *message)
{
	const ProtobufCMessageDescriptor *type = message->base.descriptor;
	const ProtobufCFieldDescriptor *field;

	field = protobuf_c_message_descriptor_get_field(
		type, (unsigned int)message->command_case);
	return field ? field->name : "command";
}

static int read_message(const message_t *message, size_t max_rules,
			struct cp_control_command *ret, struct sn_diag *diag)
{
	int r;

	r = check_head(message, diag);
	if (r)
		return r;
	(void)snprintf(ret->command_id, sizeof(ret->command_id), "%s",
		       message->command_id);
	(void)snprintf(ret->id, sizeof(ret->id), "%s", message->id);
	(void)memcpy(ret->change.id, ret->id, sizeof(ret->change.id));
	ret->change.revision = message->revision;
	ret->is_sync_ack = message->command_case ==
			   SENTINEL__V1__CONTROL_COMMAND__COMMAND_SYNC_ACK;
	if (ret->is_sync_ack)
		return 0;
	r = read_change(message, max_rules, ret, diag);
	return r > 0 ? put_below(member_name(message), diag) : r;
}

int cp_control_command_read(const void *data, size_t size, size_t max_bytes,
			    size_t max_rules, struct cp_control_command *ret,
			    struct sn_diag *diag)
{
	sn_cleanup(cp_rpc_message_freep) ProtobufCMessage *message = NULL;
	int r;

	*ret = (struct cp_control_command){ .size = size };
	if (size > max_bytes) {
		read_ids(data, size, ret);
		return refuse(diag, NULL,
			      "the message has %zu bytes, more than "
			      "control.max_message allows",
			      size);
	}
	r = cp_rpc_message_unpack(&sentinel__v1__control_command__descriptor,
				  data, size, &message, diag);
	if (r < 0)
		return r;
	if (r == 0)
		r = read_message((const message_t *)(const void *)message,
				 max_rules, ret, diag);
	if (r == 0)
		return 0;
	cp_control_command_done(ret);
	read_ids(data, size, ret);
	return r < 0 ? r : CP_CONTROL_COMMAND_E_REFUSED;
}

void cp_control_command_done(struct cp_control_command *command)
{
	command->change.policy = cp_policy_free(command->change.policy);
}
