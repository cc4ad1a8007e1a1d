/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/hooks.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <stdio.h>

#include "shared/util.h"

enum { NAME_BYTES = 64 };

/* Rarely called, and not to be missed in any kernel. */
static const char probed[] = "vfs_rename";

/* r0 = 0; exit */
static int load_nothing(int function)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		    .expected_attach_type = BPF_TRACE_FEXIT,
		    .attach_btf_id = (uint32_t)function);
	int program = bpf_prog_load(BPF_PROG_TYPE_TRACING, "sn_probe", "GPL",
				    code, SN_ARRAY_SIZE(code), &opts);

	return program < 0 ? -errno : program;
}

/* Puts a program that does nothing on a function for a moment. Returns 0 or the
 * kernel's -errno. */
static int probe_functions(const struct btf *kernel)
{
	int function = btf__find_by_name_kind(kernel, probed, BTF_KIND_FUNC);
	sn_cleanup(sn_closep) int program = -1;
	sn_cleanup(sn_closep) int link = -1;

	if (function < 0)
		return function;
	program = load_nothing(function);
	if (program < 0)
		return program;
	link = bpf_link_create(program, 0, BPF_TRACE_FEXIT, NULL);
	return link < 0 ? -errno : 0;
}

static bool has_hook(const struct btf *kernel,
		     const struct sn_runtime_hook *hook)
{
	char name[NAME_BYTES];

	if (hook->kind == SN_RUNTIME_KIND_FUNCTION)
		return btf__find_by_name_kind(kernel, hook->name,
					      BTF_KIND_FUNC) >= 0;
	(void)snprintf(name, sizeof(name), "btf_trace_%s", hook->name);
	return btf__find_by_name_kind(kernel, name, BTF_KIND_TYPEDEF) >= 0;
}

void dp_hooks_find_missing(bool functions, int errors[SN_PROGRAM_COUNT])
{
	struct btf *kernel = btf__load_vmlinux_btf();
	int r = functions ? 0 : -ECANCELED;

	if (!kernel)
		return; /* then nothing loads, and says why */
	if (functions)
		r = probe_functions(kernel);
	for (size_t i = 0; i < SN_RUNTIME_HOOK_COUNT; i++) {
		const struct sn_runtime_hook *hook = &sn_runtime_hooks[i];
		int *error = &errors[hook->program];

		if (sn_runtime_is_call(hook->kind))
			continue;
		if (hook->kind == SN_RUNTIME_KIND_FUNCTION && r < 0)
			*error = -r;
		else if (!has_hook(kernel, hook))
			*error = ENOENT;
	}
	btf__free(kernel);
}

void dp_hooks_find_unwanted(bool compat, int errors[SN_PROGRAM_COUNT])
{
#if !defined(__x86_64__)
	errors[SN_PROGRAM_RT_COMPAT] = compat ? EOPNOTSUPP : ECANCELED;
#else
	if (!compat)
		errors[SN_PROGRAM_RT_COMPAT] = ECANCELED;
#endif
}
