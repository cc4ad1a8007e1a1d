/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* System calls of 32-bit programs, and of whoever else makes them by int 0x80, on
 * x86-64. The tracepoints of single calls leave them out; that of all calls does
 * not. One program, since every call of every process passes it. */

#include "bpf/lib/runtime/call.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#if defined(__TARGET_ARCH_x86)

enum { SN_RT_COMPAT_NUMBERS = 512 };

/* By their numbers on i386; NONE: it is no call of the table. */
static const __u8 sn_rt_compat_calls[SN_RT_COMPAT_NUMBERS] = {
	[3] = SN_RT_CALL_READ,
	[4] = SN_RT_CALL_WRITE,
	[5] = SN_RT_CALL_OPEN,
	[8] = SN_RT_CALL_CREAT,
	[9] = SN_RT_CALL_LINK,
	[10] = SN_RT_CALL_UNLINK,
	[11] = SN_RT_CALL_EXECVE,
	[15] = SN_RT_CALL_CHMOD,
	[16] = SN_RT_CALL_LCHOWN,
	[21] = SN_RT_CALL_MOUNT,
	[22] = SN_RT_CALL_UMOUNT,
	[26] = SN_RT_CALL_PTRACE,
	[38] = SN_RT_CALL_RENAME,
	[40] = SN_RT_CALL_RMDIR,
	[52] = SN_RT_CALL_UMOUNT,
	[83] = SN_RT_CALL_SYMLINK,
	[90] = SN_RT_CALL_MMAP,
	[92] = SN_RT_CALL_TRUNCATE,
	[93] = SN_RT_CALL_FTRUNCATE,
	[94] = SN_RT_CALL_FCHMOD,
	[95] = SN_RT_CALL_FCHOWN,
	[128] = SN_RT_CALL_INIT_MODULE,
	[145] = SN_RT_CALL_READV,
	[146] = SN_RT_CALL_WRITEV,
	[180] = SN_RT_CALL_PREAD64,
	[181] = SN_RT_CALL_PWRITE64,
	[182] = SN_RT_CALL_CHOWN,
	[187] = SN_RT_CALL_SENDFILE,
	[192] = SN_RT_CALL_MMAP,
	[193] = SN_RT_CALL_TRUNCATE,
	[194] = SN_RT_CALL_FTRUNCATE,
	[198] = SN_RT_CALL_LCHOWN,
	[207] = SN_RT_CALL_FCHOWN,
	[212] = SN_RT_CALL_CHOWN,
	[239] = SN_RT_CALL_SENDFILE,
	[295] = SN_RT_CALL_OPENAT,
	[298] = SN_RT_CALL_FCHOWNAT,
	[301] = SN_RT_CALL_UNLINKAT,
	[302] = SN_RT_CALL_RENAMEAT,
	[303] = SN_RT_CALL_LINKAT,
	[304] = SN_RT_CALL_SYMLINKAT,
	[306] = SN_RT_CALL_FCHMODAT,
	[313] = SN_RT_CALL_SPLICE,
	[324] = SN_RT_CALL_FALLOCATE,
	[333] = SN_RT_CALL_PREADV,
	[334] = SN_RT_CALL_PWRITEV,
	[342] = SN_RT_CALL_OPEN_BY_HANDLE_AT,
	[350] = SN_RT_CALL_FINIT_MODULE,
	[353] = SN_RT_CALL_RENAMEAT2,
	[356] = SN_RT_CALL_MEMFD_CREATE,
	[357] = SN_RT_CALL_BPF,
	[358] = SN_RT_CALL_EXECVEAT,
	[361] = SN_RT_CALL_BIND,
	[362] = SN_RT_CALL_CONNECT,
	[364] = SN_RT_CALL_ACCEPT4,
	[377] = SN_RT_CALL_COPY_FILE_RANGE,
	[378] = SN_RT_CALL_PREADV2,
	[379] = SN_RT_CALL_PWRITEV2,
	[429] = SN_RT_CALL_MOVE_MOUNT,
	[437] = SN_RT_CALL_OPENAT2,
	[452] = SN_RT_CALL_FCHMODAT2,
};

/* socketcall(2) by its first argument. */
static const __u8 sn_rt_socket_calls[] = {
	[2] = SN_RT_CALL_BIND,
	[3] = SN_RT_CALL_CONNECT,
	[5] = SN_RT_CALL_ACCEPT,
	[18] = SN_RT_CALL_ACCEPT4,
};

/* NONE: the call that returns is of 64 bits, or tells nothing. */
static __always_inline __u32 sn_rt_get_compat_call(void)
{
	__u32 number;

	if (!sn_rt_is_compat())
		return SN_RT_CALL_NONE;
	number = sn_rt_get_number();
	if (number != SN_RT_I386_SOCKETCALL)
		return number < SN_RT_COMPAT_NUMBERS ?
			       sn_rt_compat_calls[number] :
			       SN_RT_CALL_NONE;
	number = sn_rt_register(0);
	return number < sizeof(sn_rt_socket_calls) ?
		       sn_rt_socket_calls[number] :
		       SN_RT_CALL_NONE;
}

#else

static __always_inline __u32 sn_rt_get_compat_call(void)
{
	return SN_RT_CALL_NONE;
}

#endif

/* Of the other objects. */
extern int sn_rt_compat_file(__s64 ret, __u32 call);
extern int sn_rt_compat_net(__s64 ret, __u32 call);
extern int sn_rt_compat_process(__s64 ret, __u32 call);
extern int sn_rt_compat_system(__s64 ret, __u32 call);

SEC("tp_btf/sys_exit")
int BPF_PROG(sn_rt_compat, struct pt_regs *regs, long ret)
{
	__u32 call = sn_rt_get_compat_call();

	if (call == SN_RT_CALL_NONE)
		return 0;
	sn_rt_compat_file(ret, call);
	sn_rt_compat_net(ret, call);
	sn_rt_compat_process(ret, call);
	sn_rt_compat_system(ret, call);
	return 0;
}
