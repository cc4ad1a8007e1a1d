// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/run/allow.h"

#include <stdlib.h>
#include <string.h>

#include "controld/policy/convert.h"
#include "controld/policy/convert_dns.h"
#include "controld/policy/subject.h"
#include "shared/util.h"

enum {
	TEXT_BYTES = 512,
};

/* Parts of one --allow, cut out of its text. */
struct parts {
	char text[TEXT_BYTES];
	char *subject;
	bool has_subdomains;
	char *ports[CP_POLICY_PORTS_MAX];
	size_t n_ports;
};

Sentinel__V1__Policy *cp_ctl_run_allow_new(void)
{
	Sentinel__V1__Policy *policy = malloc(sizeof(*policy));

	if (!policy)
		return NULL;
	sentinel__v1__policy__init(policy);
	policy->mode = SENTINEL__V1__MODE__MODE_ALLOWLIST;
	return policy;
}

/* Where the ports begin, or NULL. IPv6 without brackets has no ports. */
static char *find_ports(struct parts *parts)
{
	char *colon = strchr(parts->subject, ':'), *bracket;

	if (parts->subject[0] == '[') {
		bracket = strchr(parts->subject, ']');
		if (!bracket || (bracket[1] && bracket[1] != ':'))
			return NULL;
		*bracket = '\0';
		parts->subject++;
		return bracket[1] ? bracket + 1 : NULL;
	}
	return colon && !strchr(colon + 1, ':') ? colon : NULL;
}

static int split(struct parts *parts, const char *text, struct sn_diag *diag)
{
	char *ports, *one;

	if (strlen(text) >= sizeof(parts->text)) {
		sn_diag_set(diag, NULL, "--allow is too long");
		return CP_CTL_RUN_ALLOW_E_REFUSED;
	}
	(void)strcpy(parts->text, text);
	parts->subject = parts->text;
	/* A URL is told as one by the parser of subjects. */
	ports = strstr(text, "://") ? NULL : find_ports(parts);
	if (ports)
		*ports++ = '\0';
	while (ports && (one = strsep(&ports, ","))) {
		if (parts->n_ports == CP_POLICY_PORTS_MAX) {
			sn_diag_set(diag, NULL,
				    "--allow '%s': more than %d ports", text,
				    CP_POLICY_PORTS_MAX);
			return CP_CTL_RUN_ALLOW_E_REFUSED;
		}
		parts->ports[parts->n_ports++] = one;
	}
	if (strncmp(parts->subject, "*.", 2) == 0) {
		parts->has_subdomains = true;
		parts->subject += 2;
	}
	return 0;
}

/* What the daemon would refuse is told before anything is begun. */
static int check(const struct parts *parts, bool *is_name, struct sn_diag *diag)
{
	const struct cp_policy_convert_dns_parts domain = {
		.verdict = SN_VERDICT_ALLOW,
		.domain = parts->subject,
		.subdomains = parts->has_subdomains,
		.ports = (char *const *)parts->ports,
		.n_ports = parts->n_ports,
	};
	struct cp_policy_subject subject;
	struct cp_policy_rule rule;
	struct cp_dns_rule name;

	if (cp_policy_subject_parse(parts->subject, &subject, diag) != 0)
		return CP_CTL_RUN_ALLOW_E_REFUSED;
	*is_name = subject.is_name;
	if (!subject.is_name && parts->has_subdomains) {
		sn_diag_set(diag, NULL, "'*.' is for names");
		return CP_CTL_RUN_ALLOW_E_REFUSED;
	}
	if (subject.is_name ?
		    cp_policy_convert_dns_rule_parts(
			    &domain, CP_POLICY_OWNER_LOCAL, "", &name, diag) :
		    cp_policy_convert_rule_parts(
			    SN_VERDICT_ALLOW, parts->subject,
			    (char *const *)parts->ports, parts->n_ports, 0,
			    CP_POLICY_OWNER_LOCAL, "", &rule, diag))
		return CP_CTL_RUN_ALLOW_E_REFUSED;
	return 0;
}

/* One allocation with the message (head bytes) first, then ports and texts, as
 * cp_policy_file_free() releases it. */
static void *make(size_t head, const struct parts *parts, char **subject,
		  char ***ports)
{
	size_t size = head + parts->n_ports * sizeof(char *) +
		      strlen(parts->subject) + 1;
	char **pointers;
	char *rule, *at;

	for (size_t i = 0; i < parts->n_ports; i++)
		size += strlen(parts->ports[i]) + 1;
	rule = malloc(size);
	if (!rule)
		return NULL;
	pointers = (void *)(rule + head);
	at = (char *)(pointers + parts->n_ports);
	*subject = at;
	at = stpcpy(at, parts->subject) + 1;
	for (size_t i = 0; i < parts->n_ports; i++) {
		pointers[i] = at;
		at = stpcpy(at, parts->ports[i]) + 1;
	}
	*ports = parts->n_ports ? pointers : NULL;
	return rule;
}

/* Room for one more pointer. */
static int grow(void *list, size_t n)
{
	void *old, *grown;

	(void)memcpy(&old, list, sizeof(old));
	grown = reallocarray(old, n + 1, sizeof(void *));
	if (!grown)
		return -ENOMEM;
	(void)memcpy(list, &grown, sizeof(grown));
	return 0;
}

static int add_cidr(Sentinel__V1__Policy *policy, const struct parts *parts)
{
	Sentinel__V1__Rule *rule;
	char *cidr, **ports;

	if (grow(&policy->rules, policy->n_rules) < 0)
		return -ENOMEM;
	rule = make(sizeof(*rule), parts, &cidr, &ports);
	if (!rule)
		return -ENOMEM;
	sentinel__v1__rule__init(rule);
	policy->rules[policy->n_rules++] = rule;
	rule->verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule->cidr = cidr;
	rule->ports = ports;
	rule->n_ports = parts->n_ports;
	return 0;
}

static int add_domain(Sentinel__V1__Policy *policy, const struct parts *parts)
{
	Sentinel__V1__DnsPolicy *dns = policy->dns;
	Sentinel__V1__DomainRule *rule;
	char *name, **ports;

	if (!dns) {
		dns = malloc(sizeof(*dns));
		if (!dns)
			return -ENOMEM;
		sentinel__v1__dns_policy__init(dns);
		policy->dns = dns;
	}
	if (grow(&dns->domains, dns->n_domains) < 0)
		return -ENOMEM;
	rule = make(sizeof(*rule), parts, &name, &ports);
	if (!rule)
		return -ENOMEM;
	sentinel__v1__domain_rule__init(rule);
	dns->domains[dns->n_domains++] = rule;
	rule->verdict = SENTINEL__V1__VERDICT__VERDICT_ALLOW;
	rule->subdomains = parts->has_subdomains;
	rule->domain = name;
	rule->ports = ports;
	rule->n_ports = parts->n_ports;
	return 0;
}

int cp_ctl_run_allow_add(Sentinel__V1__Policy *policy, const char *text,
			 struct sn_diag *diag)
{
	struct parts parts = { .n_ports = 0 };
	bool is_name = false;
	int r;

	r = split(&parts, text, diag);
	if (r == 0)
		r = check(&parts, &is_name, diag);
	if (r)
		return r;
	return is_name ? add_domain(policy, &parts) : add_cidr(policy, &parts);
}
