/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/config.h"

#include "test/unit/t.h"

static const char sample[] = "etc/sentinel-cp.yaml";

/* Compares two filled structs of a schema that has scalars and mappings. */
static void same_values(const struct cp_config_schema_item *items,
			const void *a, const void *b)
{
	for (; items->key; items++) {
		const char *x = (const char *)a + items->offset;
		const char *y = (const char *)b + items->offset;
		bool same = false;

		if (items->type == CP_CONFIG_SCHEMA_TYPE_MAPPING) {
			same_values(items->items, x, y);
			continue;
		}
		if (items->type == CP_CONFIG_SCHEMA_TYPE_STRING ||
		    items->type == CP_CONFIG_SCHEMA_TYPE_PATH)
			same = strcmp(*(char *const *)(const void *)x,
				      *(char *const *)(const void *)y) == 0;
		else if (items->type == CP_CONFIG_SCHEMA_TYPE_STRINGS)
			same = memcmp(x, y,
				      sizeof(struct cp_config_schema_strings)) ==
			       0;
		else if (items->type == CP_CONFIG_SCHEMA_TYPE_BOOL)
			same = *(const bool *)x == *(const bool *)y;
		else if (items->type == CP_CONFIG_SCHEMA_TYPE_ENUM)
			same = memcmp(x, y, sizeof(unsigned int)) == 0;
		else
			same = memcmp(x, y, sizeof(uint64_t)) == 0;
		if (!same)
			t_fail("'%s' differs", items->key);
	}
}

/* Each option of the table stands in the mapping, in the table's order. */
static void has_every_key(const struct cp_config_schema_item *items,
			  const struct cp_config_yaml_node *mapping)
{
	const struct cp_config_yaml_node *key, *value;

	key = cp_config_yaml_get_first(mapping);
	for (; items->key; items++) {
		if (!key)
			t_fail("'%s' is missing", items->key);
		t_str_eq(cp_config_yaml_get_text(key), items->key);
		value = cp_config_yaml_get_next(key);
		if (items->type == CP_CONFIG_SCHEMA_TYPE_MAPPING)
			has_every_key(items->items, value);
		key = cp_config_yaml_get_next(value);
	}
	t_null(key);
}

static int load_text(const char *text, struct cp_config **ret,
		     struct sn_diag *diag)
{
	char path[] = "/tmp/test_config_file.XXXXXX";
	ssize_t size = (ssize_t)strlen(text);
	int fd = mkstemp(path), r;

	t_true(fd >= 0);
	t_eq(write(fd, text, (size_t)size), size);
	t_eq(close(fd), 0);
	r = cp_config_load(path, ret, diag);
	t_eq(unlink(path), 0);
	return r;
}

static void defaults_are_the_documented_ones(void)
{
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;

	t_eq(cp_config_default(&config), 0);
	t_eq(config->log.level, SN_LOG_INFO);
	t_str_eq(config->api.group, "sentinel-admin");
	t_eq(config->api.max_message_bytes, 4 << 20);
	t_eq(config->api.max_connections, 64);
	t_eq(config->api.max_policy_bytes, 64 << 20);
	t_eq(config->state.group_interval_ms, 0);
	t_eq(config->dataplane.reconnect_min_ms, 100);
	t_eq(config->dataplane.reconnect_max_ms, 5000);
	t_eq(config->dataplane.collect_interval_ms, 10000);
	t_eq(config->limits.attachments, 10000);
	t_eq(config->limits.rules_per_policy, 1000000);
	t_eq(config->limits.flows_per_attachment, 65536);
	t_eq(config->events.records, 8192);
	t_eq(config->events.rate, 32);
	t_true(!config->events.redact_names);
	t_true(config->log.events && !config->log.workload_names);
}

static void dns_defaults_are_the_documented_ones(void)
{
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;

	t_eq(cp_config_default(&config), 0);
	t_eq(config->dns.upstreams.n_items, 0);
	t_str_eq(config->dns.resolv_conf, "/etc/resolv.conf");
	t_eq(config->dns.ttl_floor_s, 30);
	t_eq(config->dns.grace_s, 10);
	t_eq(config->dns.cache_bytes, 64 << 20);
	t_eq(config->dns.timeouts.question_ms, 4000);
	t_eq(config->dns.timeouts.retry_ms, 400);
	t_eq(config->dns.timeouts.tcp_idle_ms, 10000);
	t_eq(config->dns.quotas.names, 4096);
	t_eq(config->dns.quotas.addresses, 8192);
	t_eq(config->dns.quotas.addresses_per_name, 1024);
	t_eq(config->dns.max_tcp_connections, 1024);
	t_eq(cp_config_get_denied(config), CP_DNS_DENIED_REFUSED);
	t_str_eq(config->dns.doh_list, "/etc/sentinel/doh-endpoints.list");
}

static void sample_has_the_defaults(void)
{
	sn_cleanup(cp_config_freep) struct cp_config *defaults = NULL;
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_config_default(&defaults), 0);
	t_eq(cp_config_load(sample, &config, &diag), 0);
	same_values(cp_config_items, config, defaults);
}

static void sample_shows_every_option(void)
{
	static const struct cp_config_yaml_limits limits = { 0 };
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_config_yaml_load(sample, &limits, &yaml, &diag), 0);
	has_every_key(cp_config_items, cp_config_yaml_get_root(yaml));
}

static void empty_file_means_the_defaults(void)
{
	sn_cleanup(cp_config_freep) struct cp_config *defaults = NULL;
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_config_default(&defaults), 0);
	t_eq(load_text("# nothing\n", &config, &diag), 0);
	same_values(cp_config_items, config, defaults);
}

static void file_overrides_what_it_names(void)
{
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(load_text("log: {level: trace}\napi:\n  group: ops\n"
		       "state:\n  group_interval: 50ms\n",
		       &config, &diag),
	     0);
	t_eq(config->log.level, SN_LOG_TRACE);
	t_str_eq(config->api.group, "ops");
	t_eq(config->api.max_connections, 64);
	t_eq(config->state.group_interval_ms, 50);
}

static void level_names_are_those_of_the_log(void)
{
	const struct cp_config_schema_item *level = cp_config_items[0].items;
	unsigned int i;

	t_str_eq(level->key, "level");
	for (i = 0; level->names[i]; i++) {
		enum sn_log_level parsed;

		t_true(sn_log_parse_level(level->names[i], &parsed));
		t_eq(parsed, i);
	}
	t_eq(i, SN_LOG_TRACE + 1);
}

static void absent_file_is_an_error(void)
{
	struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(cp_config_load("/nonexistent/sentinel-cp.yaml", &config, &diag),
	     -ENOENT);
	t_null(config);
	t_str_eq(diag.file, "/nonexistent/sentinel-cp.yaml");
	t_str_eq(diag.text, "cannot open: No such file or directory");
}

static void mistakes_are_refused_with_their_line(void)
{
	struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(load_text("log:\n  levle: info\n", &config, &diag),
	     CP_CONFIG_E_REFUSED);
	t_eq(diag.line, 2);
	t_str_eq(diag.text, "log: unknown key 'levle'; did you mean 'level'?");
	t_eq(load_text("state:\n\n  group_interval: 2s\n", &config, &diag),
	     CP_CONFIG_E_REFUSED);
	t_eq(diag.line, 3);
	t_str_eq(diag.text,
		 "state.group_interval: 2s is out of range, 0s to 1s");
	t_eq(load_text("a: [\n", &config, &diag), CP_CONFIG_E_REFUSED);
	t_null(config);
}

static void refuses_match(const char *match, const char *refusal)
{
	struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "runtime:\n  rules:\n  - name: x\n"
		       "    events: [file_open]\n    match:%s\n",
		       match);
	t_eq(load_text(text, &config, &diag), CP_CONFIG_E_REFUSED);
	t_str_eq(diag.text, refusal);
	t_eq(diag.line, strchr(match, '\n') ? 6 : 5);
	t_null(config);
}

/* It would be taken for no condition, and the rule for one of all events. */
static void empty_list_of_a_runtime_rule_is_refused(void)
{
	static const char *const lists[] = { "path_prefixes", "comms",
					     "executables",   "uids",
					     "cgroups",	      "results" };
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	for (size_t i = 0; i < SN_ARRAY_SIZE(lists); i++) {
		char match[64], refusal[160];

		(void)snprintf(match, sizeof(match), "\n      %s: []",
			       lists[i]);
		(void)snprintf(refusal, sizeof(refusal),
			       "runtime.rules[0].match.%s: is empty: name a "
			       "value, or leave it out for any",
			       lists[i]);
		refuses_match(match, refusal);
	}
	refuses_match(" {}", "runtime.rules[0].match: is empty: state a "
			     "condition, or leave it out for none");
	t_eq(load_text("runtime:\n  rules:\n  - name: x\n"
		       "    events: [file_open]\n",
		       &config, &diag),
	     0);
}

static void reconnect_bounds_must_be_in_order(void)
{
	struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(load_text("dataplane:\n  reconnect_min: 6s\n", &config, &diag),
	     CP_CONFIG_E_REFUSED);
	t_str_eq(diag.field, "dataplane.reconnect_min");
	t_str_eq(diag.text,
		 "dataplane.reconnect_min: is longer than reconnect_max");
	t_null(config);
}

static void dns_options_are_read(void)
{
	sn_cleanup(cp_config_freep) struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(load_text("dns:\n  upstreams: [192.0.2.1, \"[2001:db8::1]:5353\", "
		       "\"tls://192.0.2.2#a.example\"]\n"
		       "  denied: sinkhole\n  ttl_floor: 0s\n"
		       "  quotas: {names: 1000, addresses: 100}\n"
		       "  timeouts: {question: 500ms, retry: 500ms}\n",
		       &config, &diag),
	     0);
	t_eq(config->dns.upstreams.n_items, 3);
	t_str_eq(config->dns.upstreams.items[1], "[2001:db8::1]:5353");
	t_eq(cp_config_get_denied(config), CP_DNS_DENIED_SINKHOLE);
	t_eq(config->dns.ttl_floor_s, 0);
	t_eq(config->dns.quotas.names, 1000);
	t_eq(config->dns.quotas.addresses, 100);
	t_eq(config->dns.quotas.addresses_per_name, 1024);
	t_eq(config->dns.timeouts.retry_ms, 500);
}

static void refuses_dns(const char *text, unsigned int line, const char *why)
{
	struct cp_config *config = NULL;
	struct sn_diag diag = { 0 };

	t_eq(load_text(text, &config, &diag), CP_CONFIG_E_REFUSED);
	t_null(config);
	if (!strstr(diag.text, why))
		t_fail("'%s' lacks '%s'", diag.text, why);
	t_eq(diag.line, line);
}

static void dns_mistakes_are_refused_with_their_line(void)
{
	refuses_dns("dns:\n  upstreams:\n    - 192.0.2.1\n    - dns.example\n",
		    4, "dns.upstreams: 'dns.example'");
	refuses_dns("dns:\n  upstreams: [tls://192.0.2.1]\n", 2,
		    "dns.upstreams: ");
	refuses_dns("dns:\n  upstreams: [192.0.2.1, 192.0.2.2, 192.0.2.3, "
		    "192.0.2.4, 192.0.2.5, 192.0.2.6, 192.0.2.7, 192.0.2.8, "
		    "192.0.2.9]\n",
		    2, "dns.upstreams: has 9 elements, must have at most 8");
	refuses_dns("dns:\n  upstreams: 192.0.2.1\n", 2,
		    "dns.upstreams: must be a list");
	refuses_dns("dns:\n  resolv_conf: resolv.conf\n", 2,
		    "dns.resolv_conf: ");
	refuses_dns("dns:\n  ttl_floor: 25h\n", 2,
		    "dns.ttl_floor: 25h is out of range, 0s to 1d");
	refuses_dns("dns:\n  grace: 500ms\n", 2, "dns.grace: ");
	refuses_dns("dns:\n  cache: 1KiB\n", 2,
		    "dns.cache: 1KiB is out of range, 64KiB to 16GiB");
	refuses_dns("dns:\n  timeouts:\n    question: 1s\n    retry: 2s\n", 3,
		    "dns.timeouts.retry: is longer than question");
	refuses_dns("dns:\n  quotas: {addresses: 0}\n", 2,
		    "dns.quotas.addresses: 0 is out of range");
	refuses_dns("dns:\n  max_tcp_connections: 0\n", 2,
		    "dns.max_tcp_connections: 0 is out of range");
	refuses_dns("dns:\n  denied: drop\n", 2,
		    "dns.denied: 'drop' is not one of refused, nxdomain, "
		    "sinkhole");
	refuses_dns("dns:\n  doh_list: \"\"\n", 2, "dns.doh_list: ");
}

T_MAIN("config_file", defaults_are_the_documented_ones,
       dns_defaults_are_the_documented_ones, dns_options_are_read,
       dns_mistakes_are_refused_with_their_line, sample_has_the_defaults,
       sample_shows_every_option, empty_file_means_the_defaults,
       file_overrides_what_it_names, level_names_are_those_of_the_log,
       absent_file_is_an_error, mistakes_are_refused_with_their_line,
       empty_list_of_a_runtime_rule_is_refused,
       reconnect_bounds_must_be_in_order)
