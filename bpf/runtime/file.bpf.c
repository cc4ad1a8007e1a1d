/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Files: open, read, write, and changes of names, permissions and owners.
 * Programs of this object decide nothing; each that cannot make its record
 * counts it. */

#include "bpf/lib/runtime/compat.h"
#include "bpf/lib/runtime/sum.h"
#include "bpf/lib/runtime/uring.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline __u64 sn_rt_open_argument(__u32 call, int number)
{
	__u64 how[2] = { 0 };

	switch (call) {
	case SN_RT_CALL_OPEN:
		return sn_rt_argument(number + 1);
	case SN_RT_CALL_CREAT: /* O_CREAT | O_WRONLY | O_TRUNC */
		return number ? sn_rt_argument(1) : 01101;
	case SN_RT_CALL_OPENAT2:
		bpf_probe_read_user(how, sizeof(how),
				    (const void *)sn_rt_argument(2));
		return number ? how[1] : how[0];
	case SN_RT_CALL_OPEN_BY_HANDLE_AT:
		return number ? 0 : sn_rt_argument(2);
	default:
		return sn_rt_argument(number + 2);
	}
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_open, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);
	__u64 flags;

	if (sn_rt_was_told(SN_RT_EVENT_FILE_OPEN) ||
	    !sn_rt_begin(SN_RT_EVENT_FILE_OPEN, ctx->ret, call))
		return 0;
	flags = sn_rt_open_argument(call, 0);
	/* The mode is read for O_CREAT and O_TMPFILE only. */
	sn_rt_set_args(flags, flags & 020000100 ?
				      sn_rt_open_argument(call, 1) & 07777 :
				      0);
	if (ctx->ret >= 0)
		sn_rt_add_fd(ctx->ret);
	else
		sn_rt_add_strings(call);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_read, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);

	sn_rt_access_fd(SN_RT_EVENT_FILE_READ,
			sn_rt_argument(sn_rt_shapes[call].in), ctx->ret, call);
	return 0;
}

#define SN_RT_MAP_TYPE	  0x0f
#define SN_RT_MAP_PRIVATE 2
#define SN_RT_PROT_WRITE  2

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_write, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);
	__s64 ret = ctx->ret;

	if (call == SN_RT_CALL_TRUNCATE) {
		if (sn_rt_was_told(SN_RT_EVENT_FILE_WRITE) ||
		    !sn_rt_begin(SN_RT_EVENT_FILE_WRITE, ret, call))
			return 0;
		sn_rt_add_strings(call);
		sn_rt_finish();
		return 0;
	}
	if (call == SN_RT_CALL_MMAP) {
		/* What is private is written nowhere. */
		if (!(sn_rt_argument(2) & SN_RT_PROT_WRITE) ||
		    (sn_rt_argument(3) & SN_RT_MAP_TYPE) == SN_RT_MAP_PRIVATE)
			return 0;
		/* The address tells nothing. */
		if (ret > 0 || ret < -4095)
			ret = 0;
	}
	sn_rt_access_fd(SN_RT_EVENT_FILE_WRITE,
			sn_rt_argument(sn_rt_shapes[call].out), ret, call);
	return 0;
}

static __always_inline int sn_rt_by_strings(__u32 event, __s64 ret, __u32 call,
					    __u64 one, __u64 two)
{
	if (sn_rt_was_told(event) || !sn_rt_begin(event, ret, call))
		return 0;
	sn_rt_set_args(one, two);
	sn_rt_add_strings(call);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_unlink, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);

	return sn_rt_by_strings(
		SN_RT_EVENT_FILE_UNLINK, ctx->ret, call,
		call == SN_RT_CALL_UNLINKAT ? sn_rt_argument(2) : 0, 0);
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_rename, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);

	return sn_rt_by_strings(
		SN_RT_EVENT_FILE_RENAME, ctx->ret, call,
		call == SN_RT_CALL_RENAMEAT2 ? sn_rt_argument(4) : 0, 0);
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_link, struct sn_rt_exit *ctx)
{
	return sn_rt_by_strings(SN_RT_EVENT_FILE_LINK, ctx->ret,
				sn_rt_get_call(ctx), 0, 0);
}

static __always_inline int sn_rt_change(__u32 event, __s64 ret, __u32 call,
					__u64 one, __u64 two)
{
	if (sn_rt_was_told(event) || !sn_rt_begin(event, ret, call))
		return 0;
	sn_rt_set_args(one, two);
	if (sn_rt_shapes[call].in >= 0)
		sn_rt_add_fd((__s32)sn_rt_argument(sn_rt_shapes[call].in));
	else
		sn_rt_add_strings(call);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_chmod, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);
	int at = call == SN_RT_CALL_CHMOD || call == SN_RT_CALL_FCHMOD ? 1 : 2;

	return sn_rt_change(SN_RT_EVENT_FILE_CHMOD, ctx->ret, call,
			    sn_rt_argument(at) & 07777, 0);
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_chown, struct sn_rt_exit *ctx)
{
	__u32 call = sn_rt_get_call(ctx);
	int at = call == SN_RT_CALL_FCHOWNAT ? 2 : 1;

	return sn_rt_change(SN_RT_EVENT_FILE_CHOWN, ctx->ret, call,
			    (__u32)sn_rt_argument(at),
			    (__u32)sn_rt_argument(at + 1));
}

/* What of these is a 32-bit call. */
__noinline int sn_rt_compat_file(__s64 ret, __u32 call)
{
	struct sn_rt_exit exit = { .ret = ret, .call = call };

	SN_RT_SEE(FILE_OPEN, &exit, sn_rt_open);
	SN_RT_SEE(FILE_READ, &exit, sn_rt_read);
	SN_RT_SEE(FILE_WRITE, &exit, sn_rt_write);
	SN_RT_SEE(FILE_UNLINK, &exit, sn_rt_unlink);
	SN_RT_SEE(FILE_RENAME, &exit, sn_rt_rename);
	SN_RT_SEE(FILE_LINK, &exit, sn_rt_link);
	SN_RT_SEE(FILE_CHMOD, &exit, sn_rt_chmod);
	SN_RT_SEE(FILE_CHOWN, &exit, sn_rt_chown);
	return 0;
}

/* By whichever thread of the process completed it. */
static __always_inline int sn_rt_uring_access(__u32 event,
					      struct io_kiocb *request,
					      __s64 result, __u32 once)
{
	sn_rt_access(event, (__u64)BPF_CORE_READ(request, file), result,
		     SN_RT_CALL_IO_URING, once);
	return 0;
}

/* What a splice reads from is not kept: it is what its number names. */
static __always_inline int sn_rt_uring_splice(struct io_kiocb *request,
					      __s64 result)
{
	struct io_splice *splice = (struct io_splice *)request;
	struct file *file;

	if (BPF_CORE_READ(splice, flags) & SN_RT_SPLICE_FIXED)
		return 0;
	file = sn_rt_find_file(BPF_CORE_READ(splice, splice_fd_in));
	sn_rt_access(SN_RT_EVENT_FILE_READ, (__u64)file, result,
		     SN_RT_CALL_IO_URING, 0);
	return 0;
}

SEC("tp_btf/io_uring_complete")
int sn_rt_uring_read(__u64 *ctx)
{
	struct io_kiocb *request = sn_rt_uring_request(ctx);

	switch (sn_rt_uring_opcode(request)) {
	case SN_RT_URING_READV:
	case SN_RT_URING_READ_FIXED:
	case SN_RT_URING_READ:
	case SN_RT_URING_READV_FIXED:
		return sn_rt_uring_access(SN_RT_EVENT_FILE_READ, request,
					  sn_rt_uring_result(request), 0);
	case SN_RT_URING_SPLICE:
		return sn_rt_uring_splice(request, sn_rt_uring_result(request));
	default:
		return 0;
	}
}

SEC("tp_btf/io_uring_complete")
int sn_rt_uring_write(__u64 *ctx)
{
	struct io_kiocb *request = sn_rt_uring_request(ctx);

	switch (sn_rt_uring_opcode(request)) {
	case SN_RT_URING_WRITEV:
	case SN_RT_URING_WRITE_FIXED:
	case SN_RT_URING_WRITE:
	case SN_RT_URING_WRITEV_FIXED:
	case SN_RT_URING_SPLICE:
		return sn_rt_uring_access(SN_RT_EVENT_FILE_WRITE, request,
					  sn_rt_uring_result(request), 0);
	case SN_RT_URING_FALLOCATE:
	case SN_RT_URING_FTRUNCATE:
		return sn_rt_uring_access(SN_RT_EVENT_FILE_WRITE, request,
					  sn_rt_uring_result(request), 1);
	default:
		return 0;
	}
}

/* What failed has no file, and its string is gone by now. A fixed file has no
 * number that is a descriptor's. */
SEC("tp_btf/io_uring_complete")
int sn_rt_uring_open(__u64 *ctx)
{
	struct io_kiocb *request = sn_rt_uring_request(ctx);
	struct io_open *open = (struct io_open *)request;
	__u32 opcode = sn_rt_uring_opcode(request);
	__s64 result;
	__u64 flags;

	if (opcode != SN_RT_URING_OPENAT && opcode != SN_RT_URING_OPENAT2)
		return 0;
	result = sn_rt_uring_result(request);
	if (result < 0 || BPF_CORE_READ(open, file_slot) ||
	    !sn_rt_uring_begin(SN_RT_EVENT_FILE_OPEN, result))
		return 0;
	/* Without the flag that the kernel adds. */
	flags = BPF_CORE_READ(open, how.flags) & ~SN_RT_LARGEFILE;
	sn_rt_set_args(flags, flags & 020000100 ?
				      BPF_CORE_READ(open, how.mode) & 07777 :
				      0);
	sn_rt_add_fd(result);
	sn_rt_finish();
	return 0;
}

/* Sends what is summed and retires what is idle; run by sentinel-dp. */
SEC("syscall")
int sn_rt_flush(void *ctx)
{
	__u32 zero = 0;
	struct sn_rt_host *host = bpf_map_lookup_elem(&sn_rt_host, &zero);
	struct sn_rt_flushing f = { .now = bpf_ktime_get_boot_ns() };

	if (!host)
		return 0;
	f.slot = SN_READ(host->slot);
	bpf_for_each_map_elem(&sn_rt_sums, sn_rt_flush_one, &f, 0);
	return 0;
}
