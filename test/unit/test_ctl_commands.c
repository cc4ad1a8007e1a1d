// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/commands.h"

#include "controld/ctl/apply.h"
#include "shared/version.h"
#include "test/unit/ctl_fake.h"

enum {
	ARGS_MAX = 24,
};

/* What a run of sentinelctl wrote, and its exit status. */
struct result {
	char *out;
	char *errors;
	enum cp_ctl_exit exit;
};

static void done(struct result *result)
{
	free(result->out);
	free(result->errors);
}

/* line: arguments with single blanks between them. */
static struct result run(const struct fake *fake, const char *line)
{
	char *copy = strdup(line), *argv[ARGS_MAX] = { NULL }, *rest = copy;
	struct result result = { .out = NULL };
	size_t out_size, errors_size;
	FILE *out = open_memstream(&result.out, &out_size);
	FILE *errors = open_memstream(&result.errors, &errors_size);
	char name[] = "sentinelctl";
	int argc = 0;

	t_true(copy && out && errors);
	argv[argc++] = name;
	while (rest && argc < ARGS_MAX - 1)
		argv[argc++] = strsep(&rest, " ");
	result.exit = cp_ctl_commands_run(argc, argv, fake ? fake->path : NULL,
					  out, errors);
	(void)fclose(out);
	(void)fclose(errors);
	free(copy);
	return result;
}

static void prints(const struct fake *fake, const char *line,
		   enum cp_ctl_exit exit, const char *out, const char *errors)
{
	struct result result = run(fake, line);

	if (result.exit != exit)
		t_fail("'%s' exits with %d: %s%s", line, (int)result.exit,
		       result.out, result.errors);
	t_str_eq(result.out, out);
	t_str_eq(result.errors, errors);
	done(&result);
}

/* Compares with a file of test/golden/ctl. */
static void prints_golden(const struct fake *fake, const char *line,
			  enum cp_ctl_exit exit, const char *name)
{
	struct result result = run(fake, line);
	char path[128], golden[16384];
	size_t n;
	FILE *file;

	(void)snprintf(path, sizeof(path), "test/golden/ctl/%s.txt", name);
	file = fopen(path, "re");
	if (!file)
		t_fail("%s is not there; this is wanted:\n%s", path,
		       result.out);
	n = fread(golden, 1, sizeof(golden) - 1, file);
	(void)fclose(file);
	golden[n] = '\0';
	t_eq(result.exit, exit);
	t_str_eq(result.out, golden);
	t_str_eq(result.errors, "");
	done(&result);
}

static void help_is_as_it_was(void)
{
	static const char *const names[] = {
		"status", "list",	"show",	  "attach",   "detach",
		"apply",  "mode",	"rules",  "allow",    "deny",
		"remove", "dns-mode",	"learnt", "events",   "run",
		"doctor", "features",	"top",	  "explain",  "learn",
		"diff",	  "completion", "trace",  "findings",
	};
	char line[64], golden[64];

	prints_golden(NULL, "--help", CP_CTL_EXIT_OK, "help");
	for (size_t i = 0; i < SN_ARRAY_SIZE(names); i++) {
		(void)snprintf(line, sizeof(line), "%s --help", names[i]);
		(void)snprintf(golden, sizeof(golden), "help-%s", names[i]);
		prints_golden(NULL, line, CP_CTL_EXIT_OK, golden);
	}
	prints(NULL, "-V", CP_CTL_EXIT_OK, "sentinelctl " SN_VERSION "\n", "");
}

static void wrong_usage_exits_with_2_before_anything_is_called(void)
{
	prints(NULL, "lits", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: there is no command 'lits'; did you mean "
	       "'list'?\n");
	prints(NULL, "frobnicate", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: there is no command 'frobnicate'; 'sentinelctl "
	       "--help' lists them\n");
	prints(NULL, "attach --interface=", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: attach: the target has no name\n");
	prints(NULL, "attach --cgroup=", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: attach: the target has no name\n");
	prints(NULL, "show", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: show: usage: sentinelctl show ID\n");
	prints(NULL, "list 1", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: list: usage: sentinelctl list\n");
	prints(NULL, "show abc", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: show: 'abc' is no id: 6 to 32 hex digits are "
	       "needed\n");
	prints(NULL, "show zzzzzzz", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: show: 'zzzzzzz' is no id: 6 to 32 hex digits are "
	       "needed\n");
	prints(NULL, "mode aaaaaa open", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: mode: 'open' is no mode: allowlist, denylist, "
	       "block-all or disabled\n");
	prints(NULL, "attach", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: attach: give either --interface or --cgroup\n");
	prints(NULL, "attach --interface a --cgroup /", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: attach: give either --interface or --cgroup\n");
	prints(NULL, "allow aaaaaa 10.0.0.1/8", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: allow: '10.0.0.1/8' has host bits set: the "
	       "network is 10.0.0.0/8, the single address is 10.0.0.1/32\n");
	prints(NULL, "deny aaaaaa 10.0.0.1 --ports 80,0", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: deny: '0' names port 0, which no packet is sent "
	       "to\n");
	prints(NULL, "allow aaaaaa 10.0.0.0/33", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: allow: '10.0.0.0/33' has no prefix length from 0 "
	       "to 32 after '/'\n");
	prints(NULL, "allow aaaaaa *.example.com", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: allow: '*.example.com' has a '*'; give the name "
	       "below it and `subdomains` instead\n");
	prints(NULL, "allow aaaaaa example.com:443", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: allow: 'example.com:443' has a ':'; ports are "
	       "given by `ports`, and addresses by CIDR rules\n");
	prints(NULL, "allow aaaaaa example.com --ttl 5m", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: allow: --ttl is for addresses; what a name opens "
	       "lives as long as its answers say, and at least --ttl-floor\n");
	prints(NULL, "allow aaaaaa example.com --ttl-floor 8d",
	       CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: allow: 691200 seconds are more than 604800\n");
	prints(NULL, "allow aaaaaa 10.0.0.1 --subdomains", CP_CTL_EXIT_USAGE,
	       "",
	       "sentinelctl: allow: --subdomains is for names, not for "
	       "addresses\n");
	prints(NULL, "allow aaaaaa 10.0.0.1 --ttl-floor 5m", CP_CTL_EXIT_USAGE,
	       "",
	       "sentinelctl: allow: --ttl-floor is for names; the life of a "
	       "rule for addresses is --ttl\n");
	prints(NULL, "deny aaaaaa example.com --ports 443/tcp",
	       CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: deny: --ports is for addresses; a name that is "
	       "denied opens nothing on any port\n");
	prints(NULL, "dns-mode aaaaaa block-all", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: dns-mode: 'block-all' is no DNS mode: allowlist, "
	       "denylist, disabled, proxy or auto\n");
	prints(NULL, "detach aaaaaa --ttl 5s", CP_CTL_EXIT_USAGE, "",
	       "sentinelctl: detach: has no option --ttl; see 'sentinelctl "
	       "detach --help'\n");
}

static void a_missing_daemon_is_told_with_its_path(void)
{
	prints(NULL, "--socket /nonexistent/s list -o json", CP_CTL_EXIT_FAILED,
	       "",
	       "sentinelctl: list: cannot connect to /nonexistent/s: No such "
	       "file or directory\n"
	       "sentinelctl: next: is sentinel-cp running? Its log tells why "
	       "not\n");
}

static void listings_are_as_they_were(void)
{
	struct fake fake = { .n_parts = 0 };

	(void)setenv("TZ", "UTC", 1);
	fake_start(&fake);
	prints_golden(&fake, "list", CP_CTL_EXIT_OK, "list");
	prints_golden(&fake, "list -o json", CP_CTL_EXIT_OK, "list-json");
	prints_golden(&fake, "show aaaaaa1", CP_CTL_EXIT_OK, "show");
	prints_golden(&fake, "show bbbbbb -o json", CP_CTL_EXIT_OK,
		      "show-json");
	prints_golden(&fake, "rules AAAAAA1", CP_CTL_EXIT_OK, "rules");
	prints_golden(&fake, "-o json rules bbbbbb", CP_CTL_EXIT_OK,
		      "rules-json");
	prints_golden(&fake, "learnt AAAAAA1", CP_CTL_EXIT_OK, "learnt");
	prints_golden(&fake, "learnt bbbbbb -o json", CP_CTL_EXIT_OK,
		      "learnt-json");
	prints_golden(&fake, "explain aaaaaa1 a.example:443", CP_CTL_EXIT_OK,
		      "explain");
	prints_golden(&fake, "explain aaaaaa1 198.18.0.1:80", CP_CTL_EXIT_OK,
		      "explain-blocked");
	prints_golden(&fake, "explain aaaaaa1 asked.example", CP_CTL_EXIT_OK,
		      "explain-asked");
	prints_golden(&fake, "explain aaaaaa1 198.18.0.1 -o json",
		      CP_CTL_EXIT_OK, "explain-json");
	prints_golden(&fake, "events", CP_CTL_EXIT_OK, "events");
	prints_golden(&fake, "events -o json", CP_CTL_EXIT_OK, "events-json");
	prints_golden(&fake, "events --id aaaaaa1 --blocked --since 10m -f",
		      CP_CTL_EXIT_OK, "events");
	t_not_null(strstr(fake.request, "\"follow\":true"));
	t_not_null(strstr(fake.request, "\"blocked_only\":true"));
	t_not_null(strstr(fake.request, "\"since_seconds\":600"));
	t_not_null(strstr(fake.request, FAKE_ID1));
	fake.has_no_domains = true;
	prints_golden(&fake, "rules AAAAAA1", CP_CTL_EXIT_OK,
		      "rules-addresses");
	prints_golden(&fake, "status", CP_CTL_EXIT_OK, "status");
	prints_golden(&fake, "status -o json", CP_CTL_EXIT_OK, "status-json");
	fake.is_disconnected = true;
	prints_golden(&fake, "status", CP_CTL_EXIT_FAILED, "status-away");
	fake_end(&fake);
}

static void short_ids_are_resolved_or_refused(void)
{
	struct fake fake = { .n_parts = 0 };

	fake_start(&fake);
	prints(&fake, "detach bbbbbb", CP_CTL_EXIT_OK,
	       "detached " FAKE_ID3 "\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3 "\"}");
	prints(&fake, "detach aaaaaa", CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: detach: 'aaaaaa' is the beginning of several "
	       "ids:\n"
	       "  " FAKE_ID1 "  veth1\n"
	       "  " FAKE_ID2 "  /sys/fs/cgroup/job?[31m\n");
	prints(&fake, "detach cccccc", CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: detach: no attachment has an id that begins so\n"
	       "sentinelctl: next: 'sentinelctl list' shows what is "
	       "attached\n");
	t_eq(fake.n_detached, 1);
	fake_end(&fake);
}

static void rules_are_sent_as_they_were_given(void)
{
	struct fake fake = { .n_parts = 0 };

	fake_start(&fake);
	prints(&fake,
	       "allow bbbbbb 10.0.0.0/8 --ports 443/tcp,53 --ports icmp "
	       "--ttl 5m",
	       CP_CTL_EXIT_OK, "rule 9 added\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3
			       "\",\"cidr\":\"10.0.0.0/8\",\"ports\":[\"443/"
			       "tcp\",\"53\",\"icmp\"],\"ttl_seconds\":300}");
	prints(&fake, "deny bbbbbb 2001:db8::1", CP_CTL_EXIT_OK,
	       "rule 9 replaced\n", "");
	t_str_eq(fake.request,
		 "{\"id\":\"" FAKE_ID3 "\",\"cidr\":\"2001:db8::1\",\"ports\":"
		 "[],\"ttl_seconds\":0}");
	prints(&fake, "deny bbbbbb 10.0.0.1 -o json", CP_CTL_EXIT_OK,
	       "{\n  \"replaced\": true,\n  \"rule_id\": 9\n}\n", "");
	prints(&fake, "remove bbbbbb 10.0.0.1 --ports 53", CP_CTL_EXIT_OK,
	       "2 rules removed\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3
			       "\",\"cidr\":\"10.0.0.1\",\"ports\":[\"53\"]}");
	prints(&fake, "mode bbbbbb block-all --audit", CP_CTL_EXIT_OK,
	       "mode is block-all(audit)\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3
			       "\",\"mode\":\"block-all\",\"audit\":true}");
	prints(&fake, "mode bbbbbb allowlist -o json", CP_CTL_EXIT_OK, "{}\n",
	       "");
	fake_end(&fake);
}

static void names_are_sent_as_they_were_given(void)
{
	struct fake fake = { .n_parts = 0 };

	fake_start(&fake);
	prints(&fake,
	       "allow bbbbbb Example.com --subdomains --ports 443/tcp,80 "
	       "--ttl-floor 5m",
	       CP_CTL_EXIT_OK, "rule 11 added\n", "");
	t_str_eq(fake.request,
		 "{\"id\":\"" FAKE_ID3 "\",\"domain\":\"Example.com\","
		 "\"subdomains\":true,\"ports\":[\"443/tcp\",\"80\"],"
		 "\"ttl_floor_seconds\":300}");
	prints(&fake, "deny bbbbbb face.cafe --subdomains", CP_CTL_EXIT_OK,
	       "rule 11 replaced\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3
			       "\",\"domain\":\"face.cafe\",\"subdomains\":"
			       "true}");
	prints(&fake, "remove bbbbbb example.com --ports 443/tcp",
	       CP_CTL_EXIT_OK, "1 rule removed\n", "");
	t_str_eq(fake.request,
		 "{\"id\":\"" FAKE_ID3
		 "\",\"domain\":\"example.com\",\"ports\":[\"443/tcp\"]}");
	prints(&fake, "allow bbbbbb a.example -o json", CP_CTL_EXIT_OK,
	       "{\n  \"replaced\": false,\n  \"rule_id\": 11\n}\n", "");
	prints(&fake, "dns-mode bbbbbb proxy", CP_CTL_EXIT_OK,
	       "DNS mode is proxy\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3 "\",\"mode\":\"proxy\"}");
	prints(&fake, "dns-mode bbbbbb auto", CP_CTL_EXIT_OK,
	       "DNS mode is auto\n", "");
	t_str_eq(fake.request, "{\"id\":\"" FAKE_ID3 "\"}");
	fake_end(&fake);
}

static void attach_sends_target_and_settings(void)
{
	struct fake fake = { .n_parts = 0 };

	fake_start(&fake);
	prints(&fake,
	       "attach --interface veth9 --role host --mode denylist --audit "
	       "--meta job=42 --meta a=b=c",
	       CP_CTL_EXIT_OK, FAKE_ID1 "\n", "note: a note\n");
	t_str_eq(fake.request,
		 "{\"interface_name\":\"veth9\",\"cgroup_path\":\"\",\"role\":"
		 "\"host\",\"metadata\":{\"job\":\"42\",\"a\":\"b=c\"},"
		 "\"mode\":\"denylist\",\"audit\":true,\"policy\":null}");
	prints(&fake, "attach --interface veth1", CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: attach: veth1 is attached??[0m\n"
	       "sentinelctl: next: 'sentinelctl list' shows what is "
	       "attached\n");
	fake_end(&fake);
}

static void attach_makes_cgroup_paths_absolute(void)
{
	struct fake fake = { .n_parts = 0 };
	char line[128], wanted[256];
	struct result result;

	fake_start(&fake);
	(void)snprintf(line, sizeof(line),
		       "attach --cgroup %s/../%.20s/. -o json", fake.directory,
		       fake.directory + strlen("/tmp/"));
	result = run(&fake, line);
	t_eq(result.exit, CP_CTL_EXIT_OK);
	t_str_eq(result.out, "{\n  \"id\": \"" FAKE_ID1
			     "\",\n  \"dns_address\": \"\",\n  \"notes\": [\n"
			     "    \"a note\"\n  ]\n}\n");
	(void)snprintf(wanted, sizeof(wanted), "\"cgroup_path\":\"%s\"",
		       fake.directory);
	t_not_null(strstr(fake.request, wanted));
	done(&result);
	prints(&fake, "attach --cgroup /nonexistent/x", CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: attach: /nonexistent/x: No such file or "
	       "directory\n");
	fake_end(&fake);
}

/* A policy file of n rules, in the fake's folder. */
static void write_policy(const struct fake *fake, const char *name,
			 unsigned int n, char path[64])
{
	FILE *file;

	(void)snprintf(path, 64, "%s/%s", fake->directory, name);
	file = fopen(path, "we");
	t_true(file != NULL);
	(void)fputs("mode: denylist\ncidrs:\n", file);
	for (unsigned int i = 0; i < n; i++)
		(void)fprintf(file,
			      "  - {deny: 10.%u.%u.%u, ports: [443/tcp, "
			      "8000-8100/udp]}\n",
			      i >> 16, (i >> 8) & 255, i & 255);
	t_eq(fclose(file), 0);
}

static void what_was_seen_is_printed_as_it_was(void)
{
	static const char *const forms[] = { "", " -o json", " -o yaml" };
	static const char *const names[] = { "diff", "diff-json", "diff-yaml" };
	struct fake fake = { .n_parts = 0 };
	char path[64], line[128];
	FILE *file;

	fake_start(&fake);
	prints_golden(&fake, "learn aaaaaa1 --since 10m", CP_CTL_EXIT_OK,
		      "learn");
	prints_golden(&fake, "learn aaaaaa1 --wildcard example", CP_CTL_EXIT_OK,
		      "learn-wildcard");
	prints_golden(&fake, "learn aaaaaa1 -o json", CP_CTL_EXIT_OK,
		      "learn-json");
	(void)snprintf(path, sizeof(path), "%s/diff.yaml", fake.directory);
	file = fopen(path, "we");
	t_not_null(file);
	(void)fputs("mode: allowlist\n"
		    "dns: {domains: [{allow: a.example, ports: [443/tcp]}]}\n",
		    file);
	t_eq(fclose(file), 0);
	for (size_t i = 0; i < SN_ARRAY_SIZE(forms); i++) {
		(void)snprintf(line, sizeof(line), "diff aaaaaa1 %s%s", path,
			       forms[i]);
		prints_golden(&fake, line, CP_CTL_EXIT_OK, names[i]);
	}
	/* What it has learnt can be read, and opens what it says. */
	prints_golden(&fake, "diff aaaaaa1 test/golden/ctl/learn.txt",
		      CP_CTL_EXIT_OK, "diff-learn");
	t_eq(unlink(path), 0);
	fake_end(&fake);
}

static void apply_sends_a_small_policy_in_one_message(void)
{
	struct fake fake = { .n_parts = 0 };
	char path[64], line[128];

	fake_start(&fake);
	write_policy(&fake, "p", 1, path);
	(void)snprintf(line, sizeof(line), "apply bbbbbb %s --dry-run", path);
	prints(&fake, line, CP_CTL_EXIT_OK,
	       "dry run: 3 added, 2 removed, 1 unchanged; generation 5 is in "
	       "force\n",
	       "");
	t_str_eq(fake.request,
		 "{\"id\":\"" FAKE_ID3
		 "\",\"policy\":{\"mode\":\"denylist\",\"audit\":false,"
		 "\"inbound\":\"replies\",\"rules\":[{\"verdict\":\"deny\","
		 "\"cidr\":\"10.0.0.0\",\"ports\":[\"443/tcp\",\"8000-8100/"
		 "udp\"],\"ttl_seconds\":0,\"id\":0,\"owner\":\"\","
		 "\"remaining_seconds\":0}],\"dns\":null},\"dry_run\":true}");
	(void)snprintf(line, sizeof(line),
		       "attach --interface v --policy %s --mode allowlist",
		       path);
	prints(&fake, line, CP_CTL_EXIT_OK, FAKE_ID1 "\n", "note: a note\n");
	t_not_null(strstr(fake.request, "\"mode\":\"allowlist\",\"audit\":"
					"false,\"policy\":{\"mode\":"
					"\"allowlist\""));
	t_eq(unlink(path), 0);
	prints(&fake, "apply bbbbbb /nonexistent/p", CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: apply: /nonexistent/p: cannot open: No such file "
	       "or directory\n");
	fake_end(&fake);
}

static void large_policies_go_in_parts(void)
{
	struct fake fake = { .n_parts = 0 };
	char path[64], line[128];

	fake_start(&fake);
	write_policy(&fake, "p", 100000, path);
	(void)snprintf(line, sizeof(line), "apply bbbbbb %s", path);
	prints(&fake, line, CP_CTL_EXIT_OK,
	       "100000 added, 0 removed, 0 unchanged; generation 5 is in "
	       "force\n",
	       "");
	t_str_eq(fake.request,
		 "{\"id\":\"" FAKE_ID3
		 "\",\"policy\":{\"mode\":\"denylist\",\"audit\":false,"
		 "\"inbound\":\"replies\",\"rules\":[],\"dns\":null},"
		 "\"dry_run\":false,"
		 "\"rules\":[],\"domains\":[]}");
	t_true(fake.n_parts >= 4);
	t_true(fake.largest_part <= CP_CTL_APPLY_PART_BYTES);

	(void)snprintf(line, sizeof(line), "attach --interface v --policy %s",
		       path);
	prints(&fake, line, CP_CTL_EXIT_OK, FAKE_ID1 "\n", "note: a note\n");
	t_eq(fake.n_stream_rules, 100000);
	t_eq(fake.n_detached, 0);

	/* Nothing passes before the policy is there, not even by audit. */
	(void)snprintf(line, sizeof(line),
		       "attach --interface v --audit --policy %s", path);
	fake.attach_was_audit = true;
	prints(&fake, line, CP_CTL_EXIT_OK, FAKE_ID1 "\n", "note: a note\n");
	t_false(fake.attach_was_audit);
	t_not_null(strstr(fake.request, "\"audit\":true"));

	fake.refuse_stream = true;
	prints(&fake, line, CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: attach: the table of rules is full\n"
	       "sentinelctl: next: 'sentinelctl status' shows how full the "
	       "tables are\n"
	       "sentinelctl: attach: the policy was refused, so that the "
	       "target was detached again\n");
	t_eq(fake.n_detached, 1);
	fake.refuse_detach = true;
	prints(&fake, line, CP_CTL_EXIT_FAILED, "",
	       "sentinelctl: attach: the table of rules is full\n"
	       "sentinelctl: next: 'sentinelctl status' shows how full the "
	       "tables are\n"
	       "sentinelctl: attach: dp is away\n"
	       "sentinelctl: next: 'sentinelctl status' tells more\n"
	       "sentinelctl: attach: " FAKE_ID1
	       " stays attached and closed; 'sentinelctl detach " FAKE_ID1
	       "' ends that\n");
	t_eq(unlink(path), 0);
	fake_end(&fake);
}

static void many_domain_rules_go_in_parts_too(void)
{
	struct fake fake = { .n_parts = 0 };
	char path[64], line[128];
	FILE *file;

	fake_start(&fake);
	(void)snprintf(path, sizeof(path), "%s/d", fake.directory);
	file = fopen(path, "we");
	t_not_null(file);
	(void)fputs("cidrs: [{allow: 10.0.0.1}]\ndns:\n  mode: denylist\n"
		    "  allow_private: true\n  domains:\n",
		    file);
	for (unsigned int i = 0; i < 120000; i++)
		(void)fprintf(file, "    - {deny: name%u.zone.example.com}\n",
			      i);
	t_eq(fclose(file), 0);
	(void)snprintf(line, sizeof(line), "apply bbbbbb %s --dry-run", path);
	prints(&fake, line, CP_CTL_EXIT_OK,
	       "dry run: 1 added, 0 removed, 0 unchanged; generation 5 is in "
	       "force\n",
	       "");
	t_eq(fake.n_stream_rules, 1);
	t_eq(fake.n_stream_domains, 120000);
	t_true(fake.largest_part <= CP_CTL_APPLY_PART_BYTES);
	t_not_null(strstr(fake.request, "\"dns\":{\"mode\":\"denylist\","
					"\"upstreams\":[],\"domains\":[],"
					"\"allow_private\":true"));
	t_eq(unlink(path), 0);
	fake_end(&fake);
}

static void a_hint_fits_what_was_not_found(void)
{
	static const struct {
		const char *command;
		bool has_list, has_rules;
	} cases[] = {
		{ "attach", false, false },
		{ "detach", true, false },
		{ "remove", true, true },
	};
	const struct cp_rpc_status status = {
		.code = GRPC_STATUS_NOT_FOUND,
		.text = "there is none",
	};

	for (size_t i = 0; i < SN_ARRAY_SIZE(cases); i++) {
		struct cp_ctl_session session = { .name = cases[i].command };
		char *text = NULL;
		size_t size;

		session.errors = open_memstream(&text, &size);
		t_not_null(session.errors);
		t_eq(cp_ctl_session_fail_status(&session, &status),
		     CP_CTL_EXIT_FAILED);
		(void)fclose(session.errors);
		t_not_null(strstr(text, ": there is none\n"));
		t_eq(strstr(text, "sentinelctl list") != NULL,
		     cases[i].has_list);
		t_eq(strstr(text, "sentinelctl rules") != NULL,
		     cases[i].has_rules);
		free(text);
	}
}

static void a_full_disk_fails_the_command(void)
{
	struct fake fake = { .n_parts = 0 };
	char name[] = "sentinelctl", list[] = "list";
	char *argv[] = { name, list, NULL };
	FILE *full = fopen("/dev/full", "we");
	FILE *null = fopen("/dev/null", "we");

	t_true(full && null);
	fake_start(&fake);
	t_eq(cp_ctl_commands_run(2, argv, fake.path, full, null),
	     CP_CTL_EXIT_FAILED);
	(void)fclose(full);
	(void)fclose(null);
	fake_end(&fake);
}

T_MAIN("ctl_commands", help_is_as_it_was,
       wrong_usage_exits_with_2_before_anything_is_called,
       a_missing_daemon_is_told_with_its_path, listings_are_as_they_were,
       short_ids_are_resolved_or_refused, rules_are_sent_as_they_were_given,
       names_are_sent_as_they_were_given, attach_sends_target_and_settings,
       attach_makes_cgroup_paths_absolute, what_was_seen_is_printed_as_it_was,
       apply_sends_a_small_policy_in_one_message, large_policies_go_in_parts,
       many_domain_rules_go_in_parts_too, a_hint_fits_what_was_not_found,
       a_full_disk_fails_the_command)
