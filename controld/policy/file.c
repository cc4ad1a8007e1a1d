// SPDX-License-Identifier: Apache-2.0
#include "controld/policy/file.h"

#include <stdlib.h>
#include <string.h>

#include "controld/config/schema.h"
#include "controld/policy/convert.h"
#include "controld/policy/field.h"
#include "controld/policy/file_dns.h"
#include "controld/policy/policy.h"

/* Elements are checked one by one while the schema is walked. */

struct file_rule {
	struct cp_policy_file_walk_rule head;
	uint64_t ttl_s;
};

struct file_policy {
	unsigned int mode;
	unsigned int inbound;
	bool audit;
	struct cp_policy_file_dns dns;
};

/* Those of the YAML reader are the ones that count. */
static const struct cp_config_yaml_limits no_limits = { .max_bytes = 0 };

static const char *const mode_names[] = {
	"allowlist", "denylist", "block-all", "disabled", NULL,
};

static const Sentinel__V1__Mode mode_values[] = {
	SENTINEL__V1__MODE__MODE_ALLOWLIST,
	SENTINEL__V1__MODE__MODE_DENYLIST,
	SENTINEL__V1__MODE__MODE_BLOCK_ALL,
	SENTINEL__V1__MODE__MODE_DISABLED,
};

static const char *const inbound_names[] = {
	"replies",
	"allow",
	"block",
	NULL,
};

static const Sentinel__V1__Inbound inbound_values[] = {
	SENTINEL__V1__INBOUND__INBOUND_REPLIES,
	SENTINEL__V1__INBOUND__INBOUND_ALLOW,
	SENTINEL__V1__INBOUND__INBOUND_BLOCK,
};

static int take_rule(void *userdata, void *element, unsigned int line,
		     struct sn_diag *diag);

static const struct cp_config_schema_item rule_items[] = {
	{ .key = "allow",
	  .description = "Prefix or address that is allowed.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct file_rule, head.allow),
	  .min = 1,
	  .max = 128 },
	{ .key = "deny",
	  .description = "Prefix or address that is denied.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct file_rule, head.deny),
	  .min = 1,
	  .max = 128 },
	{ .key = "ports",
	  .description = "Ports and protocols; without it, all of them.",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
	  .offset = offsetof(struct file_rule, head.ports),
	  .min = 1,
	  .max = CP_POLICY_PORTS_MAX },
	{ .key = "ttl",
	  .description = "How long new connections are judged by the rule.",
	  .type = CP_CONFIG_SCHEMA_TYPE_DURATION,
	  .offset = offsetof(struct file_rule, ttl_s),
	  .unit_ns = SN_NS_PER_S,
	  .min = 1,
	  .max = CP_POLICY_TTL_MAX_S },
	{ .key = NULL },
};

const struct cp_config_schema_item cp_policy_file_items[] = {
	{ .key = "mode",
	  .description = "What happens to what no rule decides.",
	  .type = CP_CONFIG_SCHEMA_TYPE_ENUM,
	  .offset = offsetof(struct file_policy, mode),
	  .names = mode_names,
	  .fallback = "allowlist" },
	{ .key = "audit",
	  .description = "Count and report, but pass what would be blocked.",
	  .type = CP_CONFIG_SCHEMA_TYPE_BOOL,
	  .offset = offsetof(struct file_policy, audit),
	  .fallback = "false" },
	{ .key = "inbound",
	  .description = "What may reach the workload.",
	  .type = CP_CONFIG_SCHEMA_TYPE_ENUM,
	  .offset = offsetof(struct file_policy, inbound),
	  .names = inbound_names,
	  .fallback = "replies" },
	{ .key = "cidrs",
	  .description = "Rules; the longest matching prefix decides.",
	  .type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
	  .items = rule_items,
	  .element_size = sizeof(struct file_rule),
	  .each = take_rule },
	{ .key = "dns",
	  .description = "Name resolution.",
	  .type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
	  .offset = offsetof(struct file_policy, dns),
	  .items = cp_policy_file_dns_items,
	  .check = cp_policy_file_dns_check },
	{ .key = NULL },
};

static Sentinel__V1__Rule *make_rule(const struct file_rule *rule)
{
	Sentinel__V1__Rule *message;
	char **ports;
	char *cidr;

	message = cp_policy_file_walk_copy(&rule->head, sizeof(*message), &cidr,
					   &ports);
	if (!message)
		return NULL;

	sentinel__v1__rule__init(message);
	message->verdict = cp_policy_field_to_verdict(
		rule->head.allow ? SN_VERDICT_ALLOW : SN_VERDICT_DENY);
	message->cidr = cidr;
	message->n_ports = rule->head.ports.n_items;
	message->ports = ports;
	message->ttl_seconds = rule->ttl_s;
	return message;
}

/* Text of a refused rule: the reason, and the field's own line for ports. */
static int refuse_parts(const struct file_rule *rule, struct sn_diag *diag)
{
	char text[SN_DIAG_TEXT_BYTES];

	cp_policy_file_walk_find_line(&rule->head, diag);
	(void)memcpy(text, diag->text, sizeof(text));
	if (strcmp(diag->field, "cidr") == 0)
		sn_diag_set(diag, rule->head.allow ? "allow" : "deny", "%s",
			    text);
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int refuse_add(const struct cp_policy_file_walk *walk, int r,
		      const struct cp_policy_rule *rule,
		      const struct cp_policy_rule *previous,
		      struct sn_diag *diag)
{
	char cidr[CP_POLICY_CIDR_TEXT_BYTES];

	(void)cp_policy_cidr_format(&rule->cidr, cidr);
	if (r == CP_POLICY_E_PREFIX_FULL)
		sn_diag_set(diag, NULL,
			    "%s has more than %d ports and protocols over all "
			    "of its rules",
			    cidr, SN_ITEMS_MAX);
	else if (r == CP_POLICY_E_REPLACED)
		sn_diag_set(diag, NULL,
			    "the rule for %s in line %u has the same ports%s",
			    cidr, walk->lines[previous->id - 1],
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
	Sentinel__V1__Rule **rules = cp_policy_file_walk_grow(
		walk->rules, walk->n_rules, sizeof(*rules));
	int r;

	if (!rules)
		return -ENOMEM;
	walk->rules = rules;
	r = cp_policy_file_walk_put_line(walk, line);
	if (r < 0)
		return r;
	rules[walk->n_rules] = make_rule(source);
	if (!rules[walk->n_rules])
		return -ENOMEM;
	walk->n_rules++;
	return 0;
}

static int take_rule(void *userdata, void *element, unsigned int line,
		     struct sn_diag *diag)
{
	struct cp_policy_file_walk *walk = userdata;
	const struct file_rule *source = element;
	struct cp_policy_rule rule, previous;
	int r = cp_policy_file_walk_check(&source->head, diag);

	if (r != 0)
		return r;
	r = cp_policy_convert_rule_parts(
		source->head.allow ? SN_VERDICT_ALLOW : SN_VERDICT_DENY,
		cp_policy_file_walk_get_subject(&source->head),
		source->head.ports.items, source->head.ports.n_items,
		source->ttl_s, CP_POLICY_OWNER_LOCAL, "", &rule, diag);
	if (r > 0)
		return refuse_parts(source, diag);
	if (r < 0)
		return r;

	r = cp_policy_add(walk->model, &rule, NULL, &previous);
	if (r > 0)
		return refuse_add(walk, r, &rule, &previous, diag);
	return r < 0 ? r : add_rule(walk, source, line);
}

static void done(struct cp_policy_file_walk *walk)
{
	for (size_t i = 0; i < walk->n_rules; i++)
		free(walk->rules[i]);
	for (size_t i = 0; i < walk->n_domains; i++)
		free(walk->domains[i]);
	free(walk->rules);
	free(walk->domains);
	free(walk->lines);
	(void)cp_policy_free(walk->model);
}

static int finish(struct cp_policy_file_walk *walk, struct file_policy *policy,
		  Sentinel__V1__Policy **ret)
{
	Sentinel__V1__Policy *message = malloc(sizeof(*message));
	int r;

	if (!message)
		return -ENOMEM;
	sentinel__v1__policy__init(message);
	r = cp_policy_file_dns_finish(&policy->dns, walk, &message->dns);
	if (r < 0) {
		free(message);
		return r;
	}
	message->mode = mode_values[policy->mode];
	message->audit = policy->audit;
	message->inbound = inbound_values[policy->inbound];
	message->n_rules = walk->n_rules;
	message->rules = sn_steal(&walk->rules);
	walk->n_rules = 0;
	*ret = message;
	return 0;
}

static int read_tree(const struct cp_config_yaml *yaml, const char *file,
		     Sentinel__V1__Policy **ret, struct sn_diag *diag)
{
	const struct cp_config_yaml_node *root = cp_config_yaml_get_root(yaml);
	struct cp_policy_file_walk walk = { .model = NULL };
	struct file_policy policy;
	int r;

	if (!root) {
		sn_diag_set(diag, NULL,
			    "is empty; write 'mode: allowlist' for a policy "
			    "without rules");
		sn_diag_at(diag, file, 0);
		return CP_POLICY_FILE_E_REFUSED;
	}
	r = cp_policy_new(&walk.model, UINT32_MAX - 1);
	if (r < 0)
		return r;
	r = cp_config_schema_fill(cp_policy_file_items, root, file, &walk,
				  &policy, sizeof(policy), diag);
	if (r == 0) {
		r = finish(&walk, &policy, ret);
		cp_config_schema_done(cp_policy_file_items, &policy);
	} else if (r > 0) {
		r = CP_POLICY_FILE_E_REFUSED;
	}
	done(&walk);
	return r;
}

int cp_policy_file_parse(const char *text, size_t size, const char *file,
			 Sentinel__V1__Policy **ret, struct sn_diag *diag)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	int r;

	r = cp_config_yaml_parse(text, size, file, &no_limits, &yaml, diag);
	if (r)
		return r < 0 ? r : CP_POLICY_FILE_E_REFUSED;
	return read_tree(yaml, file, ret, diag);
}

int cp_policy_file_load(const char *path, Sentinel__V1__Policy **ret,
			struct sn_diag *diag)
{
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	int r;

	r = cp_config_yaml_load(path, &no_limits, &yaml, diag);
	if (r)
		return r < 0 ? r : CP_POLICY_FILE_E_REFUSED;
	return read_tree(yaml, path, ret, diag);
}

Sentinel__V1__Policy *cp_policy_file_free(Sentinel__V1__Policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < policy->n_rules; i++)
		free(policy->rules[i]);
	free(policy->rules);
	(void)cp_policy_file_dns_free(policy->dns);
	free(policy);
	return NULL;
}
