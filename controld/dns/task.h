/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One query as it is being answered, for controld/dns/resolve.c: what the rules
 * say of it now, and every reply that can end it. Each reply is counted. */

#include "controld/attach/dns.h"
#include "controld/dns/answer.h"
#include "controld/dns/origin.h"
#include "controld/dns/resolve.h"

/* Extended errors (RFC 8914 4). */
enum {
	CP_DNS_TASK_EDE_NONE = -1,
	CP_DNS_TASK_EDE_OTHER = 0,
	CP_DNS_TASK_EDE_BOGUS = 6,
	CP_DNS_TASK_EDE_NOT_READY = 14,
	CP_DNS_TASK_EDE_BLOCKED = 15,
	CP_DNS_TASK_EDE_UNREACHABLE = 22,
	CP_DNS_TASK_EDE_NETWORK = 23,
	CP_DNS_TASK_EDE_INVALID = 24,
};

/* What all queries share. */
struct cp_dns_task_shared {
	struct cp_dns_resolve_options options;
	struct cp_dns_resolve_stats stats;
	uint8_t buffer[CP_DNS_MESSAGE_MAX]; /* for a reply */
};

struct cp_dns_task {
	struct cp_dns_task_shared *shared;
	const struct cp_dns_origin *origin;
	const struct cp_dns_query *query;
	struct cp_attach_dns_view view;
	/* The control plane let the name pass, and may have it opened. */
	bool by_plane;
	bool opens;
	bool is_blocked; /* by the rules; answered all the same under audit */
	bool is_undecided; /* no rule decides, the control plane has to */
};

/* An answer on its way to those who wait for it. */
struct cp_dns_task_found {
	const struct cp_dns_answer *answer;
	uint64_t stored_ns;
	bool is_secure;
	/* By the control plane: any address is meant but what CIDR rules deny. */
	bool is_given;
};

/* Fills view. False: the slot has nobody whose names are resolved. */
bool cp_dns_task_identify(struct cp_dns_task *task);
/* Fills is_blocked and is_undecided by the rules as they are now. */
void cp_dns_task_judge(struct cp_dns_task *task);

/* what: a counter of shared->stats. */
void cp_dns_task_count(const struct cp_dns_task *task, uint64_t *what,
		       enum cp_attach_dns_end end);
void cp_dns_task_reply(const struct cp_dns_task *task, uint8_t *message,
		       size_t size);
void cp_dns_task_reply_error(const struct cp_dns_task *task, unsigned int rcode,
			     int ede);
/* SERVFAIL. */
void cp_dns_task_fail(const struct cp_dns_task *task, uint64_t *what, int ede);
/* As the policy wants it for names that are not allowed. */
void cp_dns_task_deny(const struct cp_dns_task *task);
void cp_dns_task_reply_found(const struct cp_dns_task *task,
			     const struct cp_dns_task_found *found);

/* The answer as this attachment may have it: without addresses that must not be
 * learnt. *own: a copy, if it differs. 0 or -ENOMEM. */
int cp_dns_task_filter(struct cp_dns_task *task,
		       const struct cp_dns_task_found *found,
		       struct cp_dns_answer **own);

/* Seconds since an answer came, and those that are left of its life. */
uint32_t cp_dns_task_age(const struct cp_dns_task_shared *shared,
			 uint64_t stored_ns);
uint32_t cp_dns_task_left(const struct cp_dns_task_shared *shared,
			  const struct cp_dns_task_found *found);
/* Life of what is learnt from an answer of that TTL, in seconds. */
uint64_t cp_dns_task_life(const struct cp_dns_task *task, uint32_t ttl_s);
