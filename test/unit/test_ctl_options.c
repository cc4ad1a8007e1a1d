// SPDX-License-Identifier: Apache-2.0
#include "controld/ctl/options.h"

#include "sentinel/v1/daemon.pb-c.h"
#include "shared/util.h"
#include "test/unit/t.h"

enum {
	ARGS_MAX = 160,
};

struct parsed {
	int r;
	struct cp_ctl_options options;
	char *errors;
	char *line;
	char *argv[ARGS_MAX];
};

/* Texts in the options are borrowed from *p. */
static void parse(struct parsed *p, const char *environment, const char *line)
{
	static char name[] = "sentinelctl";
	FILE *errors;
	size_t size;
	char *rest;
	int argc = 0;

	*p = (struct parsed){ .line = strdup(line) };
	rest = p->line;
	p->argv[argc++] = name;
	while (rest && *rest && argc < ARGS_MAX - 1)
		p->argv[argc++] = strsep(&rest, " ");
	errors = open_memstream(&p->errors, &size);
	t_true(errors && p->line);
	p->r = cp_ctl_options_parse(argc, p->argv, environment, &p->options,
				    errors);
	(void)fclose(errors);
}

static void done(struct parsed *p)
{
	free(p->line);
	free(p->errors);
}

static void refuses(const char *line, const char *error)
{
	struct parsed p;

	parse(&p, NULL, line);
	t_eq(p.r, CP_CTL_OPTIONS_E_USAGE);
	t_str_eq(p.errors, error);
	done(&p);
}

static void options_may_stand_anywhere(void)
{
	struct parsed p;

	parse(&p, NULL, "-o json allow --ttl 5m abc --ports=1,2/udp 10.0.0.1");
	t_eq(p.r, 0);
	t_str_eq(p.errors, "");
	t_true(p.options.json);
	t_eq(p.options.n_args, 3);
	t_str_eq(p.options.args[0], "allow");
	t_str_eq(p.options.args[1], "abc");
	t_str_eq(p.options.args[2], "10.0.0.1");
	t_eq(p.options.ttl_s, 300);
	t_eq(p.options.n_ports, 2);
	t_str_eq(p.options.ports[0], "1");
	t_str_eq(p.options.ports[1], "2/udp");
	t_eq(p.options.given, CP_CTL_OPTION_BIT(OUTPUT) |
				      CP_CTL_OPTION_BIT(TTL) |
				      CP_CTL_OPTION_BIT(PORTS));
	done(&p);
}

static void the_socket_is_option_then_environment_then_default(void)
{
	struct parsed p;

	parse(&p, NULL, "list");
	t_str_eq(p.options.socket, "/run/sentinel/api.sock");
	done(&p);
	parse(&p, "", "list");
	t_str_eq(p.options.socket, "/run/sentinel/api.sock");
	done(&p);
	parse(&p, "/e", "list");
	t_str_eq(p.options.socket, "/e");
	done(&p);
	parse(&p, "/e", "list --socket /o");
	t_str_eq(p.options.socket, "/o");
	done(&p);
}

static void words_become_values(void)
{
	struct parsed p;

	parse(&p, NULL,
	      "attach --mode block-all --role host --audit "
	      "--dry-run --interface v --cgroup c --policy f");
	t_eq(p.r, 0);
	t_eq(p.options.mode, SENTINEL__V1__MODE__MODE_BLOCK_ALL);
	t_eq(p.options.role, SENTINEL__V1__ROLE__ROLE_HOST);
	t_true(p.options.audit);
	t_true(p.options.dry_run);
	t_str_eq(p.options.interface_name, "v");
	t_str_eq(p.options.cgroup_path, "c");
	t_str_eq(p.options.policy_path, "f");
	t_false(p.options.subdomains);
	done(&p);
	parse(&p, NULL, "allow a b.c --subdomains --ttl-floor 1h --ttl 5m");
	t_eq(p.r, 0);
	t_true(p.options.subdomains);
	t_false(p.options.audit);
	t_eq(p.options.ttl_floor_s, 3600);
	t_eq(p.options.ttl_s, 300);
	done(&p);
}

static void dns_modes_have_their_words(void)
{
	Sentinel__V1__DnsMode mode = SENTINEL__V1__DNS_MODE__DNS_MODE_PROXY;

	t_true(cp_ctl_options_parse_dns_mode("auto", &mode));
	t_eq(mode, SENTINEL__V1__DNS_MODE__DNS_MODE_UNSPECIFIED);
	t_true(cp_ctl_options_parse_dns_mode("denylist", &mode));
	t_eq(mode, SENTINEL__V1__DNS_MODE__DNS_MODE_DENYLIST);
	t_false(cp_ctl_options_parse_dns_mode("block-all", &mode));
	t_false(cp_ctl_options_parse_dns_mode("unspecified", &mode));
	t_false(cp_ctl_options_parse_dns_mode("", &mode));
}

static void mistakes_are_told_in_one_line(void)
{
	refuses("--sockt /x list", "sentinelctl: there is no option "
				   "'--sockt'; did you mean '--socket'?\n");
	refuses("list --bogus", "sentinelctl: there is no option '--bogus'\n");
	refuses("list -x", "sentinelctl: there is no option '-x'\n");
	refuses("list --socket", "sentinelctl: '--socket' needs a value\n");
	refuses("list -o", "sentinelctl: '-o' needs a value\n");
	refuses("list --audit=1", "sentinelctl: --audit takes no value\n");
	refuses("list -o xml",
		"sentinelctl: --output 'xml' is none of: table, json, "
		"yaml\n");
	refuses("x --role both",
		"sentinelctl: --role 'both' is none of: workload, host\n");
	refuses("x --mode unspecified",
		"sentinelctl: --mode 'unspecified' is none of: allowlist, "
		"denylist, block-all or disabled\n");
	refuses("x --ttl 5", "sentinelctl: --ttl '5' is not a duration in "
			     "whole seconds such as 60s, 5m or 2h\n");
	refuses("x --ttl 0s", "sentinelctl: --ttl '0s' is not a duration in "
			      "whole seconds such as 60s, 5m or 2h\n");
	refuses("x --ttl 1ms", "sentinelctl: --ttl '1ms' is not a duration in "
			       "whole seconds such as 60s, 5m or 2h\n");
	refuses("x --ttl-floor 0s",
		"sentinelctl: --ttl-floor '0s' is not a duration in whole "
		"seconds such as 60s, 5m or 2h\n");
	refuses("x --meta a", "sentinelctl: --meta 'a' is not KEY=VALUE\n");
	refuses("x --meta =a", "sentinelctl: --meta '=a' is not KEY=VALUE\n");
	refuses("x --meta a=1 --meta a=2",
		"sentinelctl: --meta a is given twice\n");
	refuses("x --mode allowlist --mode denylist",
		"sentinelctl: --mode is given twice\n");
}

static void metadata_is_bounded(void)
{
	char line[2048] = "x";
	struct parsed p;

	for (int i = 0; i < CP_CTL_OPTIONS_META_MAX; i++)
		(void)snprintf(line + strlen(line), 32, " --meta k%d=v", i);
	parse(&p, NULL, line);
	t_eq(p.r, 0);
	t_eq(p.options.n_meta, 64);
	done(&p);
	(void)strcat(line, " --meta more=v");
	refuses(line, "sentinelctl: --meta is given more than 64 times\n");
}

static void every_mode_has_its_word(void)
{
	static const char *const words[] = { "disabled", "allowlist",
					     "denylist", "block-all" };

	for (int i = 0; i < 4; i++) {
		Sentinel__V1__Mode mode = SENTINEL__V1__MODE__MODE_UNSPECIFIED;

		t_true(cp_ctl_options_parse_mode(words[i], &mode));
		t_eq(mode, i + 1);
		t_false(cp_ctl_options_parse_mode("", &mode));
	}
}

T_MAIN("ctl_options", options_may_stand_anywhere,
       the_socket_is_option_then_environment_then_default, words_become_values,
       dns_modes_have_their_words, mistakes_are_told_in_one_line,
       metadata_is_bounded, every_mode_has_its_word)
