/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* What changes the system under the processes: mounts, BPF programs, modules;
 * and files without a name. */

#include "bpf/lib/runtime/compat.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_memfd, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);

	if (!sn_rt_begin(SN_RT_EVENT_MEMFD_CREATE, ctx->ret, call))
		return 0;
	sn_rt_set_args(sn_rt_argument(1), 0);
	if (ctx->ret >= 0)
		sn_rt_add_fd(ctx->ret);
	else
		sn_rt_add_strings(call);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_mount, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);
	int at = call == SN_RT_CALL_MOUNT  ? 3 :
		 call == SN_RT_CALL_UMOUNT ? 1 :
					     4;

	if (sn_rt_was_told(SN_RT_EVENT_MOUNT) ||
	    !sn_rt_begin(SN_RT_EVENT_MOUNT, ctx->ret, call))
		return 0;
	sn_rt_set_args(sn_rt_argument(at), 0);
	sn_rt_add_strings(call);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_bpf, struct sn_rt_exit *ctx)
{
	__u64 attributes = sn_rt_argument(1);
	struct sn_rt_bpf_load load = { 0 };

	if ((__u32)sn_rt_argument(0) != BPF_PROG_LOAD ||
	    sn_rt_was_told(SN_RT_EVENT_BPF_LOAD) ||
	    !sn_rt_begin(SN_RT_EVENT_BPF_LOAD, ctx->ret, sn_rt_get_call(ctx)))
		return 0;
	/* Calls of older programs end before the name. */
	bpf_probe_read_user(&load,
			    sn_rt_argument(2) < sizeof(load) ? 8 : sizeof(load),
			    (const void *)attributes);
	sn_rt_add_load(&load);
	sn_rt_finish();
	return 0;
}

#if defined(__TARGET_ARCH_x86)
enum { SN_RT_NR_FINIT_MODULE = 313, SN_RT_NR_FINIT_MODULE_COMPAT = 350 };
#elif defined(__TARGET_ARCH_arm64)
enum { SN_RT_NR_FINIT_MODULE = 273, SN_RT_NR_FINIT_MODULE_COMPAT = 379 };
#endif

/* The kernel that this is built on may have been made without modules. */
struct module___named {
	char name[56];
} __attribute__((preserve_access_index));

SEC("tp_btf/module_load")
int BPF_PROG(sn_rt_module, struct module *module)
{
	struct sn_rt_scratch *s;

	if (!sn_rt_begin(SN_RT_EVENT_MODULE_LOAD, 0, SN_RT_CALL_NONE))
		return 0;
	if (sn_rt_get_number() == (sn_rt_is_compat() ?
					   SN_RT_NR_FINIT_MODULE_COMPAT :
					   SN_RT_NR_FINIT_MODULE))
		sn_rt_add_fd((__s32)sn_rt_find_argument(0));
	s = sn_rt_get(SN_RT_PLACE_EVENT);
	if (s) {
		s->record.file2.flags = SN_RT_PATH_TEXT;
		sn_rt_append_string(
			s, &s->record.file2,
			(__u64)module + bpf_core_field_offset(
						struct module___named, name),
			0);
	}
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_module_failed, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);

	if (ctx->ret >= 0 ||
	    !sn_rt_begin(SN_RT_EVENT_MODULE_LOAD, ctx->ret, call))
		return 0;
	if (call == SN_RT_CALL_FINIT_MODULE)
		sn_rt_add_fd((__s32)sn_rt_argument(0));
	sn_rt_finish();
	return 0;
}

/* What of these is a 32-bit call. */
__noinline int sn_rt_compat_system(__s64 ret, __u32 call)
{
	struct sn_rt_exit exit = { .ret = ret, .call = call };

	SN_RT_SEE(MEMFD_CREATE, &exit, sn_rt_memfd);
	SN_RT_SEE(MOUNT, &exit, sn_rt_mount);
	SN_RT_SEE(BPF_LOAD, &exit, sn_rt_bpf);
	SN_RT_SEE(MODULE_LOAD, &exit, sn_rt_module_failed);
	return 0;
}
