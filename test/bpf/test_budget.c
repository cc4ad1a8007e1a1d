/* SPDX-License-Identifier: Apache-2.0 */

/* How many instructions the verifier walks for each program, against
 * test/golden/verifier.txt; SN_GOLDEN_UPDATE=1 rewrites that file. The
 * verifier gives up at a million, and each kernel counts its own way. */

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>

#include "dataplane/hooks.h"
#include "runtime.skel.h"
#include "sentinel.skel.h"
#include "shared/tables.h"
#include "shared/util.h"
#include "test/unit/t.h"

enum {
	LOG_BYTES = 1 << 20,
	STATS_ONLY = 4, /* verifier log level */
	PERCENT_MAX = 110,
};

static const char golden_path[] = "test/golden/verifier.txt";

static char logs[SN_PROGRAM_COUNT][LOG_BYTES];

/* "6.18" of "6.18.44-x". */
static void kernel_version(char ret[32])
{
	struct utsname name;
	unsigned int major, minor;

	t_eq(uname(&name), 0);
	t_eq(sscanf(name.release, "%u.%u", &major, &minor), 2);
	(void)snprintf(ret, 32, "%u.%u", major, minor);
}

static void watch(struct bpf_object *object, bool runtime)
{
	struct bpf_program *program;
	struct bpf_map *map;

	bpf_object__for_each_map(map, object) {
		if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
			t_eq(bpf_map__set_max_entries(map, 65536), 0);
	}
	for (int i = 0; i < SN_PROGRAM_COUNT; i++) {
		const struct sn_program_info *info = &sn_programs_info[i];

		if ((info->feature == SN_FEATURE_RUNTIME) != runtime)
			continue;
		program = bpf_object__find_program_by_name(object,
							   info->function);
		t_not_null(program);
		t_eq(bpf_program__set_log_level(program, STATS_ONLY), 0);
		t_eq(bpf_program__set_log_buf(program, logs[i], LOG_BYTES), 0);
	}
}

/* Programs on hooks that this kernel has not, or refuses. */
static void leave_out(struct bpf_object *object,
		      const int errors[SN_PROGRAM_COUNT])
{
	for (int i = 0; i < SN_PROGRAM_COUNT; i++) {
		if (errors[i])
			t_eq(bpf_program__set_autoload(
				     bpf_object__find_program_by_name(
					     object,
					     sn_programs_info[i].function),
				     false),
			     0);
	}
}

/* Once more without our buffers: libbpf prints what the verifier says. */
static void tell_refusal(const int errors[SN_PROGRAM_COUNT])
{
	struct runtime_bpf *runtime = runtime_bpf__open();

	t_not_null(runtime);
	leave_out(runtime->obj, errors);
	t_eq(runtime_bpf__load(runtime), 0);
}

/* 0: it is not for this kernel. */
static void measure(unsigned long ret[SN_PROGRAM_COUNT])
{
	struct sentinel_bpf *first = sentinel_bpf__open();
	struct runtime_bpf *runtime = runtime_bpf__open();
	int errors[SN_PROGRAM_COUNT] = { 0 };

	t_not_null(first);
	t_not_null(runtime);
	(void)memset(logs, 0, sizeof(logs));
	watch(first->obj, false);
	watch(runtime->obj, true);
	dp_hooks_find_missing(true, errors);
	leave_out(runtime->obj, errors);
	t_eq(sentinel_bpf__load(first), 0);
	if (runtime_bpf__load(runtime) < 0)
		tell_refusal(errors);
	for (int i = 0; i < SN_PROGRAM_COUNT; i++) {
		const char *at = strstr(logs[i], "processed ");

		ret[i] = 0;
		if (errors[i])
			continue;
		t_not_null(at);
		t_eq(sscanf(at, "processed %lu insns", &ret[i]), 1);
	}
	sentinel_bpf__destroy(first);
	runtime_bpf__destroy(runtime);
}

static void write_golden(const char *kernel, const unsigned long *counts)
{
	FILE *file = fopen(golden_path, "we");

	t_not_null(file);
	(void)fprintf(file, "kernel %s\n", kernel);
	for (int i = 0; i < SN_PROGRAM_COUNT; i++)
		(void)fprintf(file, "%s %lu\n", sn_programs_info[i].function,
			      counts[i]);
	t_eq(fclose(file), 0);
}

static void compare(FILE *file, const unsigned long *counts)
{
	unsigned long golden;
	char name[64];

	for (int i = 0; i < SN_PROGRAM_COUNT; i++) {
		t_eq(fscanf(file, "%63s %lu", name, &golden), 2);
		t_str_eq(name, sn_programs_info[i].function);
		/* 0: it was not for the machine that wrote them. */
		if (golden && counts[i] * 100 > golden * PERCENT_MAX)
			t_fail("%s: %lu instructions, %lu in %s", name,
			       counts[i], golden, golden_path);
	}
}

static void every_program_is_far_from_the_verifiers_limit(void)
{
	unsigned long counts[SN_PROGRAM_COUNT];

	measure(counts);
	for (int i = 0; i < SN_PROGRAM_COUNT; i++)
		t_true(counts[i] < 200000);
}

static void programs_stay_within_the_verifiers_budget(void)
{
	unsigned long counts[SN_PROGRAM_COUNT];
	char kernel[32], golden_kernel[32];
	FILE *file;

	kernel_version(kernel);
	if (getenv("SN_GOLDEN_UPDATE")) {
		measure(counts);
		write_golden(kernel, counts);
	}
	file = fopen(golden_path, "re");
	t_not_null(file);
	t_eq(fscanf(file, "kernel %31s", golden_kernel), 1);
	if (strcmp(kernel, golden_kernel) != 0) {
		(void)fclose(file);
		t_skip("the golden numbers are another kernel's");
	}
	measure(counts);
	compare(file, counts);
	(void)fclose(file);
}

T_MAIN("budget", every_program_is_far_from_the_verifiers_limit,
       programs_stay_within_the_verifiers_budget)
