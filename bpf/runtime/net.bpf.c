/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */

/* Sockets of IPv4 and IPv6: connect, accept, bind. */

#include "bpf/lib/runtime/compat.h"
#include "bpf/lib/runtime/uring.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum {
	SN_RT_INTERRUPTED = 4, /* EINTR */
	SN_RT_INET = 2,
	SN_RT_INET6 = 10,
	SN_RT_IN_PROGRESS = 115,
};

static __always_inline struct sock *sn_rt_get_sock(struct file *file)
{
	__u32 mode = BPF_CORE_READ(file, f_inode, i_mode);
	struct socket *socket;

	if ((mode & SN_RT_TYPE) != SN_RT_SOCKET)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline struct sock *sn_rt_find_sock(__s64 fd)
{
	return sn_rt_get_sock(sn_rt_find_file((__s32)fd));
}

/* Mapped addresses are IPv4. */
static __always_inline void sn_rt_set_address(struct sn_rt_address *a,
					      const __u32 *words, int is4,
					      __u16 port)
{
	__u32 *to = (__u32 *)a->address;

	a->port = port;
	if (!is4 && !words[0] && !words[1] && words[2] == bpf_htonl(0xffff)) {
		to[0] = words[3];
		a->family = SN_FAMILY_IPV4;
		return;
	}
	to[0] = words[0];
	a->family = is4 ? SN_FAMILY_IPV4 : SN_FAMILY_IPV6;
	if (is4)
		return;
	to[1] = words[1];
	to[2] = words[2];
	to[3] = words[3];
}

/* Both ends as the socket has them. */
static __always_inline void sn_rt_add_sock(struct sn_rt_record *r,
					   struct sock *sk)
{
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 port = BPF_CORE_READ(sk, __sk_common.skc_num);
	__u16 remote = BPF_CORE_READ(sk, __sk_common.skc_dport);
	__u32 words[4] = { 0 };
	int is4 = family == SN_RT_INET;

	r->local.protocol = (__u8)BPF_CORE_READ(sk, sk_protocol);
	r->remote.protocol = r->local.protocol;
	if (is4)
		words[0] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	else
		BPF_CORE_READ_INTO(&words, sk, __sk_common.skc_v6_rcv_saddr);
	sn_rt_set_address(&r->local, words, is4, bpf_htons(port));
	if (!remote)
		return;
	if (is4)
		words[0] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	else
		BPF_CORE_READ_INTO(&words, sk, __sk_common.skc_v6_daddr);
	sn_rt_set_address(&r->remote, words, is4, remote);
}

/* The address that was passed, if it is of an IP family. */
static __always_inline void sn_rt_add_passed_address(struct sn_rt_address *a,
						     __u64 from, __u64 bytes)
{
	struct sockaddr_in6 passed = { 0 };
	__u32 words[4] = { 0 };

	if (bytes > sizeof(passed))
		bytes = sizeof(passed);
	barrier_var(bytes);
	if (bytes > sizeof(passed) ||
	    bpf_probe_read_user(&passed, (__u32)bytes, (const void *)from))
		return;
	if (passed.sin6_family == SN_RT_INET)
		words[0] = passed.sin6_flowinfo; /* where sin_addr is */
	else if (passed.sin6_family == SN_RT_INET6)
		__builtin_memcpy(words, &passed.sin6_addr, sizeof(words));
	else
		return;
	sn_rt_set_address(a, words, passed.sin6_family == SN_RT_INET,
			  passed.sin6_port);
}

static __always_inline int sn_rt_is_ip(struct sock *sk)
{
	__u32 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return sk && (family == SN_RT_INET || family == SN_RT_INET6);
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_connect, struct sn_rt_exit *ctx)
{
	struct sock *sk = sn_rt_find_sock((__s32)sn_rt_argument(0));
	struct sn_rt_record *r = sn_rt_get_record();
	__s64 ret = ctx->ret;

	/* The kernel goes on with it whether or not the call is made again. */
	if (sn_rt_is_interrupted(ret))
		ret = -SN_RT_INTERRUPTED;
	if (!r || !sn_rt_is_ip(sk) ||
	    !sn_rt_begin(SN_RT_EVENT_NET_CONNECT, ret, sn_rt_get_call(ctx)))
		return 0;
	sn_rt_add_sock(r, sk);
	if ((ret && ret != -SN_RT_IN_PROGRESS && ret != -SN_RT_INTERRUPTED) ||
	    !r->remote.family)
		sn_rt_add_passed_address(&r->remote, sn_rt_argument(1),
					 sn_rt_argument(2));
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_accept, struct sn_rt_exit *ctx)
{
	__s64 fd = ctx->ret >= 0 ? ctx->ret : (__s32)sn_rt_argument(0);
	struct sock *sk = sn_rt_find_sock(fd);
	struct sn_rt_record *r = sn_rt_get_record();

	if (!r || !sn_rt_is_ip(sk) ||
	    !sn_rt_begin(SN_RT_EVENT_NET_ACCEPT, ctx->ret, sn_rt_get_call(ctx)))
		return 0;
	sn_rt_add_sock(r, sk);
	sn_rt_finish();
	return 0;
}

SEC("tracepoint")
int SN_RT_EXIT(sn_rt_bind, struct sn_rt_exit *ctx)
{
	struct sock *sk = sn_rt_find_sock((__s32)sn_rt_argument(0));
	struct sn_rt_record *r = sn_rt_get_record();

	if (!r || !sn_rt_is_ip(sk) ||
	    !sn_rt_begin(SN_RT_EVENT_NET_BIND, ctx->ret, sn_rt_get_call(ctx)))
		return 0;
	sn_rt_add_sock(r, sk);
	if (ctx->ret)
		sn_rt_add_passed_address(&r->local, sn_rt_argument(1),
					 sn_rt_argument(2));
	sn_rt_finish();
	return 0;
}

/* The socket of a request that completed; NULL: it is of no IP family. */
static __always_inline struct sn_rt_record *
sn_rt_uring_begin_socket(__u32 event, struct sock *sk, __s64 result)
{
	struct sn_rt_record *r = sn_rt_get_record();

	if (!r || !sn_rt_is_ip(sk) || !sn_rt_uring_begin(event, result))
		return NULL;
	sn_rt_add_sock(r, sk);
	return r;
}

static __always_inline void sn_rt_uring_connect(struct io_kiocb *request,
						struct sock *sk, __s64 result)
{
	struct io_connect *connect = (struct io_connect *)request;
	struct sn_rt_record *r =
		sn_rt_uring_begin_socket(SN_RT_EVENT_NET_CONNECT, sk, result);

	if (!r)
		return;
	if ((result && result != -SN_RT_IN_PROGRESS &&
	     result != -SN_RT_INTERRUPTED) ||
	    !r->remote.family)
		sn_rt_add_passed_address(
			&r->remote, (__u64)BPF_CORE_READ(connect, addr),
			(__u64)BPF_CORE_READ(connect, addr_len));
	sn_rt_finish();
}

/* Without a descriptor the connection is not known, and the listener is told. */
static __always_inline void sn_rt_uring_accept(struct io_kiocb *request,
					       struct sock *sk, __s64 result)
{
	struct io_accept *accept = (struct io_accept *)request;

	if (result >= 0 && !BPF_CORE_READ(accept, file_slot))
		sk = sn_rt_find_sock(result);
	if (sn_rt_uring_begin_socket(SN_RT_EVENT_NET_ACCEPT, sk, result))
		sn_rt_finish();
}

/* Where it fails the address that was passed is not known any more. */
static __always_inline void sn_rt_uring_bind(struct sock *sk, __s64 result)
{
	if (sn_rt_uring_begin_socket(SN_RT_EVENT_NET_BIND, sk, result))
		sn_rt_finish();
}

SEC("tp_btf/io_uring_complete")
int sn_rt_uring_net(__u64 *ctx)
{
	struct io_kiocb *request = sn_rt_uring_request(ctx);
	__u32 opcode = sn_rt_uring_opcode(request);
	struct sock *sk;
	__s64 result;

	if (opcode != SN_RT_URING_CONNECT && opcode != SN_RT_URING_ACCEPT &&
	    opcode != SN_RT_URING_BIND)
		return 0;
	result = sn_rt_uring_result(request);
	sk = sn_rt_get_sock(BPF_CORE_READ(request, file));
	if (opcode == SN_RT_URING_CONNECT)
		sn_rt_uring_connect(request, sk, result);
	else if (opcode == SN_RT_URING_ACCEPT)
		sn_rt_uring_accept(request, sk, result);
	else
		sn_rt_uring_bind(sk, result);
	return 0;
}

/* What of these is a 32-bit call. */
__noinline int sn_rt_compat_net(__s64 ret, __u32 call)
{
	struct sn_rt_exit exit = { .ret = ret, .call = call };

	SN_RT_SEE(NET_CONNECT, &exit, sn_rt_connect);
	SN_RT_SEE(NET_ACCEPT, &exit, sn_rt_accept);
	SN_RT_SEE(NET_BIND, &exit, sn_rt_bind);
	return 0;
}
