/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an upstream's answer means: which of its addresses the question's name
 * really owns, how long, and the reply that a client gets. Pure.
 *
 * An address counts if its record is in the answer section, of the question's
 * class, of type A or AAAA as asked (or a hint of an HTTPS or SVCB record that
 * was asked for), and owned by the end of the CNAME chain that begins with the
 * question's name; without CNAME that name is the end. The chain is followed in
 * the answer's own records, in any order, at most CP_DNS_ANSWER_CHAIN_MAX
 * steps; a loop, or two different CNAMEs of one name, make the answer invalid.
 * A DNAME stays if the CNAME that follows from it is there too. The reply has
 * the chain, its end, the SOA of a negative answer if its zone contains the
 * end, and with DO DNSSEC records; everything else of the answer is dropped. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/message.h"
#include "controld/dns/settings.h"
#include "shared/abi.h"
#include "shared/util.h"

enum {
	CP_DNS_ANSWER_CHAIN_MAX = 16,
	CP_DNS_ANSWER_ADDRESSES_MAX = 128, /* more: the answer is refused */
	CP_DNS_ANSWER_RECORDS_MAX = 1024,
	CP_DNS_ANSWER_TTL_MAX_S = 86400, /* longer lives are cut to a day */
	CP_DNS_ANSWER_NEGATIVE_TTL_MAX_S = 3600, /* RFC 2308 5 */
	CP_DNS_ANSWER_FAILURE_TTL_S = 5, /* SERVFAIL and the like */
};

/* Answers of cp_dns_answer_read() besides 0 and -errno. */
enum {
	CP_DNS_ANSWER_E_INVALID = 1, /* to be taken for a failed upstream */
};

struct cp_dns_address {
	uint8_t family; /* enum sn_family */
	uint8_t bytes[16]; /* network order, IPv4 in the first four */
};

struct cp_dns_answer;

/* question: what was asked; the message's own must equal it (case aside).
 * TTLs of 2^31 and above count as 0 (RFC 2181 8). */
int cp_dns_answer_read(const uint8_t *message, size_t size,
		       const struct cp_dns_question *question,
		       enum cp_dns_hints hints, struct cp_dns_answer **ret);
struct cp_dns_answer *cp_dns_answer_free(struct cp_dns_answer *answer);
SN_DEFINE_CLEANUP(struct cp_dns_answer, cp_dns_answer_free)

/* For a filter that is one attachment's own. */
int cp_dns_answer_copy(const struct cp_dns_answer *answer,
		       struct cp_dns_answer **ret);

unsigned int cp_dns_answer_rcode(const struct cp_dns_answer *answer);
/* How long the answer may be kept: the smallest TTL of the records that the
 * reply has; of a negative one by its SOA (RFC 2308; 0 without), of a failure
 * CP_DNS_ANSWER_FAILURE_TTL_S. */
uint32_t cp_dns_answer_ttl(const struct cp_dns_answer *answer);
/* Bytes of memory, for the cache's bound. */
size_t cp_dns_answer_size(const struct cp_dns_answer *answer);

/* The addresses to be learnt, each once. */
const struct cp_dns_address *
cp_dns_answer_addresses(const struct cp_dns_answer *answer, size_t *n);

/* Leaves out the addresses for which keep returns false, and hints with them
 * (an HTTPS or SVCB record that calls them mandatory as a whole, and with it
 * the addresses that only it has). Returns how many went. Without memory the
 * answer becomes SERVFAIL. */
size_t cp_dns_answer_filter(struct cp_dns_answer *answer,
			    bool (*keep)(void *userdata,
					 const struct cp_dns_address *address),
			    void *userdata);

/* The reply to a client: its id, flags and case, our flags (QR, RA, no AA; AD
 * if is_secure, it asked, and nothing was stripped or filtered), every TTL what
 * is left of cp_dns_answer_ttl() after age_s, but max_ttl_s at most, so that no
 * client holds an address longer than it is learnt, EDNS as the client has it.
 * Without DO no DNSSEC records unless asked for by type. Room:
 * CP_DNS_MESSAGE_MAX bytes. Returns the size; not truncated yet. */
size_t cp_dns_answer_make(const struct cp_dns_answer *answer,
			  const struct cp_dns_query *query, bool is_secure,
			  uint32_t age_s, uint32_t max_ttl_s, uint8_t *ret);
