// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/rules.h"

#include <inttypes.h>
#include <string.h>

#include "controld/ctl/detection.h"
#include "controld/ctl/detection_rules.h"
#include "controld/ctl/pages.h"
#include "sentinel/v1/daemon.pb-c.h"

enum {
	PAGE = 10000,
	PORTS_BYTES = 512, /* joined ports of a rule */
};

static const char *join_ports(char *const *ports, size_t n_ports,
			      char buffer[PORTS_BYTES])
{
	size_t n = 0;

	(void)snprintf(buffer, PORTS_BYTES, "any");
	for (size_t i = 0; i < n_ports && n < PORTS_BYTES; i++)
		n += (size_t)snprintf(buffer + n, PORTS_BYTES - n, "%s%s",
				      i ? "," : "", ports[i]);
	return buffer;
}

/* The first two cells of a row. */
static int put_verdict(struct cp_ctl_table *table, uint32_t id,
		       Sentinel__V1__Verdict verdict)
{
	char text[CP_CTL_OUTPUT_TEXT_BYTES];
	int r = cp_ctl_table_putf(table, "%" PRIu32, id);

	if (r < 0)
		return r;
	return cp_ctl_table_put(
		table, cp_ctl_output_enum(&sentinel__v1__verdict__descriptor,
					  (int)verdict, text));
}

static int put_rule(struct cp_ctl_table *table, const ProtobufCMessage *message)
{
	const Sentinel__V1__Rule *rule = (const Sentinel__V1__Rule *)message;
	char ttl[CP_CTL_OUTPUT_TEXT_BYTES];
	char left[CP_CTL_OUTPUT_TEXT_BYTES];
	char ports[PORTS_BYTES];
	int r;

	(void)cp_ctl_output_seconds(rule->ttl_seconds, ttl);
	(void)cp_ctl_output_seconds(rule->remaining_seconds, left);
	r = put_verdict(table, rule->id, rule->verdict);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->cidr);
	if (r == 0)
		r = cp_ctl_table_put(table, join_ports(rule->ports,
						       rule->n_ports, ports));
	if (r == 0)
		r = cp_ctl_table_put(table, ttl);
	if (r == 0)
		r = cp_ctl_table_put(table, left);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->owner);
	return r;
}

static int put_domain(struct cp_ctl_table *table,
		      const ProtobufCMessage *message)
{
	const Sentinel__V1__DomainRule *rule =
		(const Sentinel__V1__DomainRule *)message;
	bool denies = rule->verdict == SENTINEL__V1__VERDICT__VERDICT_DENY;
	char floor[CP_CTL_OUTPUT_TEXT_BYTES];
	char ports[PORTS_BYTES];
	int r;

	(void)cp_ctl_output_seconds(rule->ttl_floor_seconds, floor);
	r = put_verdict(table, rule->id, rule->verdict);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->domain);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->subdomains ? "yes" : "no");
	/* A name that is denied opens nothing on any port. */
	if (r == 0)
		r = cp_ctl_table_put(table,
				     denies ? "" :
					      join_ports(rule->ports,
							 rule->n_ports, ports));
	if (r == 0)
		r = cp_ctl_table_put(table, floor);
	if (r == 0)
		r = cp_ctl_table_put(table, rule->owner);
	return r;
}

static const struct cp_ctl_pages rule_pages = {
	.method = "GetRules",
	.request = &sentinel__v1__get_rules_request__descriptor,
	.response = &sentinel__v1__get_rules_response__descriptor,
	.elements = "rules",
	.size = PAGE,
	.put = put_rule,
};

static const struct cp_ctl_pages domain_pages = {
	.method = "GetDomains",
	.request = &sentinel__v1__get_domains_request__descriptor,
	.response = &sentinel__v1__get_domains_response__descriptor,
	.elements = "domains",
	.size = PAGE,
	.put = put_domain,
};

/* Both kinds in one array; the elements differ by their keys. */
static enum cp_ctl_exit list_json(struct cp_ctl_session *session, char *id)
{
	struct cp_ctl_output_array array = { .session = NULL };
	enum cp_ctl_exit exit;

	exit = cp_ctl_pages_print(session, &rule_pages, id, NULL, &array, NULL);
	if (exit == CP_CTL_EXIT_OK)
		exit = cp_ctl_pages_print(session, &domain_pages, id, NULL,
					  &array, NULL);
	if (exit == CP_CTL_EXIT_OK)
		cp_ctl_output_end(&array);
	return exit;
}

/* Two tables; one without rows is left out unless both are. */
static enum cp_ctl_exit list_tables(struct cp_ctl_session *session, char *id)
{
	static const char *const rule_headers[] = {
		"RULE", "VERDICT", "CIDR", "PORTS", "TTL", "LEFT", "OWNER",
	};
	static const char *const domain_headers[] = {
		"RULE",	 "VERDICT",   "NAME",  "SUBDOMAINS",
		"PORTS", "TTL FLOOR", "OWNER",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *rules = NULL;
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *domains = NULL;
	size_t n_rules = 0, n_domains = 0;
	enum cp_ctl_exit exit;
	int r;

	r = cp_ctl_table_new(&rules, session->out, rule_headers,
			     SN_ARRAY_SIZE(rule_headers));
	if (r == 0)
		r = cp_ctl_table_new(&domains, session->out, domain_headers,
				     SN_ARRAY_SIZE(domain_headers));
	if (r < 0)
		return cp_ctl_session_fail_errno(session, "cannot list", r);
	exit = cp_ctl_pages_print(session, &rule_pages, id, rules, NULL,
				  &n_rules);
	if (exit)
		return exit;
	if (n_rules > 0) {
		(void)cp_ctl_table_flush(rules);
		(void)cp_ctl_table_space(domains);
	}
	exit = cp_ctl_pages_print(session, &domain_pages, id, domains, NULL,
				  &n_domains);
	if (exit)
		return exit;
	if (n_domains > 0)
		(void)cp_ctl_table_flush(domains);
	else if (n_rules == 0)
		(void)cp_ctl_table_flush(rules);
	return CP_CTL_EXIT_OK;
}

static enum cp_ctl_exit list(struct cp_ctl_session *session)
{
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;

	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit)
		return exit;
	return session->options.json ? list_json(session, id) :
				       list_tables(session, id);
}

/* Learnt. */

enum cp_ctl_exit cp_ctl_rules_run(struct cp_ctl_session *session)
{
	static const struct {
		const char *word; /* no id: it has letters that are no digits */
		size_t n_args;
		const char *arguments;
		enum cp_ctl_exit (*run)(struct cp_ctl_session *session);
	} rows[] = {
		{ "list", 2, "list", cp_ctl_detection_rules_list },
		{ "reload", 2, "reload", cp_ctl_detection_rules_reload },
		{ "check", 3, "check FILE", cp_ctl_detection_check },
		{ "test", 4, "test FILE EVENTS", cp_ctl_detection_test },
		{ "", 2, "ID", list },
	};
	const char *word = session->options.args[1];
	size_t i = 0;

	while (rows[i].word[0] && strcmp(rows[i].word, word) != 0)
		i++;
	if (session->options.n_args != rows[i].n_args)
		return cp_ctl_session_fail(session, CP_CTL_EXIT_USAGE,
					   "usage: sentinelctl rules %s",
					   rows[i].arguments);
	return rows[i].run(session);
}

static int put_learnt(struct cp_ctl_table *table,
		      const ProtobufCMessage *message)
{
	const Sentinel__V1__Learnt *learnt =
		(const Sentinel__V1__Learnt *)message;
	char left[CP_CTL_OUTPUT_TEXT_BYTES];
	char ports[PORTS_BYTES];
	int r;

	(void)cp_ctl_output_seconds(learnt->remaining_seconds, left);
	r = cp_ctl_table_put(table, learnt->name);
	if (r == 0)
		r = cp_ctl_table_put(table, learnt->address);
	if (r == 0)
		r = cp_ctl_table_put(table, join_ports(learnt->ports,
						       learnt->n_ports, ports));
	if (r == 0)
		r = cp_ctl_table_put(table, left);
	if (r == 0 && learnt->rule_id)
		return cp_ctl_table_putf(table, "%" PRIu32, learnt->rule_id);
	return r < 0 ? r : cp_ctl_table_put(table, "");
}

enum cp_ctl_exit cp_ctl_rules_learnt(struct cp_ctl_session *session)
{
	static const struct cp_ctl_pages pages = {
		.method = "ListLearnt",
		.request = &sentinel__v1__list_learnt_request__descriptor,
		.response = &sentinel__v1__list_learnt_response__descriptor,
		.elements = "learnt",
		.size = PAGE,
		.put = put_learnt,
	};
	static const char *const headers[] = {
		"NAME", "ADDRESS", "PORTS", "LEFT", "RULE",
	};
	sn_cleanup(cp_ctl_table_freep) struct cp_ctl_table *table = NULL;
	struct cp_ctl_output_array array = { .session = NULL };
	char id[CP_CTL_SESSION_ID_BYTES];
	enum cp_ctl_exit exit;
	int r;

	if (!session->options.json) {
		r = cp_ctl_table_new(&table, session->out, headers,
				     SN_ARRAY_SIZE(headers));
		if (r < 0)
			return cp_ctl_session_fail_errno(session, "cannot list",
							 r);
	}
	exit = cp_ctl_session_resolve(session, session->options.args[1], id);
	if (exit == CP_CTL_EXIT_OK)
		exit = cp_ctl_pages_print(session, &pages, id, table, &array,
					  NULL);
	if (exit)
		return exit;
	if (table)
		(void)cp_ctl_table_flush(table);
	else
		cp_ctl_output_end(&array);
	return CP_CTL_EXIT_OK;
}
