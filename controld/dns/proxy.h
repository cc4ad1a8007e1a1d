/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Names that the control plane decides about (DNS mode PROXY). Its answers are
 * kept for as long as each says, for the attachment that asked and for nobody
 * else. Equal questions of one attachment share one query. Queries under way
 * are bounded, in all and for each attachment, so that one cannot take the
 * others' share; so is what is kept. All of it belongs to the loop. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/answer.h"
#include "controld/dns/name.h"
#include "controld/rpc/outcall.h"
#include "sentinel/v1/control.pb-c.h"
#include "shared/util.h"

struct cp_dns_proxy;

enum {
	CP_DNS_PROXY_ADDRESSES_MAX = 64, /* of one answer */
	CP_DNS_PROXY_TTL_MAX_S = 86400,
	/* Clients that wait for one answer. */
	CP_DNS_PROXY_WAITERS_MAX = 256,
	/* Answers that are kept, in all and of one attachment. */
	CP_DNS_PROXY_KEPT_MAX = 65536,
	CP_DNS_PROXY_KEPT_OF_ONE_MAX = 4096,
	/* One attachment may have this part of the queries under way. */
	CP_DNS_PROXY_SHARE = 4,
};

struct cp_dns_proxy_answer {
	bool is_failed; /* no answer, or one that cannot be read: SERVFAIL */
	bool allow; /* false: denied, as the policy says */
	/* The addresses are to be opened like those that a rule allows. */
	bool open;
	uint32_t ttl_s; /* that are left of its life; 0: it is not kept */
	/* Instead of those of the upstream servers, of both families; none:
	 * ask upstream. Borrowed for the callback, or until the next call. */
	const struct cp_dns_address *addresses;
	size_t n_addresses;
};
typedef void (*cp_dns_proxy_fn)(void *userdata,
				const struct cp_dns_proxy_answer *answer);

/* Answers of cp_dns_proxy_ask() besides 0 and -errno. */
enum {
	CP_DNS_PROXY_E_KEPT = 1, /* *answer is filled, fn is not called */
	CP_DNS_PROXY_E_BUSY, /* too many under way: fails as such */
};

struct cp_dns_proxy_options {
	const char *daemon_id;
	unsigned int max_running;
	uint64_t (*now_ns)(void *userdata);
	/* As cp_rpc_outcall_ask(), which ends each with a deadline; -ENOTCONN:
	 * there is no control plane to ask. */
	int (*query)(void *userdata,
		     const Sentinel__V1__DnsQueryRequest *request,
		     cp_rpc_outcall_done done, void *done_userdata);
	void *userdata;
};

/* daemon_id must outlive it. */
int cp_dns_proxy_new(struct cp_dns_proxy **ret,
		     const struct cp_dns_proxy_options *options);
/* Only once no query is under way any more. */
struct cp_dns_proxy *cp_dns_proxy_free(struct cp_dns_proxy *proxy);
SN_DEFINE_CLEANUP(struct cp_dns_proxy, cp_dns_proxy_free)

/* id: the attachment's; name in lower case. fn is called once, from the loop
 * and never within the call. -ENOTCONN, -ENOMEM. */
int cp_dns_proxy_ask(struct cp_dns_proxy *proxy, const char *id,
		     const struct cp_dns_name *name, uint16_t type,
		     cp_dns_proxy_fn fn, void *userdata,
		     struct cp_dns_proxy_answer *answer);

/* The attachment has ended or its policy has changed: nothing is kept, nor
 * will be of what is under way. */
void cp_dns_proxy_forget(struct cp_dns_proxy *proxy, const char *id);

struct cp_dns_proxy_stats {
	size_t n_kept;
	size_t n_running;
	uint64_t n_queries;
	uint64_t n_hits;
	uint64_t n_failed; /* queries */
	uint64_t n_busy;
};
void cp_dns_proxy_get_stats(const struct cp_dns_proxy *proxy,
			    struct cp_dns_proxy_stats *ret);
