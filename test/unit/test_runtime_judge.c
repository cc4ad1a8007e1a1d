/* SPDX-License-Identifier: Apache-2.0 */
#include "controld/runtime/judge.h"

#include "controld/runtime/rules.h"
#include "test/unit/t.h"

/* A failed open by what is known of its string. */
static bool is_wanted(uint32_t flags, const char *path)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		NULL;
	struct sn_rt_record head = {
		.kind = SN_RT_KIND_EVENT,
		.event = SN_RT_EVENT_FILE_OPEN,
		.result = -1,
		.file.flags = flags,
	};
	struct cp_runtime_record record = {
		.head = &head,
		.path = { path, strlen(path) },
		.path2 = { "", 0 },
	};
	struct sn_diag diag = { .text = "" };
	struct sn_rt_bits bits;

	t_eq(cp_runtime_rules_new(&rules), 0);
	t_eq(cp_runtime_rules_add(rules, "a", &diag), 0);
	t_eq(cp_runtime_rules_put_event(rules, "file_open", &diag), 0);
	t_eq(cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH, "/etc", &diag),
	     0);
	return cp_runtime_judge(rules, &record, NULL, &bits);
}

static void string_that_is_gone_may_be_any_path(void)
{
	t_true(is_wanted(SN_RT_PATH_STRING | SN_RT_PATH_CUT, ""));
	t_true(is_wanted(SN_RT_PATH_STRING | SN_RT_PATH_CUT, "/tmp/x"));
}

static void path_that_is_known_is_judged(void)
{
	t_true(is_wanted(SN_RT_PATH_STRING, "/tmp/../etc/passwd"));
	t_true(!is_wanted(SN_RT_PATH_STRING, "/etc/../tmp"));
	t_true(!is_wanted(0, ""));
}

T_MAIN("runtime_judge", string_that_is_gone_may_be_any_path,
       path_that_is_known_is_judged)
