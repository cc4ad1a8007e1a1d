/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Questions as clients send them and the answers that we make ourselves. Pure.
 * Everything in a message that is not understood costs the message, never the
 * policy. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/name.h"

enum {
	CP_DNS_MESSAGE_MAX = 65535,
	CP_DNS_MESSAGE_HEADER = 12,
	CP_DNS_MESSAGE_UDP_MIN = 512, /* RFC 1035 4.2.1, without EDNS */
	CP_DNS_MESSAGE_UDP_MAX = 1232, /* the most that we send by UDP */
	CP_DNS_MESSAGE_ADDITIONAL_MAX = 8, /* more in a query: FORMERR */
};

enum {
	CP_DNS_TYPE_A = 1,
	CP_DNS_TYPE_CNAME = 5,
	CP_DNS_TYPE_SOA = 6,
	CP_DNS_TYPE_HINFO = 13,
	CP_DNS_TYPE_AAAA = 28,
	CP_DNS_TYPE_DNAME = 39,
	CP_DNS_TYPE_OPT = 41,
	CP_DNS_TYPE_RRSIG = 46,
	CP_DNS_TYPE_NSEC = 47,
	CP_DNS_TYPE_NSEC3 = 50,
	CP_DNS_TYPE_SVCB = 64,
	CP_DNS_TYPE_HTTPS = 65,
	CP_DNS_TYPE_TSIG = 250,
	CP_DNS_TYPE_ANY = 255,
};

enum {
	CP_DNS_CLASS_IN = 1,
};

enum {
	CP_DNS_RCODE_NOERROR = 0,
	CP_DNS_RCODE_FORMERR = 1,
	CP_DNS_RCODE_SERVFAIL = 2,
	CP_DNS_RCODE_NXDOMAIN = 3,
	CP_DNS_RCODE_NOTIMP = 4,
	CP_DNS_RCODE_REFUSED = 5,
	CP_DNS_RCODE_BADVERS = 16, /* extended: needs OPT */
};

/* Answers of cp_dns_message_read() besides 0. */
enum {
	CP_DNS_MESSAGE_E_IGNORE = 1, /* under 12 bytes or an answer: no reply */
	CP_DNS_MESSAGE_E_FORMERR, /* the reply is FORMERR, from id and flags */
	CP_DNS_MESSAGE_E_NOTIMP, /* opcode other than QUERY */
	CP_DNS_MESSAGE_E_BADVERS, /* EDNS version above 0 (RFC 6891 6.1.3) */
};

struct cp_dns_question {
	struct cp_dns_name name; /* lower case */
	uint16_t type;
	uint16_t class;
};

/* What is kept of a query to answer it. */
struct cp_dns_query {
	struct cp_dns_question question;
	uint16_t id; /* host order */
	uint16_t udp_bytes; /* what the client takes, 512..65535 */
	bool has_edns;
	bool dnssec_ok; /* DO */
	bool checking_disabled; /* CD */
	bool recursion_desired; /* RD */
	bool authentic_data; /* AD: wants to know (RFC 6840 5.7) */
	uint8_t opcode; /* the reply has it too */
	bool has_question; /* the fields below and question are set */
	uint8_t case_name[CP_DNS_NAME_WIRE_MAX]; /* as written, same size */
};

/* Exactly one question in the question section, an OPT record at most, no
 * other records but a few additional ones without TSIG, nothing behind the last
 * record (FORMERR otherwise). *ret has what could be read, as far as a reply
 * needs it, also on failure. */
int cp_dns_message_read(const uint8_t *message, size_t size,
			struct cp_dns_query *ret);

/* Replies that carry no records of others; question with its case, RA, OPT if
 * the query had one. rcode may be extended (BADVERS 16). ede: an extended error
 * code of RFC 8914, -1: none. Returns the size; at most 512 bytes. */
size_t cp_dns_message_make_error(const struct cp_dns_query *query,
				 unsigned int rcode, int ede,
				 uint8_t ret[CP_DNS_MESSAGE_UDP_MIN]);
/* A with 0.0.0.0 or AAAA with ::, other types without records; TTL ttl_s. Says
 * that it is forged (RFC 8914 4.5). */
size_t cp_dns_message_make_sinkhole(const struct cp_dns_query *query,
				    uint32_t ttl_s,
				    uint8_t ret[CP_DNS_MESSAGE_UDP_MIN]);
/* RFC 8482 4.2: one HINFO record. */
size_t cp_dns_message_make_any(const struct cp_dns_query *query,
			       uint8_t ret[CP_DNS_MESSAGE_UDP_MIN]);
/* A or AAAA records of these addresses (of one family), for answers that the
 * control plane gave. Room: CP_DNS_MESSAGE_MAX bytes. */
size_t cp_dns_message_make_addresses(const struct cp_dns_query *query,
				     uint32_t ttl_s,
				     const uint8_t (*addresses)[16], size_t n,
				     uint8_t *ret);

/* Cuts a finished reply to what the client takes by UDP: TC is set and all
 * records but OPT go (RFC 2181 9). Returns the new size. */
size_t cp_dns_message_truncate(const struct cp_dns_query *query,
			       uint8_t *message, size_t size, size_t room);

/* The two ends of every reply. head: header with our flags (QR, RA, the query's
 * opcode, RD and CD), no records yet, and the question with its case. opt: an
 * OPT record at `size` if the query had one, counted in the header. Both return
 * the size of the message then; CP_DNS_MESSAGE_OPT_BYTES is room enough. */
enum {
	CP_DNS_MESSAGE_OPT_BYTES = 17,
};
size_t cp_dns_message_put_head(const struct cp_dns_query *query,
			       unsigned int rcode, bool authentic_data,
			       uint8_t *ret);
size_t cp_dns_message_put_opt(const struct cp_dns_query *query,
			      unsigned int rcode, int ede, uint8_t *message,
			      size_t size);
