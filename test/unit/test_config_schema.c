/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/config/schema.h"

#include <time.h>

#include "controld/config/schema_print.h"
#include "shared/util.h"
#include "test/unit/t.h"

/* A schema with one of everything, in the shape of a policy file. */
struct rule {
	char *allow;
	char *deny;
	struct cp_config_schema_strings ports;
	uint64_t ttl_s;
};

struct policy {
	bool strict;
	unsigned int mode;
	uint64_t weight;
	uint64_t quota_bytes;
	uint64_t grace_ms;
	char *note;
	char *socket;
	struct cp_config_schema_strings tags;
	struct {
		uint64_t retries;
		struct cp_config_schema_array upstreams;
	} dns;
};

struct upstream {
	char *address;
};

/* What the callback of `cidrs` saw. */
struct seen {
	size_t n_rules;
	unsigned int last_line;
	uint64_t sum_ttl_s;
	char *last_allow;
};

static int take_rule(void *userdata, void *element, unsigned int line,
		     struct sn_diag *diag)
{
	struct seen *seen = userdata;
	struct rule *rule = element;

	if (!rule->allow == !rule->deny) {
		sn_diag_set(diag, NULL, "needs one of allow and deny");
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	if (rule->ports.n_items > 0 &&
	    strcmp(rule->ports.items[0], "0/tcp") == 0) {
		sn_diag_set(diag, "ports[0]", "port 0 does not exist");
		diag->line = rule->ports.lines[0];
		return CP_CONFIG_SCHEMA_E_REFUSED;
	}
	if (rule->ttl_s == 13)
		return -EXDEV;
	seen->n_rules++;
	seen->last_line = line;
	seen->sum_ttl_s += rule->ttl_s;
	free(seen->last_allow);
	seen->last_allow = sn_steal(&rule->allow);
	return 0;
}

static int check_even(const void *field, struct sn_diag *diag)
{
	if (*(const uint64_t *)field % 2 == 0)
		return 0;
	sn_diag_set(diag, NULL, "must be even");
	return CP_CONFIG_SCHEMA_E_REFUSED;
}

static int refuse_silently(const void *field, struct sn_diag *diag)
{
	(void)diag;
	return strcmp(*(char *const *)field, "/bad") == 0 ?
		       CP_CONFIG_SCHEMA_E_REFUSED :
		       0;
}

static const char *const modes[] = { "disabled", "audit", "allowlist", NULL };

static const struct cp_config_schema_item rule_items[] = {
	{ .key = "allow",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct rule, allow),
	  .description = "Prefix that is opened." },
	{ .key = "deny",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct rule, deny),
	  .description = "Prefix that is shut." },
	{ .key = "ports",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
	  .offset = offsetof(struct rule, ports),
	  .min = 1,
	  .max = 3,
	  .description = "Ports of the rule." },
	{ .key = "ttl",
	  .type = CP_CONFIG_SCHEMA_TYPE_DURATION,
	  .offset = offsetof(struct rule, ttl_s),
	  .unit_ns = SN_NS_PER_S,
	  .min = 1,
	  .max = 36525ULL * 86400,
	  .fallback = "1m",
	  .description = "Life of the rule." },
	{ .key = NULL },
};

static const struct cp_config_schema_item upstream_items[] = {
	{ .key = "address",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct upstream, address),
	  .required = true,
	  .description = "Where queries go." },
	{ .key = NULL },
};

#define DNS(name) (offsetof(struct policy, name) - offsetof(struct policy, dns))

static const struct cp_config_schema_item dns_items[] = {
	{ .key = "retries",
	  .type = CP_CONFIG_SCHEMA_TYPE_UINT,
	  .offset = DNS(dns.retries),
	  .max = 9,
	  .fallback = "3",
	  .description = "Tries after the first." },
	{ .key = "upstreams",
	  .type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
	  .offset = DNS(dns.upstreams),
	  .items = upstream_items,
	  .element_size = sizeof(struct upstream),
	  .max = 2,
	  .description = "Servers, in order." },
	{ .key = NULL },
};

static const struct cp_config_schema_item policy_items[] = {
	{ .key = "mode",
	  .type = CP_CONFIG_SCHEMA_TYPE_ENUM,
	  .offset = offsetof(struct policy, mode),
	  .names = modes,
	  .required = true,
	  .reloadable = true,
	  .description = "What happens to packets." },
	{ .key = "strict",
	  .type = CP_CONFIG_SCHEMA_TYPE_BOOL,
	  .offset = offsetof(struct policy, strict),
	  .fallback = "true",
	  .description = "Whether doubt means no." },
	{ .key = "weight",
	  .type = CP_CONFIG_SCHEMA_TYPE_UINT,
	  .offset = offsetof(struct policy, weight),
	  .min = 2,
	  .fallback = "2",
	  .check = check_even,
	  .description = "Share of the work." },
	{ .key = "quota",
	  .type = CP_CONFIG_SCHEMA_TYPE_SIZE,
	  .offset = offsetof(struct policy, quota_bytes),
	  .min = 4096,
	  .max = 1 << 20,
	  .fallback = "64KiB",
	  .description = "Bytes kept." },
	{ .key = "grace",
	  .type = CP_CONFIG_SCHEMA_TYPE_DURATION,
	  .offset = offsetof(struct policy, grace_ms),
	  .unit_ns = 1000000,
	  .max = 1000,
	  .description = "Time added." },
	{ .key = "note",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRING,
	  .offset = offsetof(struct policy, note),
	  .max = 8,
	  .fallback = "none",
	  .description = "For the reader." },
	{ .key = "socket",
	  .type = CP_CONFIG_SCHEMA_TYPE_PATH,
	  .offset = offsetof(struct policy, socket),
	  .check = refuse_silently,
	  .description = "Where it listens." },
	{ .key = "tags",
	  .type = CP_CONFIG_SCHEMA_TYPE_STRINGS,
	  .offset = offsetof(struct policy, tags),
	  .description = "Words." },
	{ .key = "dns",
	  .type = CP_CONFIG_SCHEMA_TYPE_MAPPING,
	  .offset = offsetof(struct policy, dns),
	  .items = dns_items,
	  .description = "Names." },
	{ .key = "cidrs",
	  .type = CP_CONFIG_SCHEMA_TYPE_SEQUENCE,
	  .items = rule_items,
	  .element_size = sizeof(struct rule),
	  .each = take_rule,
	  .description = "Address rules." },
	{ .key = NULL },
};

static struct sn_diag diag;
static char message[1024];

static int fill(const char *text, struct policy *policy, struct seen *seen)
{
	static const struct cp_config_yaml_limits limits = { 0 };
	sn_cleanup(cp_config_yaml_freep) struct cp_config_yaml *yaml = NULL;
	int r;

	(void)memset(&diag, 0, sizeof(diag));
	r = cp_config_yaml_parse(text, strlen(text), "p.yaml", &limits, &yaml,
				 &diag);
	if (r == 0)
		r = cp_config_schema_fill(policy_items,
					  cp_config_yaml_get_root(yaml),
					  "p.yaml", seen, policy,
					  sizeof(*policy), &diag);
	(void)sn_diag_format(&diag, message, sizeof(message));
	return r;
}

/* What the operator is told of a text that must be refused; checks that
 * nothing was left in the struct to be freed. */
static const char *refused(const char *text)
{
	struct seen seen = { 0 };
	struct policy policy;

	(void)memset(&policy, 0xff, sizeof(policy));
	t_eq(fill(text, &policy, &seen), CP_CONFIG_SCHEMA_E_REFUSED);
	t_null(policy.note);
	t_null(policy.socket);
	t_null(policy.tags.items);
	t_null(policy.dns.upstreams.items);
	free(seen.last_allow);
	return message;
}

static void absent_keys_get_their_fallbacks(void)
{
	struct seen seen = { 0 };
	struct policy policy;

	t_eq(fill("mode: audit\n", &policy, &seen), 0);
	t_eq(policy.mode, 1);
	t_true(policy.strict);
	t_eq(policy.weight, 2);
	t_eq(policy.quota_bytes, 65536);
	t_eq(policy.grace_ms, 0);
	t_str_eq(policy.note, "none");
	t_null(policy.socket);
	t_eq(policy.tags.n_items, 0);
	t_eq(policy.dns.retries, 3);
	t_eq(seen.n_rules, 0);
	cp_config_schema_done(policy_items, &policy);
	t_null(policy.note);
}

static void every_type_is_filled(void)
{
	struct upstream *upstreams;
	struct seen seen = { 0 };
	struct policy policy;

	t_eq(fill("mode: allowlist\nstrict: false\nweight: 4\nquota: 8KiB\n"
		  "grace: 1s\nnote: \"true\"\nsocket: /run/x\ntags: [a, 2]\n"
		  "dns:\n  retries: 0\n  upstreams:\n  - address: 192.0.2.1\n"
		  "  - {address: 192.0.2.2}\n",
		  &policy, &seen),
	     0);
	t_eq(policy.mode, 2);
	t_false(policy.strict);
	t_eq(policy.weight, 4);
	t_eq(policy.quota_bytes, 8192);
	t_eq(policy.grace_ms, 1000);
	t_str_eq(policy.note, "true");
	t_str_eq(policy.socket, "/run/x");
	t_eq(policy.tags.n_items, 2);
	t_str_eq(policy.tags.items[0], "a");
	t_str_eq(policy.tags.items[1], "2");
	t_eq(policy.tags.lines[1], 8);
	t_eq(policy.dns.retries, 0);
	t_eq(policy.dns.upstreams.n_items, 2);
	upstreams = policy.dns.upstreams.items;
	t_str_eq(upstreams[0].address, "192.0.2.1");
	t_str_eq(upstreams[1].address, "192.0.2.2");
	cp_config_schema_done(policy_items, &policy);
	t_null(policy.dns.upstreams.items);
}

static void callback_takes_each_element_in_order(void)
{
	struct seen seen = { 0 };
	struct policy policy;

	t_eq(fill("mode: allowlist\ncidrs:\n"
		  "- {allow: 192.0.2.0/24, ports: [443/tcp], ttl: 5m}\n"
		  "- deny: 192.0.2.7\n"
		  "- allow: 2001:db8::/32\n",
		  &policy, &seen),
	     0);
	t_eq(seen.n_rules, 3);
	t_eq(seen.last_line, 5);
	t_eq(seen.sum_ttl_s, 300 + 60 + 60);
	t_str_eq(seen.last_allow, "2001:db8::/32");
	free(seen.last_allow);
	cp_config_schema_done(policy_items, &policy);
}

static void callback_refuses_with_the_place(void)
{
	t_str_eq(refused("mode: audit\ncidrs:\n- allow: a\n- ttl: 5m\n"),
		 "p.yaml:4: cidrs[1]: needs one of allow and deny");
	t_str_eq(diag.field, "cidrs[1]");
	t_str_eq(refused("mode: audit\ncidrs:\n- allow: a\n  ports:\n"
			 "  - 0/tcp\n"),
		 "p.yaml:5: cidrs[0].ports[0]: port 0 does not exist");
	t_str_eq(diag.field, "cidrs[0].ports[0]");
}

static void callback_errors_pass_unchanged(void)
{
	struct seen seen = { 0 };
	struct policy policy;

	t_eq(fill("mode: audit\ncidrs: [{allow: a, ttl: 13s}]\n", &policy,
		  &seen),
	     -EXDEV);
	t_null(policy.note);
}

static void unknown_keys_are_refused_with_a_guess(void)
{
	t_str_eq(refused("mode: audit\nwieght: 4\n"),
		 "p.yaml:2: unknown key 'wieght'; did you mean 'weight'?");
	t_str_eq(refused("mode: audit\ncidrs: [{allow: a, tll: 5m}]\n"),
		 "p.yaml:2: cidrs[0]: unknown key 'tll'; did you mean 'ttl'?");
	t_str_eq(refused("mode: audit\n\ncolour: red\n"),
		 "p.yaml:3: unknown key 'colour'");
	t_str_eq(refused("mode: audit\n\"a\\nb\": red\n"),
		 "p.yaml:2: unknown key 'a?b'");
	t_str_eq(refused("mode: audit\n<<: {a: b}\n"),
		 "p.yaml:2: unknown key '<<'");
}

static void missing_required_keys_are_refused(void)
{
	t_str_eq(refused("\nstrict: true\n"),
		 "p.yaml:2: key 'mode' is missing");
	t_str_eq(refused(""), "p.yaml: key 'mode' is missing");
	t_str_eq(refused("mode: audit\ndns: {upstreams: [{}]}\n"),
		 "p.yaml:2: dns.upstreams[0]: key 'address' is missing");
}

static void null_is_no_value(void)
{
	t_str_eq(refused("mode:\n"),
		 "p.yaml:1: mode: has no value, must be one of its names");
	t_str_eq(refused("mode: audit\nnote: ~\n"),
		 "p.yaml:2: note: has no value, must be text");
	t_str_eq(refused("mode: audit\ntags:\n"),
		 "p.yaml:2: tags: has no value, must be a list of texts");
	t_str_eq(refused("mode: audit\ntags: [a, ]\ncidrs: null\n"),
		 "p.yaml:3: cidrs: has no value, must be a list of mappings");
	t_str_eq(refused("mode: audit\ntags: [a, ~]\n"),
		 "p.yaml:2: tags[1]: has no value, must be text");
	t_str_eq(refused("mode: audit\ndns:\nweight: 2\n"),
		 "p.yaml:2: dns: has no value, must be a mapping of options");
	t_str_eq(refused("mode: audit\ncidrs:\n-\n"),
		 "p.yaml:3: cidrs[0]: must be a mapping of options");
}

static void wrong_types_are_refused(void)
{
	t_str_eq(refused("- mode\n"), "p.yaml:1: must be a mapping of options");
	t_str_eq(refused("text\n"), "p.yaml:1: must be a mapping of options");
	t_str_eq(refused("mode: [audit]\n"),
		 "p.yaml:1: mode: must be one of its names, not a list");
	t_str_eq(refused("mode: audit\nstrict: yes\n"),
		 "p.yaml:2: strict: 'yes' is not true or false");
	t_str_eq(refused("mode: audit\nstrict: \"true\"\n"),
		 "p.yaml:2: strict: must be true or false, without quotes");
	t_str_eq(refused("mode: audit\nweight: 1e3\n"),
		 "p.yaml:2: weight: '1e3' is not a whole number");
	t_str_eq(refused("mode: audit\nweight: -2\n"),
		 "p.yaml:2: weight: '-2' is not a whole number");
	t_str_eq(refused("mode: audit\ntags: a\n"),
		 "p.yaml:2: tags: must be a list of texts, not a single value");
	t_str_eq(refused("mode: audit\ndns: [a]\n"),
		 "p.yaml:2: dns: must be a mapping of options, not a list");
	t_str_eq(refused("mode: audit\ncidrs: {allow: a}\n"),
		 "p.yaml:2: cidrs: must be a list of mappings, not a mapping");
	t_str_eq(refused("mode: audit\ncidrs: [a]\n"),
		 "p.yaml:2: cidrs[0]: must be a mapping of options");
	t_str_eq(refused("mode: audit\ngrace: 5\n"),
		 "p.yaml:2: grace: '5' is not a duration such as 30s (ns, us, "
		 "ms, s, m, h, d)");
	t_str_eq(refused("mode: audit\nsocket: run/x\n"),
		 "p.yaml:2: socket: 'run/x' is not an absolute path");
	t_str_eq(refused("mode: audit\nnote: \"a\\nb\"\n"),
		 "p.yaml:2: note: contains a control character");
}

static void values_out_of_range_are_refused(void)
{
	t_str_eq(refused("mode: audit\nweight: 1\n"),
		 "p.yaml:2: weight: 1 is out of range, at least 2");
	t_str_eq(refused("mode: audit\ndns: {retries: 10}\n"),
		 "p.yaml:2: dns.retries: 10 is out of range, 0 to 9");
	t_str_eq(refused("mode: audit\nweight: 99999999999999999999\n"),
		 "p.yaml:2: weight: 99999999999999999999 is out of range, at "
		 "least 2");
	t_str_eq(refused("mode: audit\nquota: 2MiB\n"),
		 "p.yaml:2: quota: 2MiB is out of range, 4KiB to 1MiB");
	t_str_eq(refused("mode: audit\ngrace: 2s\n"),
		 "p.yaml:2: grace: 2s is out of range, 0s to 1s");
	t_str_eq(refused("mode: audit\ngrace: 1500us\n"),
		 "p.yaml:2: grace: 1500us is not a multiple of 1ms");
	t_str_eq(refused("mode: audit\ncidrs: [{allow: a, ttl: 36526d}]\n"),
		 "p.yaml:2: cidrs[0].ttl: 36526d is out of range, 1s to "
		 "36525d");
	t_str_eq(refused("mode: audit\nnote: 'nine byte'\n"),
		 "p.yaml:2: note: is 9 bytes long, must be 0 to 8");
	t_str_eq(refused("mode: audit\ntags: ['']\n"),
		 "p.yaml:2: tags[0]: is 0 bytes long, must be 1 to 4095");
	t_str_eq(refused("mode: audit\ncidrs: [{allow: a, ports: []}]\n"),
		 "p.yaml:2: cidrs[0].ports: has 0 elements, must have at least "
		 "1");
	t_str_eq(refused("mode: audit\ndns: {upstreams: [{address: a}, "
			 "{address: b}, {address: c}]}\n"),
		 "p.yaml:2: dns.upstreams: has 3 elements, must have at most "
		 "2");
}

static void names_of_an_enum_are_listed(void)
{
	t_str_eq(refused("mode: allowlsit\n"),
		 "p.yaml:1: mode: 'allowlsit' is not one of disabled, audit, "
		 "allowlist; did you mean 'allowlist'?");
	t_str_eq(refused("mode: x\n"),
		 "p.yaml:1: mode: 'x' is not one of disabled, audit, "
		 "allowlist");
}

static void checks_refuse_with_the_place(void)
{
	t_str_eq(refused("mode: audit\nweight: 3\n"),
		 "p.yaml:2: weight: must be even");
	t_str_eq(refused("mode: audit\nsocket: /bad\n"),
		 "p.yaml:2: socket: is refused");
}

static void long_values_are_cut_in_messages(void)
{
	char text[4096] = "mode: ";

	(void)memset(text + 6, 'x', sizeof(text) - 7);
	text[sizeof(text) - 1] = '\0';
	t_true(strlen(refused(text)) < 256);
	t_true(strstr(message, "xxx...'"));
}

static void a_million_elements_are_filled_in_time(void)
{
	enum { N = 1000000, BYTES = 48 };
	sn_cleanup(sn_freep) char *text = malloc((size_t)N * BYTES + 64);
	size_t used = (size_t)sprintf(text, "mode: audit\ncidrs:\n");
	struct timespec begin, end;
	struct seen seen = { 0 };
	struct policy policy;

	for (unsigned int i = 0; i < N; i++)
		used += (size_t)sprintf(text + used,
					"- {allow: 10.%u.%u.%u, "
					"ports: [443/tcp]}\n",
					i >> 16, i >> 8 & 255, i & 255);
	t_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin), 0);
	t_eq(fill(text, &policy, &seen), 0);
	t_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end), 0);
	t_eq(seen.n_rules, N);
	t_eq(seen.last_line, N + 2);
	t_str_eq(seen.last_allow, "10.15.66.63");
	/* Takes 1 s; sanitizers and a busy machine are allowed for. */
	t_true(end.tv_sec - begin.tv_sec < 30);
	free(seen.last_allow);
	cp_config_schema_done(policy_items, &policy);
}

static void reference_lists_every_option(void)
{
	sn_cleanup(sn_freep) char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	t_not_null(out);
	t_eq(cp_config_schema_print(out, policy_items), 0);
	t_eq(fclose(out), 0);
	t_true(strstr(text, "mode: one of disabled, audit, allowlist, "
			    "required, reloadable\n\tWhat happens to "
			    "packets.\n\n"));
	t_true(strstr(text, "quota: size, 4KiB to 1MiB, default 64KiB, needs "
			    "a restart\n"));
	t_true(strstr(text, "weight: number, at least 2, default 2,"));
	t_true(strstr(text, "grace: duration, 0s to 1s, needs"));
	t_true(strstr(text, "note: text, 0 to 8 bytes, default none,"));
	t_true(strstr(text, "dns.upstreams[]: list of mappings, 0 to 2 "
			    "elements,"));
	t_true(strstr(text, "dns.upstreams[].address: text, required,"));
	t_true(strstr(text,
		      "cidrs[].ttl: duration, 1s to 36525d, default 1m,"));
}

T_MAIN("config_schema", absent_keys_get_their_fallbacks, every_type_is_filled,
       callback_takes_each_element_in_order, callback_refuses_with_the_place,
       callback_errors_pass_unchanged, unknown_keys_are_refused_with_a_guess,
       missing_required_keys_are_refused, null_is_no_value,
       wrong_types_are_refused, values_out_of_range_are_refused,
       names_of_an_enum_are_listed, checks_refuse_with_the_place,
       long_values_are_cut_in_messages, a_million_elements_are_filled_in_time,
       reference_lists_every_option)
