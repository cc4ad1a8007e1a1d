/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The records of an answer that count: the CNAME chain from the question's
 * name, what was asked for at its end, and what belongs to these. See answer.h
 * for what is kept. Pure, and without allocation; the struct is large. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controld/dns/answer.h"
#include "controld/dns/message.h"
#include "controld/dns/wire.h"

/* Answers of the calls below besides 0. */
enum {
	CP_DNS_CHAIN_E_INVALID = 1,
};

struct cp_dns_chain_record {
	struct cp_dns_wire_record wire;
	uint32_t owner_hash;
	/* Where the owner's name is: records with the same one have the same
	 * name. */
	uint16_t owner_ref;
	bool is_answer; /* else of the authority section */
	bool is_kept;
};

struct cp_dns_chain {
	const uint8_t *message;
	size_t size;
	struct cp_dns_question question;
	unsigned int rcode; /* with the upper bits from OPT */
	uint32_t ttl_s;

	/* The last owner that was read. */
	uint16_t last_ref;
	uint32_t last_hash;

	size_t n_records;
	struct cp_dns_chain_record records[CP_DNS_ANSWER_RECORDS_MAX];

	/* Indexes of what is kept, in the order in which it goes out: the
	 * chain, its end, signatures, authority. */
	size_t n_kept;
	uint16_t kept[CP_DNS_ANSWER_RECORDS_MAX];

	/* From the question's name to the end of the chain. */
	size_t n_names;
	struct cp_dns_name names[CP_DNS_ANSWER_CHAIN_MAX + 1];
};

int cp_dns_chain_read(struct cp_dns_chain *chain, const uint8_t *message,
		      size_t size, const struct cp_dns_question *question);

/* Question and records of a message of our own making, all of them kept. */
int cp_dns_chain_read_own(struct cp_dns_chain *chain, const uint8_t *message,
			  size_t size);

/* Is it a DNSSEC record that was not asked for by its type? */
bool cp_dns_chain_is_dnssec(const struct cp_dns_chain *chain,
			    const struct cp_dns_chain_record *record);

/* The type that a signature covers; 0: it is none. */
uint16_t cp_dns_chain_covered(const struct cp_dns_chain *chain,
			      const struct cp_dns_chain_record *record);
