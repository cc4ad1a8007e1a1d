/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/ctl/learn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "controld/ctl/diff.h"
#include "controld/ctl/output.h"

enum {
	/* IANA keeps 255 free: a rule for it lets a name be resolved and opens
	 * nothing that anybody uses. */
	PROTOCOL_NONE = 255,
	MS_PER_S = 1000,
};

/* A rule that is to be written. */
struct target {
	struct cp_dns_name name; /* size 0: the address */
	struct cp_dns_address address;
	char text[CP_DNS_NAME_TEXT_BYTES];
	bool subdomains;
	bool is_all; /* every port */
	bool is_asked_only;
	bool was_refused; /* and so could not be seen to be used */
	uint64_t ttl_floor_s;
	uint64_t count;
	size_t n_ports;
	struct cp_policy_ports ports[CP_POLICY_PORTS_MAX];
	const char *comm;
};

struct learn {
	const struct cp_ctl_wanted *wanted;
	FILE *out;
	struct cp_dns_name wildcards[CP_CTL_OPTIONS_WILDCARDS_MAX];
	size_t n_wildcards;
	struct target *targets; /* room for one of each row */
	size_t n_targets;
};

/* Comments are of ASCII, so that the file is one whatever was told. */
static char *plain(char *text)
{
	for (char *p = text; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	return text;
}

/* Ports. */

static struct cp_policy_ports whole(uint8_t protocol)
{
	return (struct cp_policy_ports){
		.high = UINT16_MAX,
		.protocol = protocol,
	};
}

static bool has_ports(const struct target *target,
		      const struct cp_policy_ports *ports)
{
	for (size_t i = 0; i < target->n_ports; i++) {
		const struct cp_policy_ports *have = &target->ports[i];

		if (have->protocol == ports->protocol &&
		    have->low <= ports->low && have->high >= ports->high)
			return true;
	}
	return false;
}

/* More than a rule can list become whole protocols. */
static void collapse(struct target *target)
{
	struct cp_policy_ports old[CP_POLICY_PORTS_MAX];
	size_t n = target->n_ports;

	(void)memcpy(old, target->ports, sizeof(old));
	target->n_ports = 0;
	for (size_t i = 0; i < n; i++) {
		const struct cp_policy_ports all = whole(old[i].protocol);

		if (!has_ports(target, &all))
			target->ports[target->n_ports++] = all;
	}
}

static void add_ports(struct target *target, struct cp_policy_ports ports)
{
	if (has_ports(target, &ports))
		return;
	if (target->n_ports == CP_POLICY_PORTS_MAX) {
		collapse(target);
		ports = whole(ports.protocol);
	}
	if (has_ports(target, &ports))
		return;
	if (target->n_ports == CP_POLICY_PORTS_MAX)
		target->is_all = true;
	else
		target->ports[target->n_ports++] = ports;
}

/* Targets. */

/* The most specific rule decides alone: one for a name must say what the rules
 * before it said about that name as well. */
static void inherit(const struct learn *learn, struct target *target,
		    const struct cp_dns_name *name)
{
	struct cp_dns_match match;

	cp_dns_rules_match(cp_policy_get_domains(learn->wanted->policy), name,
			   &match);
	if (match.verdict != SN_VERDICT_ALLOW)
		return;
	target->ttl_floor_s =
		SN_MAX(target->ttl_floor_s, (uint64_t)match.ttl_floor_s);
	for (uint8_t i = 0; i < match.n_rules; i++) {
		const struct cp_dns_rule *rule = match.rules[i];

		target->is_all |= rule->n_ports == 0;
		for (uint8_t j = 0; j < rule->n_ports; j++)
			add_ports(target, rule->ports[j]);
		/* It is left out, being the same name's. */
		if (cp_dns_name_is_equal(&rule->name, &target->name))
			target->subdomains |= rule->subdomains;
	}
}

static struct target *get_target(struct learn *learn,
				 const struct cp_dns_name *name,
				 const struct cp_dns_address *address)
{
	struct target *target;

	for (size_t i = 0; i < learn->n_targets; i++) {
		target = &learn->targets[i];
		if (name ? cp_dns_name_is_equal(&target->name, name) :
			   target->name.size == 0 &&
				    memcmp(&target->address, address,
					   sizeof(*address)) == 0)
			return target;
	}
	target = &learn->targets[learn->n_targets++];
	target->is_asked_only = true;
	if (name) {
		target->name = *name;
		(void)cp_dns_name_format(name, target->text);
	} else {
		target->address = *address;
		(void)inet_ntop(
			address->family == SN_FAMILY_IPV4 ? AF_INET : AF_INET6,
			address->bytes, target->text, sizeof(target->text));
	}
	return target;
}

static const struct cp_dns_name *find_wildcard(const struct learn *learn,
					       const struct cp_dns_name *name)
{
	for (size_t i = 0; i < learn->n_wildcards; i++) {
		if (cp_dns_name_is_below(name, &learn->wildcards[i]))
			return &learn->wildcards[i];
	}
	return NULL;
}

/* Why a rule is not made of it; NULL: it is. */
static const char *refusal(const struct learn *learn,
			   const Sentinel__V1__Seen *seen,
			   const struct cp_dns_name *name)
{
	static const char *const openable[] = { "no-rule", "mode",
						"dns-encrypted", "dns-denied" };
	struct cp_dns_match match;

	if (strcmp(seen->reason, "deny-rule") == 0)
		return "a rule denies it";
	if (strcmp(seen->reason, "metadata") == 0)
		return "cloud metadata: open it by hand";
	if (*seen->address && !seen->protocol)
		return "no rule can name protocol 0";
	if (name) {
		cp_dns_rules_match(cp_policy_get_domains(learn->wanted->policy),
				   name, &match);
		if (match.verdict == SN_VERDICT_DENY)
			return "a rule denies the name";
	}
	for (size_t i = 0; i < SN_ARRAY_SIZE(openable); i++) {
		if (strcmp(seen->reason, openable[i]) == 0)
			return NULL;
	}
	return "no rule can open it";
}

static void take(struct learn *learn, Sentinel__V1__Seen *seen)
{
	struct cp_ctl_judge_destination destination;
	struct cp_ctl_diff_storage storage;
	const struct cp_dns_name *wildcard = NULL;
	struct target *target;
	bool is_flow = *seen->address;

	if (!cp_ctl_diff_read(seen, &storage, &destination) ||
	    refusal(learn, seen, destination.name))
		return;
	if (destination.name)
		wildcard = find_wildcard(learn, destination.name);
	target = get_target(learn, wildcard ? wildcard : destination.name,
			    destination.address);
	target->subdomains |= wildcard != NULL;
	target->count += seen->count;
	if (destination.name)
		inherit(learn, target, destination.name);
	if (*seen->comm)
		target->comm = plain(seen->comm);
	if (!is_flow) {
		target->was_refused |= !seen->audited;
		return;
	}
	target->is_asked_only = false;
	add_ports(target, cp_policy_ports_has_ports(destination.protocol) ?
				  (struct cp_policy_ports){
					  destination.port, destination.port,
					  destination.protocol, 0 } :
				  whole(destination.protocol));
}

/* Writing. Every string is quoted, single quotes being the only thing that
 * needs care in it; names have none that is not escaped, addresses none. */

static void write_text(FILE *out, const char *text)
{
	(void)fputc('\'', out);
	for (; *text; text++) {
		if (*text == '\'')
			(void)fputc('\'', out);
		(void)fputc(*text < ' ' || *text > '~' ? '?' : *text, out);
	}
	(void)fputc('\'', out);
}

static void write_texts(FILE *out, const char *key, char *const *texts,
			size_t n)
{
	if (n == 0)
		return;
	(void)fprintf(out, "%s: [", key);
	for (size_t i = 0; i < n; i++) {
		(void)fputs(i ? ", " : "", out);
		write_text(out, texts[i]);
	}
	(void)fputc(']', out);
}

static void write_old_domain(FILE *out, const Sentinel__V1__DomainRule *rule)
{
	bool allows = rule->verdict == SENTINEL__V1__VERDICT__VERDICT_ALLOW;

	(void)fprintf(out, "    - {%s: ", allows ? "allow" : "deny");
	write_text(out, rule->domain);
	(void)fputs(rule->subdomains ? ", subdomains: true" : "", out);
	write_texts(out, ", ports", rule->ports, rule->n_ports);
	if (rule->ttl_floor_seconds)
		(void)fprintf(out, ", ttl_floor: %" PRIu64 "s",
			      rule->ttl_floor_seconds);
	(void)fputs("}\n", out);
}

static void write_old_rule(FILE *out, const Sentinel__V1__Rule *rule)
{
	bool allows = rule->verdict == SENTINEL__V1__VERDICT__VERDICT_ALLOW;

	(void)fprintf(out, "  - {%s: ", allows ? "allow" : "deny");
	write_text(out, rule->cidr);
	write_texts(out, ", ports", rule->ports, rule->n_ports);
	if (rule->ttl_seconds)
		(void)fprintf(out, ", ttl: %" PRIu64 "s", rule->ttl_seconds);
	(void)fputs("}\n", out);
}

static void write_target(FILE *out, struct target *target)
{
	char texts[CP_POLICY_PORTS_MAX][CP_POLICY_PORTS_TEXT_BYTES];
	char *pointers[CP_POLICY_PORTS_MAX];
	bool is_empty = target->is_asked_only && target->n_ports == 0;

	if (is_empty && !target->was_refused && !target->is_all)
		add_ports(target, whole(PROTOCOL_NONE));
	for (size_t i = 0; i < target->n_ports; i++)
		pointers[i] =
			cp_policy_ports_format(&target->ports[i], texts[i]);
	(void)fprintf(out, "%s- {allow: ", target->name.size ? "    " : "  ");
	write_text(out, target->text);
	(void)fputs(target->subdomains ? ", subdomains: true" : "", out);
	if (!target->is_all)
		write_texts(out, ", ports", pointers, target->n_ports);
	if (target->ttl_floor_s)
		(void)fprintf(out, ", ttl_floor: %" PRIu64 "s",
			      target->ttl_floor_s);
	(void)fprintf(out, "} # %" PRIu64 "x%s%s%s\n", target->count,
		      target->comm ? ", " : "",
		      target->comm ? target->comm : "",
		      !is_empty ? "" :
		      target->was_refused ?
				  ", was refused: its ports are not known" :
				  ", only asked for: opens nothing");
}

/* An old rule for a name that has a target was taken into it. */
static bool is_replaced(const struct learn *learn,
			const Sentinel__V1__DomainRule *rule)
{
	struct cp_dns_name name;

	if (rule->verdict != SENTINEL__V1__VERDICT__VERDICT_ALLOW ||
	    cp_dns_name_parse(rule->domain, &name, NULL) != 0)
		return false;
	for (size_t i = 0; i < learn->n_targets; i++) {
		if (cp_dns_name_is_equal(&learn->targets[i].name, &name))
			return true;
	}
	return false;
}

static void write_enum(FILE *out, const char *key,
		       const ProtobufCEnumDescriptor *type, int value)
{
	char text[CP_CTL_OUTPUT_TEXT_BYTES];

	if (value != 0)
		(void)fprintf(out, "%s: %s\n", key,
			      cp_ctl_output_enum(type, value, text));
}

static size_t count_domains(const struct learn *learn)
{
	size_t n = 0;

	for (size_t i = 0; i < learn->wanted->n_domains; i++)
		n += !is_replaced(learn, learn->wanted->domains[i]);
	for (size_t i = 0; i < learn->n_targets; i++)
		n += learn->targets[i].name.size > 0;
	return n;
}

static void write_dns(const struct learn *learn)
{
	const Sentinel__V1__DnsPolicy *dns = learn->wanted->seen->settings->dns;
	FILE *out = learn->out;

	(void)fputs("dns:\n", out);
	if (dns) {
		write_enum(out, "  mode", &sentinel__v1__dns_mode__descriptor,
			   (int)dns->mode);
		if (dns->steering ==
		    SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF)
			(void)fputs("  steering: false\n", out);
		write_texts(out, "  upstreams", dns->upstreams,
			    dns->n_upstreams);
		(void)fputs(dns->n_upstreams ? "\n" : "", out);
		write_enum(out, "  denied",
			   &sentinel__v1__dns_denied__descriptor,
			   (int)dns->denied);
		(void)fputs(dns->allow_private ? "  allow_private: true\n" : "",
			    out);
		write_enum(out, "  hints", &sentinel__v1__dns_hints__descriptor,
			   (int)dns->hints);
		(void)fputs(dns->dnssec ? "  dnssec: true\n" : "", out);
	}
	(void)fputs(count_domains(learn) > 0 ? "  domains:\n" :
					       "  domains: []\n",
		    out);
	for (size_t i = 0; i < learn->wanted->n_domains; i++) {
		if (!is_replaced(learn, learn->wanted->domains[i]))
			write_old_domain(out, learn->wanted->domains[i]);
	}
	for (size_t i = 0; i < learn->n_targets; i++) {
		if (learn->targets[i].name.size > 0)
			write_target(out, &learn->targets[i]);
	}
}

static void write_refused(const struct learn *learn)
{
	const Sentinel__V1__GetSeenResponse *all = learn->wanted->seen;

	for (size_t i = 0; i < all->n_seen; i++) {
		Sentinel__V1__Seen *seen = all->seen[i];
		struct cp_ctl_judge_destination destination;
		struct cp_ctl_diff_storage storage;
		const char *why;

		why = cp_ctl_diff_read(seen, &storage, &destination) ?
			      refusal(learn, seen, destination.name) :
			      "no rule can name it";
		if (why)
			(void)fprintf(learn->out, "# not opened: %s%s%s: %s\n",
				      plain(seen->name),
				      *seen->name && *seen->address ? " " : "",
				      plain(seen->address), why);
	}
	if (all->dropped)
		(void)fprintf(learn->out,
			      "# %" PRIu64 " more were seen and had no room: "
			      "apply this, then learn again\n",
			      all->dropped);
	if (learn->wanted->n_foreign)
		(void)fprintf(learn->out,
			      "# %" PRIu64 " rules of the control plane or the "
			      "DoH list are not repeated here\n",
			      learn->wanted->n_foreign);
}

static void write_all(const struct learn *learn)
{
	const Sentinel__V1__Policy *settings = learn->wanted->seen->settings;
	size_t n_rules = learn->wanted->n_rules, n_cidrs = n_rules;
	FILE *out = learn->out;

	(void)fprintf(out, "# The policy of %.32s and what it did not allow.\n",
		      learn->wanted->id);
	write_refused(learn);
	(void)fputs("mode: allowlist\n", out);
	write_enum(out, "inbound", &sentinel__v1__inbound__descriptor,
		   (int)settings->inbound);
	write_dns(learn);
	for (size_t i = 0; i < learn->n_targets; i++)
		n_cidrs += learn->targets[i].name.size == 0;
	(void)fputs(n_cidrs > 0 ? "cidrs:\n" : "cidrs: []\n", out);
	for (size_t i = 0; i < n_rules; i++)
		write_old_rule(out, learn->wanted->rules[i]);
	for (size_t i = 0; i < learn->n_targets; i++) {
		if (learn->targets[i].name.size == 0)
			write_target(out, &learn->targets[i]);
	}
}

int cp_ctl_learn_write(const struct cp_ctl_wanted *wanted,
		       const char *const *wildcards, size_t n_wildcards,
		       FILE *out)
{
	struct learn learn = { .wanted = wanted, .out = out };

	for (size_t i = 0; i < n_wildcards; i++) {
		if (cp_dns_name_parse(wildcards[i], &learn.wildcards[i],
				      NULL) != 0)
			return -EINVAL;
		learn.n_wildcards++;
	}
	learn.targets =
		calloc(wanted->seen->n_seen + 1, sizeof(learn.targets[0]));
	if (!learn.targets)
		return -ENOMEM;
	for (size_t i = 0; i < wanted->seen->n_seen; i++)
		take(&learn, wanted->seen->seen[i]);
	write_all(&learn);
	free(learn.targets);
	return 0;
}

enum cp_ctl_exit cp_ctl_learn_print(struct cp_ctl_session *session)
{
	const struct cp_ctl_options *options = &session->options;
	struct cp_ctl_wanted wanted = { .id = "" };
	enum cp_ctl_exit exit;
	int r = 0;

	exit = cp_ctl_wanted_fetch(session, options->args[1], &wanted);
	if (exit == CP_CTL_EXIT_OK && options->json)
		exit = cp_ctl_output_object(session, &wanted.seen->base);
	else if (exit == CP_CTL_EXIT_OK)
		r = cp_ctl_learn_write(&wanted, options->wildcards,
				       options->n_wildcards, session->out);
	cp_ctl_wanted_done(&wanted);
	if (r == -EINVAL)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "--wildcard: not a name such as "
					   "example.com");
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot learn", r);
	return exit;
}
