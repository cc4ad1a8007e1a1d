/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Questions to upstream servers: UDP with a random id, a random port (a pool of
 * connected sockets that are renewed) and random case (0x20), retransmission,
 * failover in the order of a set's servers with memory of who answers, TCP on
 * truncation, DNS over TLS with the name verified (OpenSSL), DNSSEC validation
 * through libunbound's event API. All on the loop's thread; what comes back is
 * a message whose id, question (case included) and QR bit fit the question,
 * and nothing else of it has been looked at. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "controld/dns/name.h"
#include "controld/dns/settings.h"
#include "shared/diag.h"
#include "shared/util.h"

struct cp_upstream;
struct cp_upstream_set;
struct cp_upstream_request;

enum {
	CP_UPSTREAM_MESSAGE_MAX = 65535,
	CP_UPSTREAM_UDP_BYTES = 1232, /* EDNS buffer (DNS flag day 2020) */
	CP_UPSTREAM_REQUESTS_MAX = 16384, /* under way, of all sets */
};

struct cp_upstream_options {
	uv_loop_t *loop;
	/* 0 everywhere stands for the value in brackets. */
	uint32_t timeout_ms; /* [4000] for a question, all tries included */
	/* [400] until the first retransmission, then doubled; a random quarter
	 * is added each time. */
	uint32_t try_ms;
	uint32_t tcp_idle_ms; /* [10000] before an idle TCP or TLS stream ends */
	uint32_t requests_max; /* [CP_UPSTREAM_REQUESTS_MAX] */
	const char *ca_file; /* TLS: PEM; NULL: the system's */
	/* DNSSEC; NULL: /usr/share/dns/root.key (dns-root-data). */
	const char *trust_anchor_file;
};

/* Ends of a question besides 0 (an answer, of whatever rcode). */
enum {
	CP_UPSTREAM_E_TIMEOUT = 1, /* no server answered in time */
	CP_UPSTREAM_E_UNREACHABLE, /* every server refused the connection */
	CP_UPSTREAM_E_TLS, /* the name or certificate was not verified */
	CP_UPSTREAM_E_BOGUS, /* DNSSEC: the answer is forged or broken */
};

/* status: 0, a CP_UPSTREAM_E_* or -errno (-ECANCELED: the engine closes).
 * message: the answer, id zero, question in lower case; NULL unless status is
 * 0; valid during the call. is_secure: validated by DNSSEC. */
struct cp_upstream_answer {
	int status;
	const uint8_t *message;
	size_t size;
	bool is_secure;
};
typedef void (*cp_upstream_fn)(void *userdata,
			       const struct cp_upstream_answer *answer);

struct cp_upstream_question {
	const struct cp_dns_name *name;
	uint16_t type;
	uint16_t class;
	bool wants_dnssec; /* DO bit towards the upstream */
	bool checking_disabled; /* CD bit; for a set that validates: no check */
};

int cp_upstream_new(struct cp_upstream **ret,
		    const struct cp_upstream_options *options,
		    struct sn_diag *diag);
/* Ends every question with -ECANCELED (from the loop), closes everything,
 * calls closed (may be NULL) from the loop and frees it. Sets still held stay
 * valid for cp_upstream_set_unref() only. */
void cp_upstream_close(struct cp_upstream *upstream,
		       void (*closed)(void *userdata), void *userdata);

/* The set of these servers, shared by all who ask for equal ones (order is
 * significant); to be given back with unref. n 1..CP_DNS_UPSTREAMS_MAX.
 * Without use for a minute it is forgotten. 0, -ENOMEM, -EOPNOTSUPP: no
 * DNSSEC with TLS servers in this build; -errno of the trust anchor's file. */
int cp_upstream_set_get(struct cp_upstream *upstream,
			const struct cp_dns_upstream *servers, size_t n,
			bool dnssec, struct cp_upstream_set **ret);
struct cp_upstream_set *cp_upstream_set_unref(struct cp_upstream_set *set);
SN_DEFINE_CLEANUP(struct cp_upstream_set, cp_upstream_set_unref)
/* Never 0, never used again for another set in this process; part of the
 * cache's key. */
uint64_t cp_upstream_set_id(const struct cp_upstream_set *set);

/* fn is called exactly once, from the loop and never within the call, unless
 * the request is cancelled. -ENOBUFS: too many are under way, or too many sets
 * validate. -EINVAL: the trust anchor cannot be used. -ECANCELED: closing. */
int cp_upstream_ask(struct cp_upstream_set *set,
		    const struct cp_upstream_question *question,
		    cp_upstream_fn fn, void *userdata,
		    struct cp_upstream_request **ret);
void cp_upstream_cancel(struct cp_upstream_request *request);

struct cp_upstream_stats {
	uint64_t n_asked;
	uint64_t n_answered;
	uint64_t n_failed; /* every end other than 0 but -ECANCELED */
	uint64_t n_retransmitted;
	uint64_t n_failovers;
	uint64_t n_truncated; /* asked again by TCP */
	uint64_t n_mismatched; /* packets whose id, question or case was wrong */
	uint64_t n_tls_refused;
	uint32_t n_under_way;
};
void cp_upstream_get_stats(const struct cp_upstream *upstream,
			   struct cp_upstream_stats *ret);
