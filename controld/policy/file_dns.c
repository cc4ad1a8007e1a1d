// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/file_dns.h"

#include <stdlib.h>
#include <string.h>

#include "controld/policy/convert_dns.h"
#include "controld/policy/field.h"
#include "controld/upstream/servers.h"

struct file_rule {
	struct cp_policy_file_walk_rule head;
	bool subdomains;
	uint64_t ttl_floor_s;
};

/* In the order of the messages' values; the first stands for "not stated". */
static const char *const mode_names[] = {
	"auto", "disabled", "allowlist", "denylist", "proxy", NULL,
};
static const char *const denied_names[] = {
	"default", "refused", "nxdomain", "sinkhole", NULL,
};
_Static_assert(SENTINEL__V1__DNS_MODE__DNS_MODE_PROXY == 4 &&
		       SENTINEL__V1__DNS_DENIED__DNS_DENIED_SINKHOLE == 3,
	       "names are indexed by the messages' values");

static const char *const hints_names[] = { "strip", "learn", NULL };

static int take_domain(void *userdata, void *element, unsigned int line,
		       struct sn_diag *diag);
static int check_upstreams(const void *field, struct sn_diag *diag);

static const struct cp_config_schema_item domain_items[] = {
	{ .key = "allow",
	  .description = "Name that is allowed.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct file_rule, head.allow),
	  .min = 1,
	  .max = CP_DNS_NAME_TEXT_BYTES },
	{ .key = "deny",
	  .description = "Name that is denied.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct file_rule, head.deny),
	  .min = 1,
	  .max = CP_DNS_NAME_TEXT_BYTES },
	{ .key = "subdomains",
	  .description = "Whether every name below it is meant too.",
	  .type = CP_CONFIG_SCHEMA_TYPE_BOOL,
	  .offset = offsetof(struct file_rule, subdomains),
	  .fallback = "false" },
	{ .key = "ports",
	  .description = "What learnt addresses are open for; without it, "
			 "everything.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
	  .offset = offsetof(struct file_rule, head.ports),
	  .min = 1,
	  .max = CP_POLICY_PORTS_MAX },
	{ .key = "ttl_floor",
	  .description = "Learnt addresses live at least this long.",
	  .type = CP_CONFIG_SCHEMA_TYPE_DURATION,
	  .offset = offsetof(struct file_rule, ttl_floor_s),
	  .unit_ns = SN_NS_PER_S,
	  .min = 1,
	  .max = CP_DNS_RULES_FLOOR_MAX_S },
	{ .key = NULL },
};

const struct cp_config_schema_item cp_policy_file_dns_items[] = {
	{ .key = "mode",
	  .description = "What happens to names that no rule decides; auto: "
			 "as to addresses.",
	  .type = CP_CONFIG_SCHEMA_TYPE_ENUM,
	  .offset = offsetof(struct cp_policy_file_dns, mode),
	  .names = mode_names,
	  .fallback = "auto" },
	{ .key = "steering",
	  .description = "Whether port 53 goes to the attachment's resolver.",
	  .type = CP_CONFIG_SCHEMA_TYPE_BOOL,
	  .offset = offsetof(struct cp_policy_file_dns, steering),
	  .fallback = "true" },
	{ .key = "upstreams",
	  .description = "Servers that are asked; without it, the daemon's.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
	  .offset = offsetof(struct cp_policy_file_dns, upstreams),
	  .min = 1,
	  .max = CP_DNS_UPSTREAMS_MAX,
	  .check = check_upstreams },
	{ .key = "domains",
	  .description = "Rules; the most specific name with a rule decides.",
	  .type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
	  .items = domain_items,
	  .element_size = sizeof(struct file_rule),
	  .each = take_domain },
	{ .key = "denied",
	  .description = "Answer for names that are not allowed; default: "
			 "the daemon's.",
	  .type = CP_CONFIG_SCHEMA_TYPE_ENUM,
	  .offset = offsetof(struct cp_policy_file_dns, denied),
	  .names = denied_names,
	  .fallback = "default" },
	{ .key = "allow_private",
	  .description = "Learn private and special addresses too.",
	  .type = CP_CONFIG_SCHEMA_TYPE_BOOL,
	  .offset = offsetof(struct cp_policy_file_dns, allow_private),
	  .fallback = "false" },
	{ .key = "hints",
	  .description = "Address hints of HTTPS and SVCB records.",
	  .type = CP_CONFIG_SCHEMA_TYPE_ENUM,
	  .offset = offsetof(struct cp_policy_file_dns, hints),
	  .names = hints_names,
	  .fallback = "strip" },
	{ .key = "dnssec",
	  .description = "Validate what the upstreams answer.",
	  .type = CP_CONFIG_SCHEMA_TYPE_BOOL,
	  .offset = offsetof(struct cp_policy_file_dns, dnssec),
	  .fallback = "false" },
	{ .key = NULL },
};

static int check_upstreams(const void *field, struct sn_diag *diag)
{
	const struct cp_config_schema_strings *texts = field;
	struct cp_dns_upstream servers[CP_DNS_UPSTREAMS_MAX];

	for (size_t i = 0; i < texts->n_items; i++) {
		diag->line = texts->lines[i];
		(void)memset(&servers[i], 0, sizeof(servers[i]));
		if (cp_upstream_servers_parse(texts->items[i], &servers[i],
					      diag) != 0)
			return CP_CONFIG_SCHEMA_E_REFUSED;
		for (size_t j = 0; j < i; j++) {
			if (memcmp(&servers[i], &servers[j],
				   sizeof(servers[i])) != 0)
				continue;
			sn_diag_set(diag, NULL,
				    "is the server of line %u again",
				    texts->lines[j]);
			return CP_CONFIG_SCHEMA_E_REFUSED;
		}
	}
	return 0;
}

int cp_policy_file_dns_check(const void *field, struct sn_diag *diag)
{
	const struct cp_policy_file_dns *dns = field;

	if (!dns->dnssec || dns->upstreams.n_items > 0)
		return 0;
	sn_diag_set(diag, "dnssec",
		    "is about the policy's own upstreams, and none is given");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static Sentinel__V1__DomainRule *make_rule(const struct file_rule *rule)
{
	Sentinel__V1__DomainRule *message;
	char **ports;
	char *domain;

	message = cp_policy_file_walk_copy(&rule->head, sizeof(*message),
					   &domain, &ports);
	if (!message)
		return NULL;

	sentinel__v1__domain_rule__init(message);
	message->verdict = cp_policy_field_to_verdict(
		rule->head.allow ? SN_VERDICT_ALLOW : SN_VERDICT_DENY);
	message->domain = domain;
	message->n_ports = rule->head.ports.n_items;
	message->ports = ports;
	message->subdomains = rule->subdomains;
	message->ttl_floor_seconds = rule->ttl_floor_s;
	return message;
}

/* Text of a refused rule: the reason, under the file's own keys. */
static int refuse_parts(const struct file_rule *rule, struct sn_diag *diag)
{
	char text[SN_DIAG_TEXT_BYTES];
	const char *key = NULL;

	cp_policy_file_walk_find_line(&rule->head, diag);
	if (strcmp(diag->field, "domain") == 0)
		key = rule->head.allow ? "allow" : "deny";
	else if (strcmp(diag->field, "ttl_floor_seconds") == 0)
		key = "ttl_floor";
	(void)memcpy(text, diag->text, sizeof(text));
	if (key)
		sn_diag_set(diag, key, "%s", text);
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int refuse_add(const struct cp_policy_file_walk *walk, int r,
		      const struct cp_dns_rule *rule,
		      const struct cp_dns_rule *previous, struct sn_diag *diag)
{
	char name[CP_DNS_NAME_TEXT_BYTES];

	(void)cp_dns_name_format(&rule->name, name);
	if (r == CP_DNS_RULES_E_NAME_FULL)
		sn_diag_set(diag, NULL, "%.200s has more than %d rules", name,
			    CP_DNS_RULES_PER_NAME);
	else if (r == CP_DNS_RULES_E_REPLACED)
		sn_diag_set(diag, NULL,
			    "the rule for %.200s in line %u has the same "
			    "ports%s",
			    name, walk->lines[previous->id - 1],
			    previous->verdict != rule->verdict ?
				    " and says the opposite" :
				    "");
	else
		sn_diag_set(diag, NULL, "there are too many rules");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int add_rule(struct cp_policy_file_walk *walk,
		    const struct file_rule *source, unsigned int line)
{
	Sentinel__V1__DomainRule **domains = cp_policy_file_walk_grow(
		walk->domains, walk->n_domains, sizeof(*domains));
	int r;

	if (!domains)
		return -ENOMEM;
	walk->domains = domains;
	r = cp_policy_file_walk_put_line(walk, line);
	if (r < 0)
		return r;
	domains[walk->n_domains] = make_rule(source);
	if (!domains[walk->n_domains])
		return -ENOMEM;
	walk->n_domains++;
	return 0;
}

static int take_domain(void *userdata, void *element, unsigned int line,
		       struct sn_diag *diag)
{
	struct cp_policy_file_walk *walk = userdata;
	const struct file_rule *source = element;
	const struct cp_policy_convert_dns_parts parts = {
		.verdict = source->head.allow ? SN_VERDICT_ALLOW :
						SN_VERDICT_DENY,
		.domain = cp_policy_file_walk_get_subject(&source->head),
		.subdomains = source->subdomains,
		.ports = source->head.ports.items,
		.n_ports = source->head.ports.n_items,
		.ttl_floor_s = source->ttl_floor_s,
	};
	struct cp_dns_rule rule, previous;
	int r = cp_policy_file_walk_check(&source->head, diag);

	if (r != 0)
		return r;
	r = cp_policy_convert_dns_rule_parts(&parts, CP_POLICY_OWNER_LOCAL, "",
					     &rule, diag);
	if (r > 0)
		return refuse_parts(source, diag);
	if (r < 0)
		return r;
	r = cp_policy_add_domain(walk->model, &rule, NULL, &previous);
	if (r > 0)
		return refuse_add(walk, r, &rule, &previous, diag);
	return r < 0 ? r : add_rule(walk, source, line);
}

int cp_policy_file_dns_finish(struct cp_policy_file_dns *dns,
			      struct cp_policy_file_walk *walk,
			      Sentinel__V1__DnsPolicy **ret)
{
	Sentinel__V1__DnsPolicy *message;

	*ret = NULL;
	if (dns->mode == 0 && dns->denied == 0 && dns->hints == 0 &&
	    dns->steering && !dns->allow_private && !dns->dnssec &&
	    dns->upstreams.n_items == 0 && walk->n_domains == 0)
		return 0;
	message = malloc(sizeof(*message));
	if (!message)
		return -ENOMEM;
	sentinel__v1__dns_policy__init(message);
	message->mode = (Sentinel__V1__DnsMode)dns->mode;
	message->denied = (Sentinel__V1__DnsDenied)dns->denied;
	if (dns->hints)
		message->hints = SENTINEL__V1__DNS_HINTS__DNS_HINTS_LEARN;
	if (!dns->steering)
		message->steering =
			SENTINEL__V1__DNS_STEERING__DNS_STEERING_OFF;
	message->allow_private = dns->allow_private;
	message->dnssec = dns->dnssec;
	message->n_upstreams = dns->upstreams.n_items;
	message->upstreams = sn_steal(&dns->upstreams.items);
	dns->upstreams.n_items = 0;
	message->n_domains = walk->n_domains;
	message->domains = sn_steal(&walk->domains);
	walk->n_domains = 0;
	*ret = message;
	return 0;
}

Sentinel__V1__DnsPolicy *
cp_policy_file_dns_free(Sentinel__V1__DnsPolicy *message)
{
	if (!message)
		return NULL;
	for (size_t i = 0; i < message->n_upstreams; i++)
		free(message->upstreams[i]);
	free(message->upstreams);
	for (size_t i = 0; i < message->n_domains; i++)
		free(message->domains[i]);
	free(message->domains);
	free(message);
	return NULL;
}
