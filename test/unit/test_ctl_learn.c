/* SPDX-License-Identifier: Apache-2.0 */
/* Policies from what was seen: the file can be read, and allows it. */
#include "controld/ctl/diff.h"
#include "controld/ctl/judge.h"
#include "controld/ctl/learn.h"
#include "controld/policy/convert.h"
#include "controld/policy/file.h"
#include "test/unit/t.h"

enum { ROWS_MAX = 32, TCP = 6, UDP = 17, ICMP = 1 };

static struct scene {
	Sentinel__V1__GetSeenResponse response;
	Sentinel__V1__Policy settings;
	Sentinel__V1__Seen rows[ROWS_MAX];
	Sentinel__V1__Seen *pointers[ROWS_MAX];
	char texts[ROWS_MAX][3][512];
	struct cp_ctl_wanted wanted;
	char *text; /* the file */
} scene;

/* policy: a file that is in force; its rules are put in as GetRules and
 * GetDomains have them. */
static void begin(Sentinel__V1__Policy *policy)
{
	struct sn_diag diag = { .text = "" };

	(void)memset(&scene, 0, sizeof(scene));
	sentinel__v1__get_seen_response__init(&scene.response);
	sentinel__v1__policy__init(&scene.settings);
	scene.settings.mode = policy->mode;
	scene.settings.audit = true;
	scene.response.settings = &scene.settings;
	scene.response.seen = scene.pointers;
	scene.wanted.seen = &scene.response;
	scene.wanted.rules = policy->rules;
	scene.wanted.n_rules = policy->n_rules;
	if (policy->dns) {
		scene.wanted.domains = policy->dns->domains;
		scene.wanted.n_domains = policy->dns->n_domains;
	}
	t_eq(cp_policy_convert_policy(policy, 1000, CP_POLICY_OWNER_LOCAL, "",
				      &scene.wanted.policy, &diag),
	     0);
}

static Sentinel__V1__Policy *parse(const char *text)
{
	Sentinel__V1__Policy *policy = NULL;
	struct sn_diag diag = { .text = "" };
	int r = cp_policy_file_parse(text, strlen(text), "test", &policy,
				     &diag);

	if (r)
		t_fail("%s:\n%s", diag.text, text);
	return policy;
}

static Sentinel__V1__Seen *see(const char *name, const char *address,
			       uint32_t protocol, uint32_t port)
{
	size_t i = scene.response.n_seen++;
	Sentinel__V1__Seen *row = &scene.rows[i];

	t_true(i < ROWS_MAX);
	sentinel__v1__seen__init(row);
	(void)snprintf(scene.texts[i][0], sizeof(scene.texts[i][0]), "%s",
		       name);
	(void)snprintf(scene.texts[i][1], sizeof(scene.texts[i][1]), "%s",
		       address);
	(void)snprintf(scene.texts[i][2], sizeof(scene.texts[i][2]), "%s",
		       *address ? "no-rule" : "dns-denied");
	row->name = scene.texts[i][0];
	row->address = scene.texts[i][1];
	row->reason = scene.texts[i][2];
	row->protocol = protocol;
	row->port = port;
	row->audited = true;
	row->count = 1;
	scene.pointers[i] = row;
	return row;
}

/* Writes the file and judges by it what was seen; returns how much passes. */
static size_t learn(const char *const *wildcards, size_t n_wildcards)
{
	sn_cleanup(cp_policy_file_freep) Sentinel__V1__Policy *file = NULL;
	sn_cleanup(cp_policy_freep) struct cp_policy *policy = NULL;
	struct sn_diag diag = { .text = "" };
	size_t size, n = 0;
	FILE *out;

	free(scene.text);
	out = open_memstream(&scene.text, &size);
	t_not_null(out);
	t_eq(cp_ctl_learn_write(&scene.wanted, wildcards, n_wildcards, out), 0);
	(void)fclose(out);
	file = parse(scene.text);
	t_eq(cp_policy_convert_policy(file, 1000, CP_POLICY_OWNER_LOCAL, "",
				      &policy, &diag),
	     0);
	for (size_t i = 0; i < scene.response.n_seen; i++) {
		struct cp_ctl_judge_destination destination;
		struct cp_ctl_diff_storage storage;

		n += cp_ctl_diff_read(&scene.rows[i], &storage, &destination) &&
		     cp_ctl_judge(policy, &destination).passes;
	}
	return n;
}

static void end(Sentinel__V1__Policy *policy)
{
	cp_policy_free(scene.wanted.policy);
	free(scene.text);
	cp_policy_file_free(policy);
}

static bool says(const char *text)
{
	return strstr(scene.text, text);
}

static void what_was_seen_passes_by_what_was_learnt(void)
{
	Sentinel__V1__Policy *policy = parse("mode: allowlist\n");

	begin(policy);
	see("a.test", "", 0, 0);
	see("a.test", "192.0.2.1", TCP, 443);
	see("a.test", "2001:db8::1", UDP, 443);
	see("", "192.0.2.9", ICMP, 0);
	see("", "2001:db8::9", TCP, 853);
	see("asked.test", "", 0, 0);
	t_eq(learn(NULL, 0), 6);
	t_true(says("{allow: 'a.test', ports: ['443/tcp', '443/udp']}"));
	t_true(says("{allow: '192.0.2.9', ports: ['icmp']}"));
	t_true(says("{allow: '2001:db8::9', ports: ['853/tcp']}"));
	t_true(says("{allow: 'asked.test', ports: ['proto/255']}"));
	end(policy);
}

static void names_and_processes_cannot_break_out_of_the_file(void)
{
	static char comm[] = "x'}\n- {allow: 0.0.0.0/0}";
	Sentinel__V1__Policy *policy = parse("mode: allowlist\n");

	begin(policy);
	see("a\\'b.test", "192.0.2.1", TCP, 443)->comm = comm;
	see("\\010\\035\\058\\032x.test", "192.0.2.2", TCP, 443);
	see("_sip.\\\"q\\\".test", "", 0, 0);
	see("null", "", 0, 0);
	see("192.0.2.77", "", 0, 0); /* asked for as a name */
	t_eq(learn(NULL, 0), 4);
	t_true(says("# not opened: 192.0.2.77: no rule can name it\n"));
	t_false(says("\n- {allow: 0.0.0.0"));
	end(policy);
}

static void spellings_of_an_address_are_one(void)
{
	Sentinel__V1__Policy *policy = parse("mode: allowlist\n");

	begin(policy);
	see("", "27:db8::1", TCP, 443);
	see("", "27:dB8:0::0001", TCP, 443);
	see("", "::ffff:192.0.2.1", TCP, 443);
	t_eq(learn(NULL, 0), 2);
	t_true(says("{allow: '27:db8::1', ports: ['443/tcp']} # 2x"));
	t_true(says("# not opened: ::ffff:192.0.2.1: no rule can name it\n"));
	end(policy);
}

static void a_rule_for_a_name_keeps_what_less_specific_ones_opened(void)
{
	Sentinel__V1__Policy *policy = parse(
		"mode: allowlist\n"
		"dns:\n"
		"  domains:\n"
		"    - {allow: test, subdomains: true, ports: [443/tcp]}\n"
		"    - {allow: own.test, subdomains: true, ports: [22/tcp]}\n");

	begin(policy);
	see("www.test", "192.0.2.1", TCP, 80);
	see("own.test", "192.0.2.2", TCP, 80);
	t_eq(learn(NULL, 0), 2);
	t_true(says("{allow: 'www.test', ports: ['443/tcp', '80/tcp']}"));
	t_true(says("{allow: 'own.test', subdomains: true, "
		    "ports: ['22/tcp', '80/tcp']}"));
	t_true(says("{allow: 'test', subdomains: true, ports: ['443/tcp']}"));
	t_false(says("{allow: 'own.test', subdomains: true, ports: "
		     "['22/tcp']}"));
	end(policy);
}

static void what_is_denied_stays_denied_and_is_told(void)
{
	Sentinel__V1__Policy *policy =
		parse("mode: allowlist\n"
		      "dns: {domains: [{deny: bad.test, subdomains: true}]}\n"
		      "cidrs: [{deny: 192.0.2.0/24}]\n");

	begin(policy);
	see("x.bad.test", "198.51.100.1", TCP, 80);
	see("", "192.0.2.1", TCP, 80)->reason = (char[]){ "deny-rule" };
	see("", "169.254.169.254", TCP, 80)->reason = (char[]){ "metadata" };
	t_eq(learn(NULL, 0), 0);
	t_true(says("# not opened: x.bad.test 198.51.100.1: a rule denies the "
		    "name\n"));
	t_true(says("# not opened: 192.0.2.1: a rule denies it\n"));
	t_true(says("# not opened: 169.254.169.254: cloud metadata"));
	end(policy);
}

static void wildcards_stand_for_what_is_below_them(void)
{
	static const char *const wildcards[] = { "w.test" };
	static const char *const bad[] = { "*.test" };
	Sentinel__V1__Policy *policy = parse("mode: allowlist\n");

	begin(policy);
	see("a.w.test", "192.0.2.1", TCP, 80);
	see("b.c.w.test", "192.0.2.2", TCP, 443);
	see("xw.test", "192.0.2.3", TCP, 443);
	t_eq(learn(wildcards, 1), 3);
	t_true(says("{allow: 'w.test', subdomains: true, "
		    "ports: ['80/tcp', '443/tcp']}"));
	t_true(says("{allow: 'xw.test', ports: ['443/tcp']}"));
	t_false(says("a.w.test"));
	t_eq(cp_ctl_learn_write(&scene.wanted, bad, 1, stderr), -EINVAL);
	end(policy);
}

static void more_ports_than_fit_become_their_protocol(void)
{
	Sentinel__V1__Policy *policy = parse("mode: allowlist\n");

	begin(policy);
	for (uint32_t port = 1; port <= 10; port++)
		see("a.test", "192.0.2.1", port % 5 ? TCP : UDP, port);
	for (uint32_t protocol = 100; protocol < 112; protocol++)
		see("", "192.0.2.2", protocol, 0);
	t_eq(learn(NULL, 0), 22);
	t_true(says("{allow: 'a.test', ports: ['tcp', 'udp']}"));
	t_true(says("{allow: '192.0.2.2'}"));
	end(policy);
}

static void settings_of_a_denylist_become_an_allowlist(void)
{
	Sentinel__V1__Policy *policy = parse("mode: denylist\n");

	begin(policy);
	t_eq(learn(NULL, 0), 0);
	t_true(says("\nmode: allowlist\n"));
	t_true(says("  domains: []\n") && says("\ncidrs: []\n"));
	end(policy);
}

static bool passes(const char *file, const char *name, const char *address,
		   uint32_t port)
{
	Sentinel__V1__Policy *policy = parse(file);
	struct cp_ctl_judge_destination destination;
	struct cp_ctl_diff_storage storage;
	bool ret;

	begin(policy);
	t_true(cp_ctl_diff_read(see(name, address, TCP, port), &storage,
				&destination));
	ret = cp_ctl_judge(scene.wanted.policy, &destination).passes;
	end(policy);
	return ret;
}

static void judging_knows_names_addresses_and_modes(void)
{
	static const char names[] =
		"mode: allowlist\n"
		"dns: {domains: [{allow: a.test, ports: [443/tcp]}]}\n"
		"cidrs: [{deny: 192.0.2.7}, {deny: 192.0.2.0/28}]\n";

	t_true(passes(names, "a.test", "192.0.2.1", 443));
	t_false(passes(names, "a.test", "192.0.2.1", 80));
	t_false(passes(names, "b.test", "192.0.2.1", 443));
	t_true(passes(names, "a.test", "192.0.2.3", 443));
	t_false(passes(names, "a.test", "192.0.2.7", 443));
	t_true(passes(names, "a.test", "", 0));
	t_false(passes(names, "b.test", "", 0));
	t_false(passes(names, "", "198.51.100.1", 443));
	t_true(passes("mode: disabled\n", "b.test", "192.0.2.1", 80));
	t_true(passes("mode: denylist\n", "b.test", "192.0.2.1", 80));
	t_false(passes("mode: block-all\n", "b.test", "192.0.2.1", 80));
	t_false(passes("mode: allowlist\naudit: true\n", "", "192.0.2.1", 80));
}

T_MAIN("ctl_learn", what_was_seen_passes_by_what_was_learnt,
       names_and_processes_cannot_break_out_of_the_file,
       spellings_of_an_address_are_one,
       a_rule_for_a_name_keeps_what_less_specific_ones_opened,
       what_is_denied_stays_denied_and_is_told,
       wildcards_stand_for_what_is_below_them,
       more_ports_than_fit_become_their_protocol,
       settings_of_a_denylist_become_an_allowlist,
       judging_knows_names_addresses_and_modes)
