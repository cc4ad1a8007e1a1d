// SPDX-License-Identifier: Apache-2.0
#include "controld/runtime/rules.h"

#include "controld/runtime/compile.h"
#include "test/unit/t.h"

static struct cp_runtime_rules *new_rules(void)
{
	struct cp_runtime_rules *rules = NULL;

	t_eq(cp_runtime_rules_new(&rules), 0);
	return rules;
}

static void add(struct cp_runtime_rules *rules, const char *name,
		const char *event)
{
	struct sn_diag diag = { .text = "" };

	t_eq(cp_runtime_rules_add(rules, name, &diag), 0);
	t_eq(cp_runtime_rules_put_event(rules, event, &diag), 0);
}

static void put_path(struct cp_runtime_rules *rules, const char *path)
{
	struct sn_diag diag = { .text = "" };

	t_eq(cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH, path, &diag),
	     0);
}

static struct cp_runtime_subject opened(const char *path)
{
	return (struct cp_runtime_subject){
		.event = SN_RT_EVENT_FILE_OPEN,
		.uid = 1000,
		.comm = "cat",
		.cgroup = 77,
		.cgroup_path = { "/user", 5 },
		.has_exe = true,
		.exe = { SN_RT_DEV(8, 1), 9 },
		.exe_path = { "/bin/cat", 8 },
		.has_file = true,
		.file = { SN_RT_DEV(8, 1), 10 },
		.path = { path, strlen(path) },
	};
}

static bool matches(const struct cp_runtime_rules *rules,
		    struct cp_runtime_subject subject)
{
	struct sn_rt_bits bits;

	return cp_runtime_rules_match(rules, &subject, &bits);
}

static void path_prefix_ends_at_a_boundary(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();

	add(rules, "etc", "file_open");
	put_path(rules, "/etc/");
	t_true(matches(rules, opened("/etc")));
	t_true(matches(rules, opened("/etc/passwd")));
	t_true(matches(rules, opened("/etc/a\nb/\xff")));
	t_false(matches(rules, opened("/etcetera")));
	t_false(matches(rules, opened("/et")));
	t_false(matches(rules, opened("/home/etc/passwd")));
}

static void root_is_the_prefix_of_everything(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();

	add(rules, "all", "file_open");
	put_path(rules, "/");
	t_true(matches(rules, opened("/")));
	t_true(matches(rules, opened("/x")));
}

static void fields_are_joined_by_and_and_values_by_or(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	struct cp_runtime_subject subject = opened("/etc/passwd");
	struct sn_diag diag;

	add(rules, "two", "file_open");
	t_eq(cp_runtime_rules_put_event(rules, "file_write", &diag), 0);
	put_path(rules, "/etc");
	put_path(rules, "/boot");
	t_eq(cp_runtime_rules_put_uid(rules, 1000), 0);
	t_eq(cp_runtime_rules_put_comm(rules, "cat", &diag), 0);
	t_eq(cp_runtime_rules_put_comm(rules, "tac", &diag), 0);

	t_true(matches(rules, subject));
	t_true(matches(rules, opened("/boot/x")));
	t_false(matches(rules, opened("/home/x")));
	subject.event = SN_RT_EVENT_FILE_WRITE;
	t_true(matches(rules, subject));
	subject.event = SN_RT_EVENT_FILE_READ;
	t_false(matches(rules, subject));
	subject = opened("/etc/passwd");
	subject.uid = 0;
	t_false(matches(rules, subject));
	subject = opened("/etc/passwd");
	(void)memcpy(subject.comm, "cats", 5);
	t_false(matches(rules, subject));
}

static void rule_without_event_matches_nothing(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	struct sn_diag diag;

	t_eq(cp_runtime_rules_add(rules, "none", &diag), 0);
	put_path(rules, "/");
	t_false(matches(rules, opened("/etc")));
	t_eq(cp_runtime_rules_events(rules), 0);
}

static void what_is_not_known_fits_and_what_is_not_there_does_not(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	struct cp_runtime_subject subject = opened("/etc/passwd");
	struct sn_diag diag;

	add(rules, "exe", "file_open");
	t_eq(cp_runtime_rules_put_path(rules, SN_RT_FIELD_EXE_PATH, "/usr",
				       &diag),
	     0);
	t_eq(cp_runtime_rules_put_cgroup(rules, 5, "/system.slice", &diag), 0);
	t_false(matches(rules, subject));
	subject.exe_path.at = NULL;
	subject.cgroup_path.at = NULL;
	t_true(matches(rules, subject));
	put_path(rules, "/etc");
	t_true(matches(rules, subject));
	subject.has_file = false;
	t_false(matches(rules, subject));
}

/* The kernel looks at so many levels: one that is deeper would match nothing. */
static void cgroup_that_is_too_deep_is_refused(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	char path[2 * SN_RT_CGROUP_LEVELS + 1] = "";
	struct sn_diag diag = { .text = "" };

	add(rules, "deep", "file_open");
	for (int i = 1; i < SN_RT_CGROUP_LEVELS; i++)
		(void)strcat(path, "/a");
	t_eq(cp_runtime_rules_put_cgroup(rules, 5, path, &diag), 0);
	(void)strcat(path, "/a");
	t_eq(cp_runtime_rules_put_cgroup(rules, 6, path, &diag),
	     CP_RUNTIME_RULES_E_REFUSED);
	t_not_null(strstr(diag.text, "at most 15 parts"));
	t_eq(cp_runtime_rules_put_cgroup(rules, 1, "/", &diag), 0);
}

static void cgroup_is_meant_with_those_below_it(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	struct cp_runtime_subject subject = opened("/x");
	struct sn_diag diag;

	add(rules, "user", "file_open");
	t_eq(cp_runtime_rules_put_cgroup(rules, 5, "/user", &diag), 0);
	subject.cgroup_path =
		(struct cp_runtime_bytes){ "/user/one", strlen("/user/one") };
	t_true(matches(rules, subject));
	subject.cgroup_path =
		(struct cp_runtime_bytes){ "/users", strlen("/users") };
	t_false(matches(rules, subject));
	subject.cgroup = 5;
	t_true(matches(rules, subject));
}

static void is_refused(int r, const struct sn_diag *diag, const char *why)
{
	t_eq(r, CP_RUNTIME_RULES_E_REFUSED);
	if (!strstr(diag->text, why))
		t_fail("refused with '%s', which lacks '%s'", diag->text, why);
}

static void bad_values_are_refused_with_the_reason(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	char deep[2 * 65 + 1] = "", name[65], huge[4098];
	struct sn_diag diag;

	add(rules, "one", "file_open");
	is_refused(cp_runtime_rules_add(rules, "one", &diag), &diag,
		   "two rules 'one'");
	is_refused(cp_runtime_rules_add(rules, "", &diag), &diag, "1 to 63");
	(void)memset(name, 'n', 64);
	name[64] = '\0';
	is_refused(cp_runtime_rules_add(rules, name, &diag), &diag, "1 to 63");
	is_refused(cp_runtime_rules_put_event(rules, "file_opened", &diag),
		   &diag, "no event 'file_opened'");
	is_refused(cp_runtime_rules_put_comm(rules, "", &diag), &diag,
		   "1 to 15");
	is_refused(cp_runtime_rules_put_comm(rules, "0123456789abcdef", &diag),
		   &diag, "1 to 15");
	for (size_t i = 0; i < 65; i++)
		(void)strcat(deep, "/d");
	(void)memset(huge, 'h', sizeof(huge));
	huge[0] = '/';
	huge[sizeof(huge) - 1] = '\0';
	const struct {
		const char *path, *why;
	} bad[] = {
		{ "etc", "begins with a slash" }, { "", "begins with a slash" },
		{ "/etc//x", "empty" },		  { "//", "empty" },
		{ "/etc/../x", ". or .." },	  { "/./x", ". or .." },
		{ "/x/..", ". or .." },		  { deep, "63 parts" },
		{ deep + 2, "63 parts" },	  { huge, "less than 4096" },
	};
	for (size_t i = 0; i < SN_ARRAY_SIZE(bad); i++)
		is_refused(cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH,
						     bad[i].path, &diag),
			   &diag, bad[i].why);
	put_path(rules, "/.hidden");
	put_path(rules, "/...");
	put_path(rules, deep + 4);
	t_eq(cp_runtime_rules_count(rules), 1);
}

static void number_of_rules_and_of_terms_is_bounded(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	struct sn_diag diag;
	char name[32];

	for (unsigned int i = 0; i < SN_RT_RULES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "r%u", i);
		add(rules, name, "file_open");
	}
	t_eq(cp_runtime_rules_add(rules, "more", &diag),
	     CP_RUNTIME_RULES_E_FULL);
	for (unsigned int i = SN_RT_RULES_MAX; i < CP_RUNTIME_RULES_TERMS_MAX;
	     i++)
		t_eq(cp_runtime_rules_put_uid(rules, i), 0);
	t_eq(cp_runtime_rules_put_uid(rules, 0), CP_RUNTIME_RULES_E_FULL);
}

/* The kernel's way through the rows, as shared/abi_runtime.h tells it. */
struct model {
	const struct cp_runtime_compiled *compiled;
	struct sn_rt_bits bits;
};

static const struct sn_rt_bits *find(const struct model *model, uint8_t field,
				     bool any, uint64_t a, uint64_t b)
{
	for (size_t i = 0; i < model->compiled->n_rows; i++) {
		const struct cp_runtime_row *row = &model->compiled->rows[i];

		if (row->key.field == field && row->key.any == any &&
		    row->key.value[0] == a && row->key.value[1] == b)
			return &row->bits;
	}
	return NULL;
}

static void or (struct sn_rt_bits * to, const struct sn_rt_bits *from)
{
	for (size_t i = 0; from && i < SN_RT_WORDS; i++)
		to->words[i] |= from->words[i];
}

static void or_prefixes(const struct model *model, uint8_t field,
			struct cp_runtime_bytes path, struct sn_rt_bits *to)
{
	uint64_t hash = SN_RT_HASH_FIRST;

	for (size_t i = 0;; i++) {
		if (i == path.size || path.at[i] == '/')
			or (to, find(model, field, false, hash, i));
		if (i == path.size)
			break;
		hash = sn_rt_hash(hash, (uint8_t)path.at[i]);
	}
}

static void model_field(struct model *model, uint8_t field,
			const struct cp_runtime_subject *subject)
{
	uint64_t comm[2] = { 0, 0 };
	struct sn_rt_bits bits = { 0 };

	if (!(model->compiled->settings.fields & 1U << field))
		return;
	or (&bits, find(model, field, true, 0, 0));
	(void)memcpy(comm, subject->comm, sizeof(comm));
	if (field == SN_RT_FIELD_EVENT)
		or (&bits, find(model, field, false, subject->event, 0));
	if (field == SN_RT_FIELD_RESULT)
		or (&bits, find(model, field, false, subject->failed, 0));
	if (field == SN_RT_FIELD_UID)
		or (&bits, find(model, field, false, subject->uid, 0));
	if (field == SN_RT_FIELD_COMM)
		or (&bits, find(model, field, false, comm[0], comm[1]));
	if (field == SN_RT_FIELD_CGROUP)
		or (&bits, find(model, field, false, subject->cgroup, 0));
	if (field == SN_RT_FIELD_EXE)
		or (&bits, find(model, field, false, subject->exe[0],
				subject->exe[1]));
	if (field == SN_RT_FIELD_EXE_PATH)
		or_prefixes(model, field, subject->exe_path, &bits);
	if (field == SN_RT_FIELD_DEVINO && subject->has_file)
		or (&bits, find(model, field, false, subject->file[0],
				subject->file[1]));
	if (field == SN_RT_FIELD_PATH && subject->has_file)
		or_prefixes(model, field, subject->path, &bits);
	for (size_t i = 0; i < SN_RT_WORDS; i++)
		model->bits.words[i] &= bits.words[i];
}

static const char *const paths[] = { "/",      "/a",  "/a/b", "/a/bb", "/b",
				     "/a/b/c", "/aa", "/c/a", "/a/b/d" };
static const char *const comms[] = { "sh", "cat", "nginx" };
static const char *const events[] = { "file_open", "file_write", "mount" };

static size_t draw(size_t n)
{
	return (size_t)rand() % n;
}

static void add_random_term(struct cp_runtime_rules *rules)
{
	struct sn_diag diag;
	const char *path = paths[draw(SN_ARRAY_SIZE(paths))];
	int r = 0;

	switch (draw(9)) {
	case 0:
		r = cp_runtime_rules_put_event(
			rules, events[draw(SN_ARRAY_SIZE(events))], &diag);
		break;
	case 1:
		r = cp_runtime_rules_put_result(rules, draw(2));
		break;
	case 2:
		r = cp_runtime_rules_put_uid(rules, (uint32_t)draw(3));
		break;
	case 3:
		r = cp_runtime_rules_put_comm(
			rules, comms[draw(SN_ARRAY_SIZE(comms))], &diag);
		break;
	case 4:
		r = cp_runtime_rules_put_path(rules, SN_RT_FIELD_EXE_PATH, path,
					      &diag);
		break;
	case 5:
		r = cp_runtime_rules_put_file(rules, SN_RT_FIELD_DEVINO, 8, 1,
					      draw(3));
		break;
	case 6:
		r = cp_runtime_rules_put_file(rules, SN_RT_FIELD_EXE, 8, 1,
					      draw(3));
		break;
	default:
		r = cp_runtime_rules_put_path(rules, SN_RT_FIELD_PATH, path,
					      &diag);
		break;
	}
	t_eq(r, 0);
}

static struct cp_runtime_subject draw_subject(void)
{
	static const enum sn_rt_event kinds[] = { SN_RT_EVENT_FILE_OPEN,
						  SN_RT_EVENT_FILE_WRITE,
						  SN_RT_EVENT_MOUNT,
						  SN_RT_EVENT_PTRACE };
	struct cp_runtime_subject subject =
		opened(paths[draw(SN_ARRAY_SIZE(paths))]);
	const char *exe = paths[draw(SN_ARRAY_SIZE(paths))];

	if (subject.path.size == 1)
		subject.path.size = 0; /* as the root is hashed */
	subject.event = kinds[draw(SN_ARRAY_SIZE(kinds))];
	subject.failed = draw(2);
	subject.uid = (uint32_t)draw(4);
	(void)memset(subject.comm, 0, sizeof(subject.comm));
	(void)strcpy(subject.comm, comms[draw(SN_ARRAY_SIZE(comms))]);
	subject.exe_path = (struct cp_runtime_bytes){ exe, strlen(exe) };
	subject.exe[1] = draw(4);
	subject.file[1] = draw(4);
	subject.has_file = draw(4) > 0;
	return subject;
}

static void compare_one_set(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	size_t n = 1 + draw(150);
	struct cp_runtime_compiled compiled;
	struct sn_diag diag;
	char name[32];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "r%zu", i);
		t_eq(cp_runtime_rules_add(rules, name, &diag), 0);
		for (size_t j = draw(6); j > 0; j--)
			add_random_term(rules);
	}
	t_eq(cp_runtime_compile_init(&compiled, rules), 0);
	t_eq(compiled.settings.n_words, (n + 63) / 64);
	for (size_t i = 0; i < 200; i++) {
		struct cp_runtime_subject subject = draw_subject();
		struct model model = { .compiled = &compiled };
		struct sn_rt_bits bits;

		(void)cp_runtime_rules_match(rules, &subject, &bits);
		(void)memset(&model.bits, 0xff, sizeof(model.bits));
		if (!(compiled.settings.fields & 1U << SN_RT_FIELD_EVENT))
			(void)memset(&model.bits, 0, sizeof(model.bits));
		for (uint8_t field = 1; field < SN_RT_FIELD_COUNT; field++)
			model_field(&model, field, &subject);
		t_mem_eq(&model.bits, &bits, sizeof(bits));
	}
	cp_runtime_compile_done(&compiled);
}

/* Two ways to the same answer: term by term, and by the rows. */
static void rows_say_what_the_rules_say(void)
{
	srand(20261127);
	for (size_t i = 0; i < 40; i++)
		compare_one_set();
}

static void rows_name_the_longest_prefix(void)
{
	sn_cleanup(cp_runtime_rules_freep) struct cp_runtime_rules *rules =
		new_rules();
	struct cp_runtime_compiled compiled;

	add(rules, "a", "file_open");
	put_path(rules, "/etc");
	put_path(rules, "/usr/local/");
	t_eq(cp_runtime_compile_init(&compiled, rules), 0);
	t_eq(compiled.settings.path_bytes, strlen("/usr/local"));
	t_eq(compiled.settings.exe_bytes, 0);
	t_eq(compiled.n_rows, 3);
	t_eq(compiled.settings.fields,
	     1U << SN_RT_FIELD_EVENT | 1U << SN_RT_FIELD_PATH);
	cp_runtime_compile_done(&compiled);
}

T_MAIN("runtime_rules", path_prefix_ends_at_a_boundary,
       root_is_the_prefix_of_everything,
       fields_are_joined_by_and_and_values_by_or,
       rule_without_event_matches_nothing,
       what_is_not_known_fits_and_what_is_not_there_does_not,
       cgroup_that_is_too_deep_is_refused, cgroup_is_meant_with_those_below_it,
       bad_values_are_refused_with_the_reason,
       number_of_rules_and_of_terms_is_bounded, rows_say_what_the_rules_say,
       rows_name_the_longest_prefix)
